"""Transactions: versions of rows, snapshots, locks, and the conflicts that serializability forbids."""
