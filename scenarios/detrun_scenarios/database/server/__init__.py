"""The server: a process with two disks, sessions of clients over TCP, a checkpointer and a background writer."""
