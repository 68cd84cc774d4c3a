"""trio's runner, stepped by detrun's loop: the only room that knows trio's private names.

An import of any of its modules checks the installed trio first; see `check`.
"""

from detrun_scheduler.trio_host.check import check_trio

check_trio()
