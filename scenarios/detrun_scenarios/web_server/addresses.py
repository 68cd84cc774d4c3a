"""Which node is where: names of nodes and the ports on which they listen."""

from __future__ import annotations

WEB, DATABASE, UPSTREAM = "web", "database", "upstream"  # names of nodes; those of clients are client0, client1, ...
WEB_PORT, DATABASE_PORT, UPSTREAM_PORT = 8000, 5432, 9000
