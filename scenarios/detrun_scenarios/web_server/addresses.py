"""Which node is where: names of nodes and the ports on which they listen."""

from __future__ import annotations

WEB, DATABASE, UPSTREAM, MONITOR = "web", "database", "upstream", "monitor"  # names of nodes
CLIENTS = "clients"  # the node whose browsers send the requests
WEB_PORT, DATABASE_PORT, UPSTREAM_PORT, MONITOR_PORT = 8000, 5432, 9000, 8125
