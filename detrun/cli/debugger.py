"""The commands of ``detrun debug``: they take a recorded run forth and back, and look at it between two steps."""

from __future__ import annotations

import linecache
import pdb
from collections.abc import Callable, Iterator
from typing import Any

import click

from detrun.cli.debugger_prompt import DebuggerPrompt, GivenLines
from detrun.cli.moment import render
from detrun.cli.page import open_page
from detrun.inspection.moments import user_frames
from detrun_recorder.recording import Recording
from detrun_recorder.steps import Step
from detrun_scheduler.errors import UsageError
from detrun_scheduler.visible import visible, visible_line

BLOCK = 16_384  # steps that are read at once; a chunk of a recording
AROUND = 5  # lines of code before and after the one where a task stands, for `list`


class Debugger(DebuggerPrompt):
    """Commands by their names and first letters; an empty line repeats the last one."""

    groups = (
        ("move by steps", ("step", "back", "next", "previous")),
        ("run to", ("goto", "until", "since", "failure", "end", "divergence")),
        ("look", ("where", "list", "locals", "raised", "print", "tasks", "task", "objects", "all", "pdb")),
        ("watch", ("watch", "unwatch")),
        ("session", ("help", "quit")),
    )

    # Moving.

    def do_step(self, text: str) -> None:
        """step [N]: take N steps of the run, one by default."""
        self.go(self.traveller.step + _count(text))

    def do_back(self, text: str) -> None:
        """back [N]: undo N steps, one by default."""
        self.go(self.traveller.step - _count(text))

    def do_goto(self, text: str) -> None:
        """goto STEP | goto TIMEs: hold the run after so many steps (negative: from the end), or at a virtual time."""
        if text.endswith("s"):
            try:
                time = float(text[:-1])
            except ValueError:
                raise UsageError(f"goto {text}: give a number of steps, or seconds as in 2.5s") from None
            found = self.recording.at_time(time)
            self.go(found.index if found.time >= time else self.recording.steps)
            return
        try:
            step = int(text)
        except ValueError:
            raise UsageError(f"goto {text}: give a number of steps, or seconds as in 2.5s") from None
        self.go(step if step >= 0 else self.recording.steps + step)

    def do_next(self, text: str) -> None:
        """next: go to before the next step of the chosen task, or of the one that has just been shown."""
        self._search(
            range(self.traveller.step + 1, self.recording.steps), self._is_of_task(), f"no further step of {self.task}"
        )

    def do_previous(self, text: str) -> None:
        """previous: go to before the last earlier step of the task."""
        self._search(range(self.traveller.step - 1, -1, -1), self._is_of_task(), f"no earlier step of {self.task}")

    def do_until(self, text: str) -> None:
        """until OBJECT: go to before the next step that touches an object (a part of its name is enough)."""
        later = range(self.traveller.step + 1, self.recording.steps)
        self._search(later, _touches(text), f"no further use of {text} by any task")

    def do_since(self, text: str) -> None:
        """since OBJECT: go to before the last earlier step that touches an object."""
        self._search(range(self.traveller.step - 1, -1, -1), _touches(text), f"no earlier use of {text} by any task")

    def do_failure(self, text: str) -> None:
        """failure: go to before the step in which what failed the run was raised; to the end if no task raised it."""
        self.go(self.recording.steps if self.raised is None else self.raised.step)

    def do_end(self, text: str) -> None:
        """end: go to after the last step."""
        self.go(self.recording.steps)

    def do_divergence(self, text: str) -> None:
        """divergence: go to where the program, as it is now, does otherwise than the recording."""
        if self.diverges_after is None:
            at = self.traveller.step
            self.traveller.go(self.recording.steps)
            if self.traveller.step < self.recording.steps:  # this process was left behind on the way, and takes over
                self.say_where()
                return
            click.echo("the program makes the recorded run to its end")
            self.go(at)
            return
        self.go(self.diverges_after)

    def _is_of_task(self) -> Callable[[Step], bool]:
        task = self.task
        return lambda step: step.path == task

    def _search(self, places: range, fits: Callable[[Step], bool], missing: str) -> None:
        """Go to the first of the places whose step fits."""
        found = next((step for step in _steps(self.recording, places) if fits(step)), None)
        if found is None:
            raise UsageError(f"{missing}; the run stays where it is")
        self.go(found.index)

    # Looking.

    def do_where(self, text: str) -> None:
        """where: where the run stands, and the stack of the task."""
        self.say_where()
        for state in self.traveller.moment.tasks:
            if state.path == self.task:
                doing = "can run, from" if state.runnable else "waits for"
                click.echo(f"  {visible_line(state.path)} {doing} {visible_line(state.waits_for)}")
                for frame in state.stack:
                    click.echo(f"    {visible_line(str(frame))}")

    def do_list(self, text: str) -> None:
        """list: the code around the line where the task stands."""
        lines = list(self.place(AROUND))
        if not lines:
            raise UsageError(f"{self.task or 'no task'} stands in no line of your code here")
        click.echo("\n".join(lines))

    def do_locals(self, text: str) -> None:
        """locals: local variables of the task, frame by frame."""
        state = self.traveller.moment.task(self.task)
        for frame in state.stack:
            click.echo(f"{visible_line(str(frame))}")
            for name, value in frame.locals.items():
                click.echo(f"  {visible_line(name)} = {visible_line(value)}")

    def do_raised(self, text: str) -> None:
        """raised: where the run's failure was raised, with the variables there as they were then, frame by frame."""
        if self.raised is None:
            raise UsageError("no task raised what failed the run: it failed as a whole, or did not fail")
        click.echo(visible_line(f"{self.raised.task} raised {self.raised.error} in step {self.raised.step:,}"))
        for frame in self.raised.stack:
            click.echo(f"{visible_line(str(frame))}")
            click.echo(f"->  {visible_line(linecache.getline(frame.file, frame.line).strip())}")
            for name, value in frame.locals.items():
                click.echo(f"  {visible_line(name)} = {visible_line(value)}")

    def do_tasks(self, text: str) -> None:
        """tasks: living tasks, and what each waits for."""
        for state in self.traveller.moment.tasks:
            mark = ">" if state.path == self.task else " "
            doing = "can run" if state.runnable else f"waits for {state.waits_for}"
            click.echo(f"{mark} {visible_line(state.path)}: {visible_line(doing)}")

    def do_task(self, text: str) -> None:
        """task [NAME]: choose the task that is looked at; without a name, again the one that steps next."""
        if text:
            fitting = [one.path for one in self.traveller.moment.tasks if text == one.path]
            fitting = fitting or [one.path for one in self.traveller.moment.tasks if text in one.path]
            if len(fitting) != 1:
                known = ", ".join(fitting or [one.path for one in self.traveller.moment.tasks]) or "none"
                raise UsageError(
                    f"task {text}: {len(fitting)} living tasks have that in their names; there are {known}"
                )
            text = fitting[0]
        self.chosen = text
        self.say_where()

    def do_print(self, text: str) -> None:
        """print EXPRESSION: its value where the task stands."""
        click.echo(visible(self.evaluated(text, self.task)))

    def do_watch(self, text: str) -> None:
        """watch EXPRESSION: show its value in this task after each move, with a star where it has changed."""
        if not text:
            raise UsageError("watch: give an expression")
        value = self.evaluated(text, self.task)
        self.watched[text] = self.task, value
        click.echo(f"  {visible_line(text)} = {visible_line(value)}")

    def do_unwatch(self, text: str) -> None:
        """unwatch [EXPRESSION]: watch it no more; without one, nothing any more."""
        if text and text not in self.watched:
            raise UsageError(f"unwatch {text}: it is not watched; these are: {', '.join(self.watched) or 'none'}")
        self.watched = {one: value for one, value in self.watched.items() if text and one != text}

    def do_objects(self, text: str) -> None:
        """objects: those that the run has numbered, for 'until' and 'since'."""
        for label in self.recording.objects:
            click.echo(visible_line(label))

    def do_all(self, text: str) -> None:
        """all: tasks, channels, cells, nodes, disks and messages on their way."""
        render(open_page(), self.traveller.moment, self.recording)

    def do_pdb(self, text: str) -> None:
        """pdb: Python's debugger in the frames of the task, to look around in them; 'q' comes back."""
        frames = user_frames(self.traveller.moment.live.tasks[self.traveller.moment.task(self.task).path])
        if not frames:
            raise UsageError(f"{self.task} stands in no line of your code here")
        is_given = bool(self.cmdqueue) or not self.reads_terminal
        source: Any = GivenLines(self.cmdqueue) if is_given else self.stdin
        debugger: Any = pdb.Pdb(stdin=source, stdout=self.stdout)
        debugger.use_rawinput = self.use_rawinput and not is_given
        debugger.reset()
        debugger.interaction(frames[-1], None)

    def do_quit(self, text: str) -> bool:
        """quit: let the run go."""
        return True


def _steps(recording: Recording, places: range) -> Iterator[Step]:
    """The steps at these places, in either direction; backward a block at a time, since reading goes forward."""
    if places.step > 0:
        yield from recording.iter_steps(places.start, places.stop) if places else ()
        return
    stop = places.start + 1
    while stop > 0:
        start = max(stop - BLOCK, 0)
        yield from reversed(list(recording.iter_steps(start, stop)))
        stop = start


def _count(text: str) -> int:
    if not text:
        return 1
    if not text.isdecimal():
        raise UsageError(f"{text}: give a number of steps")
    return int(text)


def _touches(text: str) -> Callable[[Step], bool]:
    if not text:
        raise UsageError("until and since take an object's name; 'objects' lists them")
    kinds = ("operation", "send", "receive")
    return lambda step: any(event.kind in kinds and text in str(event.label) for event in step.events)
