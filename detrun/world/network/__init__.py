"""The network between nodes: links, rules, latency, names, mailboxes, TCP."""
