"""Exploration: many schedules of one program, and what becomes of the one that fails."""
