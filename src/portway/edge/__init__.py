"""The data plane: agents and visitors meet here.

::

    agent ──► gateway ──► binding ──► claim ──► registry: address → endpoint → pool → member
                                                                                       │
    visitor ──► listener ──► http | tls | tcp ── find the endpoint, pick a member ─────┘ open a stream

An **endpoint** is a URL that agents serve. Its **pool** holds the **members** that serve it, usually
one; a member opens a stream to its agent and hands back a Pipe. What the edge needs of others stands
in ``ports.py`` as interfaces: it knows no database, no other worker and no controller.
"""
