"""The only floor that touches sockets, TLS, event loops and tasks.

::

    loop, tasks, backoff     how we run, how we start work, how long we wait
    buffers                  the memory that all connections of one loop share
    tls                      the pump: TLS without a socket, and the contexts
    leg, tls_leg             one local socket joined to a Pipe
    transport                any Pipe as an asyncio transport, for applications
    dial, listen             making connections and accepting them
    memory                   a Pipe joined to a Pipe, without a socket

Foreign errors are translated here: whatever leaves this package is a `PortwayError`.
"""
