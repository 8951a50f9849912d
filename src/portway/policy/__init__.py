"""Traffic policies: documents, expressions, rules and actions, without I/O, clock or chance.

A document is compiled once against the endpoint that it is for (:mod:`portway.policy.compiler`); every
mistake in it is found then and told with line and column. What comes out is a
:class:`portway.policy.engine.Policy`, which is asked once a phase and answers with a verdict that somebody
else carries out. Time and chance are arguments. ``docs/spec/policy.md`` is the whole of it on one page.

Nothing here is imported before the first policy is: the expression library alone costs 50 ms.
"""
