"""Schedules per CPU-second of the same small race under detrun and under its peers, side by side.

``python -m benchmarks.peers`` prints the table; ``--json FILE`` writes the figures. The race is the lost update
(`counter.py`): two workers read a counter and write it back, one more; tasks do so once, or five times each. Peers
are installed on demand, at pinned versions, into a virtual environment of their own (`environment.py`); the table
names the ones that cannot be installed. Every contender runs in a fresh process, on the same interpreter where it can
(`contenders.py`, `measured.py`), takes turns with the others, and pays for itself in CPU seconds of its whole
process, real threads and set-up included.

What is unfair:

- The peers for tasks explore asyncio. detrun is measured on trio, where a nursery costs more than ``asyncio.gather``,
  and on asyncio, with the program that the peers explore.
- detrun's threads are greenlets and a schedule point is a switch of them; frontrun and interleave-test hand over
  between real threads, which also works inside C code that calls back, and costs them system calls.
- detrun gives way only before instructions that another thread could notice, the others before every instruction, so
  they have more schedule points for the same program. detrun still reaches every result, with less work.
- Only the counter's own file is watched, where a library allows that. With frontrun the harness starts and joins the
  threads, so the main program costs no schedule points.
- frontrun detects I/O and SQL unless told not to, and explains what it finds; here it finds nothing to explain, since
  every schedule passes. The default of frontrun is to reduce: it needs 2 schedules to be certain about this
  program where the others sample thousands. Its figure for that counts whole searches, set-up included.
- simloom and frontrun keep a log of each schedule for a later report; detrun runs a failing schedule again instead.
- 3.11 traces where 3.12 and later monitor; detrun is measured on both, the peers on the newest that all of them take.
"""
