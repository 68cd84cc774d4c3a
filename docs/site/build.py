"""Builds the documentation site into build/site: `python docs/site/build.py`, or `make site`.

Its search needs a server: `python -m http.server -d build/site`.

The site is the tree's own Markdown, laid out as it lies here, so that relative links hold on the site, on a code host
and on the disk alike. Added are a page for each group of public names, whose text is their docstrings, and one with the
help of every command. Warnings are errors: a dangling link, a page that stands in no menu, a name that cannot be found.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import detrun
import detrun.testing
import detrun.world
from detrun.cli.application import application

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCE, SITE = ROOT / "build" / "site-source", ROOT / "build" / "site"
ADDRESSES = ("https://github.com/detrun/detrun/blob/main/", "https://raw.githubusercontent.com/detrun/detrun/main/")
GROUPS = {  # of public names: by the beginning of the module that defines them, the longest first
    "Recording and replaying": (
        "detrun.runs",
        "detrun.execution",
        "detrun.inspection",
        "detrun.determinism",
        "detrun.version",
    ),
    "Exploring": ("detrun.explore", "detrun.testing", "detrun.checkers"),
    "Differentiating": (
        "detrun.gradients",
        "detrun.minimizing",
        "detrun.counterfactuals",
        "detrun.machines",
        "detrun.relaxed",
    ),
    "Numbers that are differentiated": ("detrun.ad",),
    "Shared memory, draws and time": ("detrun.primitives", "detrun.messages", "detrun.effects"),
    "Worlds": ("detrun.world",),
    "Errors": ("detrun.errors", "detrun_scheduler", "detrun_recorder"),
}


def public_names() -> Iterator[tuple[str, object]]:
    """Every name that can be imported from the public packages, with what it is."""
    for package in (detrun, detrun.world, detrun.testing):
        listed = getattr(package, "__all__", None) or dir(package)
        for name in sorted(listed):
            thing = getattr(package, name)
            if not name.startswith("_") and getattr(thing, "__module__", "").startswith("detrun"):
                yield f"{package.__name__}.{name}", thing


def group_of(module: str) -> str:
    """Where a name stands whose module this is."""
    fitting = [
        (len(prefix), group) for group, prefixes in GROUPS.items() for prefix in prefixes if module.startswith(prefix)
    ]
    if not fitting:
        raise LookupError(f"no group of docs/site/build.py has {module}; add it to GROUPS")
    return max(fitting)[1]


def reference_pages() -> dict[str, str]:
    """The pages of public names, by file name."""
    names: dict[str, list[str]] = {group: [] for group in GROUPS}
    said: set[tuple[str, str]] = set()
    for path, thing in public_names():
        place = getattr(thing, "__module__", ""), getattr(thing, "__qualname__", path)
        if place not in said:  # `World` is in detrun and in detrun.world
            said.add(place)
            names[group_of(place[0])].append(
                f"::: {place[0]}.{path.rpartition('.')[2]}\n    options:\n      heading: {path}\n"
            )
    pages = {}
    for group, entries in names.items():
        pages[f"{re.sub('[^a-z]+', '-', group.lower())}.md"] = f"# {group}\n\n" + "\n".join(entries)
    pages["commands.md"] = commands_page()
    return pages


def commands_page() -> str:
    """The help of every command, as it prints it."""
    parts = ["# Help of the commands\n", "[The command line](../docs/command-line.md) says more of each.\n"]
    for name, command in commands(application, "detrun"):
        context = click.Context(command, info_name=name)
        parts.append(f"## {name}\n\n```text\n{command.get_help(context)}\n```\n")
    return "\n".join(parts)


def commands(group: click.Group, path: str) -> Iterator[tuple[str, click.Command]]:
    """Commands of a group and of the groups in it, by the words with which they are called."""
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        assert command is not None
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")
        else:
            yield f"{path} {name}", command


def lay_out() -> None:
    """Copy what git tracks of Markdown and pictures, and write the pages that are made."""
    shutil.rmtree(SOURCE, ignore_errors=True)
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "docs/figures/*.png",
        "scenarios/detrun_scenarios/**/*.md",
        "scenarios/**/*.png",
    ):
        for file in sorted(ROOT.glob(pattern)):
            target = SOURCE / file.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    shutil.copyfile(ROOT / "LICENSE", SOURCE / "LICENSE")
    # README's links are whole addresses, since a package index shows it, too. On the site they stay on the site.
    readme = SOURCE / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub("|".join(map(re.escape, ADDRESSES)), "", text), encoding="utf-8")
    folder = SOURCE / "reference"
    folder.mkdir()
    pages = reference_pages()
    for name, text in pages.items():
        (folder / name).write_text(text, encoding="utf-8")
    settings = (HERE / "mkdocs.yml").read_text()
    systems = sorted(file.relative_to(ROOT).as_posix() for file in ROOT.glob("scenarios/detrun_scenarios/**/README.md"))
    settings = settings.replace(" SYSTEMS", "".join(f"\n      - {path.split('/')[-2]}: {path}" for path in systems))
    settings = settings.replace("      - REFERENCE\n", "".join(f"      - reference/{name}\n" for name in pages))
    (ROOT / "build" / "mkdocs.yml").write_text(settings.replace("../../build/", "").replace("../..", ".."))


def main() -> int:
    """Lay out the tree and build it; the exit code of mkdocs."""
    lay_out()
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-f", str(ROOT / "build" / "mkdocs.yml")]
    # Its authors announce a successor at each start.
    code = subprocess.run(command, cwd=ROOT, env={**os.environ, "NO_MKDOCS_2_WARNING": "1"}).returncode
    if code == 0:
        print(f"built {SITE.relative_to(ROOT)}/index.html: {sum(1 for _ in SITE.rglob('*.html'))} pages")
    return code


if __name__ == "__main__":
    sys.exit(main())
