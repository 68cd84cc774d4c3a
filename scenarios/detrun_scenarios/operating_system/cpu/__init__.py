"""Threads share cores: queues, cores, balancing, mutexes."""
