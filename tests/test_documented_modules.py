"""Documented modules: every file and module that the architecture's page and the glossary name exists."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCHITECTURE = ROOT / "docs" / "architecture.md"
GLOSSARY = ROOT / "docs" / "glossary.md"
PACKAGES = {
    "": ROOT / "detrun",
    "scheduler:": ROOT / "scheduler" / "detrun_scheduler",
    "recorder:": ROOT / "recorder" / "detrun_recorder",
}
ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \| `(detrun[\w.]*)` \|$", re.MULTILINE)
TEXT_BLOCK = re.compile(r"^```text\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LIFE_LINE = re.compile(r"^ *((?:scheduler:|recorder:)?)([\w/]+\.py)(?: |$)", re.MULTILINE)
FULL_PATH = re.compile(r"`((?:detrun|scheduler|recorder|tests|docs)/[\w/]+\.(?:py|md))`")


def terms() -> list[tuple[str, str]]:
    """The words of the glossary, each with the module that defines it."""
    return ROW.findall(GLOSSARY.read_text())


def test_every_row_of_the_glossary_is_read():
    lines = [line for line in GLOSSARY.read_text().splitlines() if line.startswith("| ")]
    headings = [line for line in lines if line.startswith("| word ")]
    assert len(terms()) == len(lines) - len(headings)


def test_every_word_of_the_glossary_stands_in_it_once():
    words = [word for word, _ in terms()]
    assert sorted(words) == sorted(set(words))


def test_every_module_that_the_glossary_names_exists():
    assert [module for _, module in terms() if find_spec(module) is None] == []


def test_every_file_that_a_life_passes_exists():
    _, *lives = TEXT_BLOCK.findall(ARCHITECTURE.read_text())
    assert len(lives) == 5
    passed = [(package, path) for life in lives for package, path in LIFE_LINE.findall(life)]
    assert len(passed) == sum(1 for life in lives for line in life.splitlines() if line)
    assert [package + path for package, path in passed if not (PACKAGES[package] / path).is_file()] == []


def test_every_file_that_the_architecture_names_in_full_exists():
    named = FULL_PATH.findall(ARCHITECTURE.read_text())
    assert named
    assert [path for path in named if not (ROOT / path).is_file()] == []


def test_the_map_has_every_room_and_none_besides():
    lines = TEXT_BLOCK.findall(ARCHITECTURE.read_text())[0].splitlines()
    shown: set[Path] = set()
    top = within = ROOT
    for line in lines:
        names = re.findall(r"[\w/]+/(?= )|\b\w+\.py\b", re.split(r"  +", line.strip())[0] + " ")
        indent = len(line) - len(line.lstrip())
        place = ROOT if indent == 0 else top if indent == 2 else within
        for name in names:
            shown.add(place / name)
        if indent == 0:
            top = ROOT / names[0]
        elif indent == 2 and names and names[0].endswith("/"):
            within = top / names[0]
    assert [str(path) for path in shown if not path.exists()] == []
    rooms = {file.parent for package in PACKAGES.values() for file in package.rglob("__init__.py")}
    assert rooms <= {path if path.is_dir() else path.parent for path in shown}
