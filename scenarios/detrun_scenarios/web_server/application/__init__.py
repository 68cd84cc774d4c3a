"""The ASGI application: its routes, and the count of requests in flight."""
