"""What is always true of the machine: the names by which its parts check it."""

from __future__ import annotations

from typing import Final

WORK_CONSERVED: Final = "no core sleeps while a thread waits for it"
NO_STARVATION: Final = "no thread that can run is passed over for long"
NO_INVERSION: Final = "no thread keeps off a more urgent one by way of a lock"
PIPE_ORDER: Final = "a pipe gives what was put into it, in order"
LAST_WRITE: Final = "a page reads as it was last written"
SYNCED: Final = "what is synced is on the disk"
FRAMES_CONSERVED: Final = "every frame has one use"
