"""The end of a process whose parent is gone: what is forked or started to work for another must not outlive it.

Linux tells the child itself (``prctl`` with ``PR_SET_PDEATHSIG``), so a parent may be killed in any way. The kernel
watches the thread that made the child: it must not end before the child's work does.
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1


def end_with_parent(parent: int) -> None:
    """End this process, which ``parent`` has made, when its parent ends; at once if it has ended already."""
    if sys.platform.startswith("linux"):
        import ctypes

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
