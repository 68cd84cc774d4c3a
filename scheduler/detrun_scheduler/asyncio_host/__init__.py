"""asyncio inside a run: an event loop each of whose tasks is a task of the run; the only room that imports asyncio."""
