"""Random valid runs, written to a `Journal` as the run loop writes them, together with a plain list of their steps.

The simulation shares with the code under test only the `Journal`: it keeps its own runnable set, as a Python set, and
notes for each step what a reader has to find.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from detrun_recorder.contents import End
from detrun_scheduler.journal import (
    CHECKPOINT,
    DONE,
    DRAW,
    EFFECT,
    END,
    FAILED,
    FAULT,
    HAS_EVENTS,
    OBSERVE,
    OPERATION,
    OPERATIONS,
    RECEIVE,
    SEND,
    SPAWN,
    TIME,
    WAKE,
    Chunk,
    Journal,
    append_varint,
)

WAITS = ("sleep", "lock", "channel", "event")


@dataclass
class TrueStep:
    """The events of one step."""

    time: float
    task: int
    path: str
    runnable: tuple[int, ...]
    choice: int | None
    outcome: str
    events: list[tuple[object, ...]]


@dataclass
class SimulatedRun:
    """A finished run: what the recorder is given, and what it has to give back."""

    chunks: list[Chunk] = field(default_factory=list)
    steps: list[TrueStep] = field(default_factory=list)
    time: float = 0.0
    digest: bytes = b""

    @property
    def end(self) -> End:
        return End(len(self.steps), self.time, self.digest, counts={"tasks": 3})


def simulate(
    seed: int,
    steps: int,
    *,
    tasks: int = 10,
    spawning: float = 0.05,
    waiting: float = 0.3,
    ending: float = 0.02,
    operating: float = 0.3,
    mean_delay: float = 0.1,
    objects: int = 3,
    chunk_steps: int = 16_384,
    keep: bool = True,
) -> SimulatedRun:
    """A run of ``steps`` steps with ``tasks`` tasks from the first steps on and random events."""
    random = Random(seed)
    run = SimulatedRun()
    journal = Journal(run.chunks.append)
    paths = {0: "main"}
    journal.tasks.append((0, -1, "main"))
    runnable, blocked = {0}, set[int]()
    labels = [journal.new_object(f"object[{index}]") for index in range(objects)]
    events, exact = journal.events, journal.exact
    time = 0.0

    def emit(code: int, *arguments: int) -> None:
        events.append(code)
        for argument in arguments:
            append_varint(events, argument)

    while len(run.steps) < steps and (runnable or not keep):
        began, before = time, tuple(sorted(runnable))
        choice = random.randrange(len(before)) if len(before) > 1 else None
        task = before[choice or 0]
        if choice is not None:
            append_varint(journal.choices, choice)
        runnable.remove(task)
        truth: list[tuple[object, ...]] = []
        living = len(runnable) + len(blocked) + 1
        spawned: list[int] = []
        while living + len(spawned) < tasks if task == 0 else random.random() < spawning:
            number = len(paths)
            paths[number] = f"{paths[task]}/worker[{number}]"
            journal.tasks.append((number, task, paths[number]))
            emit(SPAWN, number)
            truth.append(("spawn", number, paths[number]))
            spawned.append(number)
        while labels and random.random() < operating:
            kind, number = random.randrange(6), random.choice(labels)
            if kind == 0:
                index = random.randrange(len(OPERATIONS))
                emit(OPERATION, number, index)
                truth.append(("operation", number, f"object[{number}]", OPERATIONS[index]))
            elif kind in (1, 2):
                emit((SEND, RECEIVE)[kind - 1], number)
                truth.append((("send", "receive")[kind - 1], number, f"object[{number}]"))
            elif kind == 3:
                emit(DRAW)
                exact.append(7)
                truth.append(("draw",))
            elif kind == 4:
                name = f"name {random.randrange(5)}"
                code = random.choice((OBSERVE, FAULT))
                emit(code, journal.name_number(name))
                truth.append(("observe" if code == OBSERVE else "fault", journal.name_number(name), name))
            else:
                payload = random.randbytes(random.randrange(20))
                emit(EFFECT, journal.name_number("read_file"))
                journal.payloads.append(payload)
                truth.append(("effect", journal.name_number("read_file"), "read_file", payload))
        draw = random.random()
        runnable.update(spawned)
        if draw < waiting:
            kind_name = random.choice(WAITS)
            outcome, word = journal.kind_number(kind_name), kind_name
            blocked.add(task)
        elif draw < waiting + ending and task != 0:
            outcome, word = random.choice(((DONE, "done"), (FAILED, "failed")))
        else:
            outcome, word = CHECKPOINT, "checkpoint"
            runnable.add(task)
        if blocked and random.random() < waiting / 3:
            woken = sorted(random.sample(sorted(blocked), 1))
            for number in woken:
                emit(WAKE, number)
                truth.append(("wake", number, paths[number]))
            blocked.difference_update(woken)
            runnable.update(woken)
        if blocked and (not runnable or random.random() < waiting / 2):
            time += random.expovariate(1 / mean_delay)
            emit(TIME)
            journal.times.append(time)
            truth.append(("time", time))
            number = random.choice(sorted(blocked))
            emit(WAKE, number)
            truth.append(("wake", number, paths[number]))
            blocked.remove(number)
            runnable.add(number)
        if len(events) != journal.record_start:
            events.append(END)
            journal.record_start = len(events)
            outcome |= HAS_EVENTS
        journal.outcomes.append(outcome)
        run.steps.append(TrueStep(began, task, paths[task], before, choice, word, truth))
        if len(journal.outcomes) >= chunk_steps:
            journal.close_chunk(tuple(sorted(runnable)) if seed % 2 else None)
    journal.close_chunk()
    run.time, run.digest = time, run.chunks[-1].digest
    return run
