"""asyncio inside a run: an event loop each of whose tasks is a task of the run.

No other room imports asyncio. `event_loop.py` has the loop and names its parts, `lanes.py` says what the run loop
steps, and `program.py` how a main function is run.
"""
