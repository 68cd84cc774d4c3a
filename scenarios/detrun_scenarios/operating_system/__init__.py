"""One simulated machine: cores that threads share, memory that is too small, a disk with one head.

Read from below: `calls` says what the kernel wants of a thread; then `cpu`, `memory`, `storage`, `files`, `ipc`;
`process` is what a program may call, `machine` puts all together, and `workload` gives it something to do.
"""

from __future__ import annotations

from detrun_scenarios.frame.declaration import Bug, Invariant, Loss, Meaning, Parameter, Scenario
from detrun_scenarios.operating_system.pictures import draw
from detrun_scenarios.operating_system.workload.runs import program

_LINUX = "Linux 6.1"
_NICE = f"{_LINUX}, sched_prio_to_weight, of nice 0"
_OSTEP = "Arpaci-Dusseau, Operating Systems: Three Easy Pieces, chapter 8"

_DECIDE = "they decide who runs first and which page is there, and only the mean of that is smooth"
_TIMES = "it scales what is computed beside slices, sleeps and a disk that it does not, and so moves who is first"
_PAGES = ("low_free", "high_free", "read_ahead", "dirty_background")
_RESPONSE = (
    Meaning("finite", ("user_weight", "batch_weight", "latency", *_PAGES), _DECIDE, {"samples": 16}, share=0.5),
    Meaning("finite", ("frequency",), _TIMES, {"samples": 16}, share=0.2),
)

SCENARIO = Scenario(
    name="operating_system",
    about="A kernel: fair and feedback scheduling, paging, a page cache, a disk, and processes that compete.",
    parameters=(
        Parameter(
            "user_weight", 1024.0, (15.0, 88_761.0), "", "claim of those who wait for answers", _NICE, log_scale=True
        ),
        Parameter(
            "batch_weight", 1024.0, (15.0, 88_761.0), "", "claim of those who compute for long", _NICE, log_scale=True
        ),
        Parameter(
            "latency",
            0.006,
            (0.001, 0.1),
            "s",
            "in which each thread of a core runs once",
            f"{_LINUX}, sched_latency_ns",
            log_scale=True,
        ),
        Parameter(
            "wakeup_granularity",
            0.001,
            (0.0001, 0.05),
            "s",
            "by which one who wakes must lag, to take the core",
            f"{_LINUX}, sched_wakeup_granularity_ns",
            log_scale=True,
        ),
        Parameter(
            "quantum", 0.01, (0.001, 0.2), "s", "of the highest level of a feedback queue", _OSTEP, log_scale=True
        ),
        Parameter("boost_period", 1.0, (0.02, 5.0), "s", "between boosts of feedback queues", _OSTEP, log_scale=True),
        Parameter(
            "frequency", 1.0, (0.3, 2.0), "", "of the cores, in parts of the nominal one", "cpufreq", log_scale=True
        ),
        Parameter("low_free", 0.04, (0.01, 0.3), "", "share of free frames at which reclaim begins", _LINUX),
        Parameter("high_free", 0.08, (0.02, 0.4), "", "share of free frames at which it ends", _LINUX),
        Parameter(
            "read_ahead", 32.0, (1.0, 128.0), "pages", "before a reader", f"{_LINUX}, read_ahead_kb", log_scale=True
        ),
        Parameter(
            "dirty_background",
            0.10,
            (0.01, 0.5),
            "",
            "share of dirty frames at which they are written",
            f"{_LINUX}, vm.dirty_background_ratio",
            log_scale=True,
        ),
    ),
    losses=(
        Loss("mean_response", "mean time of a user's request", "s", _RESPONSE),
        Loss("p95_response", "95th percentile of the same in a run", "s", _RESPONSE),
        Loss(
            "feedback_response",
            "mean time of a user's request, with feedback queues",
            "s",
            (
                Meaning(
                    "finite",
                    ("quantum", "boost_period"),
                    "at which level a request is, and beside whom, differs between runs",
                    {"samples": 16},
                    share=0.5,
                ),
                Meaning("finite", ("frequency",), _TIMES, {"samples": 16}, share=0.2),
            ),
        ),
        Loss(
            "unfairness",
            "1 less Jain's index of slowdowns",
            "",
            (
                Meaning(
                    "finite", ("latency", "user_weight", "batch_weight", *_PAGES), _DECIDE, {"samples": 16}, share=0.5
                ),
            ),
        ),
        Loss(
            "faults",
            "page faults that read, for each second of computing",
            "1/s",
            (
                Meaning(
                    "finite",
                    ("low_free", "high_free", "dirty_background"),
                    "a count, whose local derivative is 0",
                    {"samples": 16},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "read_time",
            "mean time of a page of a file that is read in order",
            "s",
            (
                Meaning(
                    "finite",
                    (*_PAGES, "batch_weight"),
                    "a page is there or is not, and behind whom the reader waits differs between runs",
                    {"samples": 16},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "sync_time",
            "mean time until what was written to a log is on the disk",
            "s",
            (
                Meaning(
                    "finite",
                    _PAGES,
                    "what a sync waits behind is what the kernel happens to write or to read then",
                    {"samples": 16},
                    share=0.5,
                ),
            ),
        ),
        Loss(
            "energy",
            "of the cores, for each second of computing at the nominal frequency",
            "J/s",
            (Meaning("finite", ("frequency",), _TIMES, {"samples": 8}),),
        ),
    ),
    invariants=(
        Invariant("no core sleeps while a thread waits for it", "a core that has halted is kicked for each wake-up"),
        Invariant("no thread that can run is passed over for long", "in seconds of its core"),
        Invariant("no thread keeps off a more urgent one by way of a lock", "fixed priorities; a holder inherits"),
        Invariant("a pipe gives what was put into it, in order", "each byte once"),
        Invariant("a page reads as it was last written", "memory and files, at each use"),
        Invariant("what is synced is on the disk", "after each fsync"),
        Invariant("every frame has one use", "free, or of one page"),
    ),
    bugs=(
        Bug(
            "priority_inversion",
            "a holder of a mutex inherits nothing",
            ("PriorityInversion.donate", "Mutex.lock"),
            variant="fixed priorities",
        ),
        Bug(
            "lost_wakeup",
            "a core looks at its queue before it says that it sleeps",
            ("LostWakeup.prepare", "RunQueue.add"),
            variant="ping-pong",
        ),
        Bug(
            "starvation",
            "the least virtual runtime stands still",
            ("Starvation.advance", "FairQueue.add"),
            variant="long sleep",
        ),
        Bug(
            "refault_race",
            "a page that is being swapped out is read from its slot, where it has not landed",
            ("RefaultRace.swap_out", "PagedSpace._fault"),
            variant="crowded memory",
        ),
        Bug(
            "lost_dirty_bit",
            "a page that changes while it is written counts as clean afterwards",
            ("WriteBack.mark", "WriteBack.clean"),
            variant="one log",
        ),
    ),
    program=program,
    explore_options={"max_steps": 20_000},
    draw=draw,
)
