"""`Parts`: what the system is made of. A planted bug is a subclass of one of them that differs in one method.

Each part is made once for each start of the web server, within its node: ``Part(settings)`` where a part needs no other,
``Pool(settings, connect)``, ``DatabaseClient(settings, pool)``, ``UpstreamClient(settings, breaker, retries, hedges)``,
``Retries(settings, budget)``. The classes join here as their rooms are built.
"""
