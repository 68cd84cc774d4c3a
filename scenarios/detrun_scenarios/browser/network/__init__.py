"""The network: a server that shares its bandwidth by weights, one connection, a cache, image decoding threads."""
