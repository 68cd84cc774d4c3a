"""`DebuggerPrompt`: a session of ``detrun debug``, and what is said of the run after each move.

Where the run stands is said by the steps taken, the virtual time, the task that steps next with its line, and the
watched expressions, with a mark where they have changed. A command that fails says why and changes nothing.
"""

from __future__ import annotations

import cmd
import linecache
from collections.abc import Iterator
from typing import Any

import click

from detrun.cli.summary import describe_events
from detrun.inspection.raised import Raised
from detrun.inspection.text import shown
from detrun.inspection.time_travel import Traveller
from detrun_recorder.described import wait_shown
from detrun_recorder.recording import Recording
from detrun_recorder.steps import Step
from detrun_scheduler.errors import DetrunError, DivergenceError
from detrun_scheduler.visible import visible, visible_line

try:
    import readline
except ImportError:  # on systems without it
    readline = None  # type: ignore[assignment]  # the stubs have it as a module on every system

TYPED_MAX = 200  # lines
SOURCE_SHOWN = 1  # lines of code before and after the one where a task stands, after each move


class DebuggerPrompt(cmd.Cmd):
    """What every command needs; the commands are those of a subclass, by their names and first letters."""

    prompt = "(detrun) "

    traveller: Traveller

    groups: tuple[tuple[str, tuple[str, ...]], ...] = ()  # of commands, for `help`

    def __init__(self, recording: Recording, raised: Raised | None = None) -> None:
        super().__init__()
        self.recording = recording
        self.raised = raised  # what failed the run, if a task raised it
        self.reads_terminal = False  # whether commands are asked for, once those given are done
        self.chosen = ""  # the task that was chosen; empty for the one that steps next
        self.watched: dict[str, tuple[str, str]] = {}  # by expression: the task where it was asked for, what it was
        self.diverges_after: int | None = None  # steps, once it is known

    def session(self, begins: str, commands: list[str], *, is_asked: bool) -> None:
        """Run a command, then those that were given, then what is typed.

        Args:
            is_asked: whether to ask for more where the given ones end.
        """
        self.cmdqueue += commands
        self.reads_terminal = is_asked
        try:
            self.onecmd(begins)
            while self.cmdqueue:
                command = self.cmdqueue.pop(0)
                click.echo(f"{self.prompt}{command}")
                if self.onecmd(command):
                    return
            while is_asked:
                try:
                    self.cmdloop()
                    return
                except KeyboardInterrupt:
                    click.echo()
        finally:
            self.traveller.close()

    # What a process that takes over has to know, see `detrun.inspection.kept_moments`.

    def state(self) -> dict[str, Any]:
        """The session as plain values."""
        return {
            "chosen": self.chosen,
            "watched": {one: list(at) for one, at in self.watched.items()},
            "diverges_after": self.diverges_after,
            "last": self.lastcmd,
            "queue": self.cmdqueue,
            "typed": _typed(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on as another process was."""
        self.chosen, self.diverges_after, self.lastcmd = state["chosen"], state["diverges_after"], state["last"]
        self.watched = {one: (task, value) for one, (task, value) in state["watched"].items()}
        self.cmdqueue[:] = state["queue"]
        _type_again(state["typed"])

    # What every command needs.

    @property
    def next_step(self) -> Step | None:
        """The step that comes next in the recording; None at its end."""
        at = self.traveller.step
        return self.recording.step(at) if at < self.recording.steps else None

    @property
    def task(self) -> str:
        """The path of the chosen task, or of the one that steps next."""
        following = self.next_step
        return self.chosen or ("" if following is None else following.path)

    def onecmd(self, line: str) -> bool:
        """Run a command; say what is wrong with it."""
        try:
            return bool(super().onecmd(line))
        except DivergenceError as error:
            step = getattr(error.divergence, "step", 0)
            self.diverges_after = step
            click.echo(visible(str(error)))
            self.go(step)
        except DetrunError as error:
            click.echo(visible(str(error)))
        return False

    def default(self, line: str) -> None:
        """A letter stands for its command; what is no command is refused by name."""
        word = line.split()[0] if line.split() else ""
        if word in _LETTERS:
            self.onecmd(_LETTERS[word] + line[len(word) :])
        elif line == "EOF":
            click.echo()
            self.cmdqueue.append("quit")
        else:
            click.echo(f"there is no command {visible_line(word)!r}; 'help' lists them, 'print {line}' evaluates it")

    def do_help(self, arg: str) -> None:
        """help [COMMAND]: what a command does; without one, all of them."""
        letters = {name: letter for letter, name in _LETTERS.items() if len(letter) == 1}
        wanted = _LETTERS.get(arg, arg)
        for title, names in self.groups:
            if not arg:
                click.echo(f"{title}:")
            for name in names if not arg else [one for one in names if one == wanted]:
                usage, _, what = (getattr(self, f"do_{name}").__doc__ or "").partition(": ")
                letter = f" ({letters[name]})" if name in letters else ""
                click.echo(f"  {usage + letter:<26} {what.strip()}" if not arg else f"{usage}{letter}: {what.strip()}")
        if arg and not any(wanted in names for _, names in self.groups):
            click.echo(f"there is no command {visible_line(arg)!r}; 'help' lists them")

    def go(self, step: int) -> None:
        """Move, and say where the run stands."""
        self.traveller.go(min(max(step, 0), self.recording.steps))
        self.say_where()

    def say_where(self) -> None:
        """Steps, time, who steps next, and what is watched."""
        following = self.next_step
        at, steps = self.traveller.step, self.recording.steps
        time = f"{self.traveller.moment.virtual_time:.9g} s"
        if following is None:
            click.echo(f"after all {steps:,} steps, at {time}: {self._ended()}")
        else:
            click.echo(f"after {at:,} of {steps:,} steps, at {time}: {visible_line(following.path)} steps next")
            click.echo(f"  it {_will(following)}")
            if self.raised is not None and self.raised.step == at:
                frame = f", at {self.raised.stack[-1]}" if self.raised.stack else ""
                click.echo(visible_line(f"  it raises {self.raised.error}{frame}; 'raised' has the variables there"))
        for place in self.place(SOURCE_SHOWN):
            click.echo(f"  {place}")
        for expression, (task, before) in self.watched.items():
            now = self.evaluated(expression, task)
            click.echo(f"  {'*' if now != before else ' '} {visible_line(expression)} = {visible_line(now)}")
            self.watched[expression] = task, now

    def _ended(self) -> str:
        end = self.recording.end
        if end is None:
            return "the recording ends here"
        return "the run returned" if end.outcome == "ok" else visible_line(f"{end.error_type}: {end.error_text}")

    def place(self, around: int) -> Iterator[str]:
        """The line where the task stands, with those around it."""
        for state in self.traveller.moment.tasks:
            if state.path == self.task and state.stack:
                frame = state.stack[-1]
                for number in range(max(frame.line - around, 1), frame.line + around + 1):
                    text = linecache.getline(frame.file, number).rstrip()
                    if text or number == frame.line:
                        yield f"{'->' if number == frame.line else '  '} {number:>4}  {visible_line(text)}"

    def evaluated(self, expression: str, task: str) -> str:
        """The value of an expression where a task stands, or why there is none."""
        if task and not any(one.path == task for one in self.traveller.moment.tasks):
            return f"unknown: {task} does not live here"
        try:
            return shown(self.traveller.evaluate(expression, task or None))
        except Exception as error:  # of the expression
            return f"{type(error).__name__}: {error}"

    def emptyline(self) -> bool:
        """Repeat the last command."""
        return self.onecmd(self.lastcmd) if self.lastcmd else False


class GivenLines:
    """The commands that a session was given, as the input of a debugger inside of it."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def readline(self) -> str:
        """The next of them, which is shown; empty where they end."""
        if not self.lines:
            return ""
        line = self.lines.pop(0)
        click.echo(line)
        return f"{line}\n"


_LETTERS = {
    "s": "step",
    "b": "back",
    "f": "failure",
    "g": "goto",
    "n": "next",
    "p": "print",
    "u": "until",
    "w": "where",
    "l": "list",
    "t": "task",
    "q": "quit",
    "exit": "quit",
}


def _typed() -> list[str]:
    """The lines that were typed, for the keys that bring them back."""
    if readline is None:
        return []
    count = readline.get_current_history_length()
    return [readline.get_history_item(at) for at in range(max(count - TYPED_MAX, 0) + 1, count + 1)]


def _type_again(lines: list[str]) -> None:
    if readline is not None:
        readline.clear_history()
        for line in lines:
            readline.add_history(line)


def _will(step: Step) -> str:
    did = describe_events(step)
    how = "goes on later" if step.outcome == "checkpoint" else wait_shown(step.outcome)
    return visible_line(f"does: {did}; then: {how}" if did else f"runs until: {how}")
