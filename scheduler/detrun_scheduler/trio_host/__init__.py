"""The room that knows trio's insides: a `trio` runner whose every scheduling decision is detrun's.

Importing anything of it checks the installed trio first: `check` names what this room needs, and the way out.
"""

from detrun_scheduler.trio_host.check import check_trio

check_trio()
