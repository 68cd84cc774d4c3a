"""The write-ahead log: its records, how it is written, and recovery from it."""
