"""A recorded run at one moment: tasks with their stacks, memory, channels, and the world."""
