"""Simulated threads: greenlets that the loop steps like tasks, and the names of `threading` that lead to them.

`simulated_thread.py` has one thread, `threads.py` the threads of a run, `patched_threading.py` the names, `locks.py`
what all locks share, and `preemption.py` the schedule points between two calls.
"""
