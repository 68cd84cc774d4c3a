"""Simulated threads: greenlets that the loop steps like tasks, and the names of `threading` that lead to them."""
