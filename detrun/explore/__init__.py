"""Exploration: many schedules of one program, and a report of the one that fails."""
