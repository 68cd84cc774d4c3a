"""A node's sockets, and the names of `socket` and `trio.socket` that lead to them."""
