"""What keeps a server from failing with those it calls: pool, time-outs, retries, hedges, breaker, admission."""
