"""The modules that the glossary names exist, and every word stands in it once."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

GLOSSARY = Path(__file__).resolve().parent.parent / "docs" / "glossary.md"
ROW = re.compile(r"^\| ([^|]+) \| [^|]+ \| `(detrun[\w.]*)` \|$", re.MULTILINE)


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
