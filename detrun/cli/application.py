"""The command ``detrun``: its subcommands, and the one place where failures become a message and an exit code.

Commands raise; nothing below this file prints an error or chooses an exit code for one. The command's modules are
light and import what they need when they run, so ``--help`` costs no more than ``import detrun``.

A package that stands above detrun adds a command by an entry point of the group ``detrun.commands``: the command's name
and a `click.Command`. It is looked for when a name is none of detrun's own, and for ``--help``.
"""

from __future__ import annotations

import errno
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from detrun.cli import check, debug, diff, explore, gradient, minimize, record, replay, report, show
from detrun.cli.options import Settings, speaking

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

ADDED = "detrun.commands"

EPILOG = """\b
Exit codes: 0 fine, 1 the program failed, 2 wrong usage, 3 a replay diverged or two runs differ,
4 not a readable recording, 5 deadlock or step limit, 6 no conclusion, 130 interrupted.

\b
Shell completion:  eval "$(_DETRUN_COMPLETE=bash_source detrun)"   (or zsh_source, fish_source)
"""


class Application(click.Group):
    """A group whose commands may raise anything, and to which other packages add."""

    def list_commands(self, context: click.Context) -> list[str]:
        """Its own in the order in which they are added below, then those that other packages add."""
        return [*self.commands, *(name for name in sorted(_added()) if name not in self.commands)]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        """One of its own, or one that another package adds.

        Raises:
            click.ClickException: what a package adds cannot be loaded.
        """
        if name in self.commands:
            return self.commands[name]
        found = _added().get(name)
        if found is None:
            return None
        try:
            command: click.Command = found.load()
        except Exception as error:
            raise click.ClickException(
                f"the command {name}, {found.value}, cannot be loaded: {type(error).__name__}: {error}; mend or "
                "uninstall the package that adds it"
            ) from error
        return command

    def invoke(self, context: click.Context) -> Any:
        """Run the command; end with the exit code of what it raises."""
        try:
            return super().invoke(context)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BaseException as error:  # a program may raise SystemExit, or Ctrl-C come in a group
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # the reader of a pipe has gone, as in `detrun show FILE | head`; click knows what to do
            _fail(context, error)


def _added() -> Mapping[str, EntryPoint]:
    """Commands of other packages, by name."""
    from importlib.metadata import entry_points  # a tenth of the time that `import detrun` takes

    return {one.name: one for one in entry_points(group=ADDED)}


def _fail(context: click.Context, error: BaseException) -> None:
    from detrun.cli import failures
    from detrun.cli.page import print_document

    settings = context.find_root().ensure_object(Settings)
    code = failures.exit_code_escaped(error)
    if settings.json:
        print_document(
            {
                "command": context.invoked_subcommand,
                "ok": False,
                "exit_code": code,
                "error": failures.describe(error),
            }
        )
    failures.print_failure(error, settings.debug or code == failures.INTERNAL)
    context.exit(code)


def _print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from detrun_recorder.header import installed_version

        click.echo(f"detrun {installed_version('detrun') or '(not installed)'}")
        context.exit()


@click.group(
    cls=Application,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_print_version, help="Show the version."
)
@speaking
def application() -> None:
    """Record, replay, explain and differentiate concurrent Python programs.

    TARGET names a function, async or not: path.py:function or module:function.
    """


for command in (
    record.record,
    replay.replay,
    check.check,
    explore.explore,
    show.show,
    report.report,
    diff.diff,
    debug.debug,
    gradient.gradient,
    minimize.minimize,
):
    application.add_command(command)
