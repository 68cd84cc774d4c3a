"""The event loop: tasks, microtasks, rendering opportunities."""
