"""`Parts`: what the system is made of. A planted bug is a subclass of one of them that differs in one method.

The classes join here as their rooms are built. Each part is made once for each start of the web server, within its
node: ``Part(settings)`` where a part needs no other, ``ConnectionPool(settings, connect)``, ``DatabaseClient(settings,
pool)``, ``UpstreamClient(settings, breaker, retries, hedges)``, ``Retries(settings, budget)``.

Two parts are made once for a run and survive what their nodes go through: ``DatabaseServer(settings)``, with ``async
serve()`` for its node and the dicts ``rows`` (item: text), ``orders`` (order: (item, count)) and ``sold`` (item: count);
and ``UpstreamService(settings)``, with ``async serve()``, ``slowness`` (a factor of its service times, 1 at first),
``failure_share`` (0 at first) and ``served`` (requests it has begun), which a workload moves during an outage.
"""
