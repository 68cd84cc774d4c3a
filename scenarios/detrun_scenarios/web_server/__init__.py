"""A web server and what it stands on: hypercorn with an ASGI application, a database, a cache and an upstream service.

Read from below: `backend` holds the database and the upstream service, each with its client; `resilience` and `caching`
are the mechanisms in front of them; `application` has the routes, `serving` puts them under hypercorn on a node, `site`
puts all together, and `workload` sends requests by httpx.
"""
