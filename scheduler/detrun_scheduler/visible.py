"""Texts as a terminal may be given them: characters that would control it, or reorder the line, are written out.

Names of tasks and objects, messages of exceptions and paths come from programs, recordings and campaign files, and a
recording may be somebody else's. A text with an escape sequence could set the title of the terminal, clear what was
shown before or hide a link; one with a bidirectional control reads other than it is ("Trojan Source", Boucher and
Anderson, 2021). Everything that detrun shows passes through here, once, where it leaves: pages of the command line,
messages of detrun's errors, sections of a test report, and JSON.

What is escaped: the control characters C0, DEL and C1 but for the line feed and the tabulator, bidirectional and other
invisible formatting characters but for the joiners that scripts and emoji need, line and paragraph separators, tags,
and lone surrogates, which no terminal takes.
"""

from __future__ import annotations

import re

_CONTROLS = (
    r"\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0, DEL, C1
    r"\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"
    r"\U000e0000-\U000e007f\ud800-\udfff"
)
# Compiled where they are first needed, and kept by `re`: most texts are plain.
_IN_TEXT = f"[{_CONTROLS}]"
_IN_LINE = rf"[{_CONTROLS}\n\t]"


def visible(text: str) -> str:
    r"""``text`` with controls written as Python writes them, ``\x1b``; lines stay lines."""
    return text if text.isascii() and text.isprintable() else re.sub(_IN_TEXT, _escaped, text)


def visible_line(text: str) -> str:
    """The same for what must not begin a line of its own: a name, a cell of a table."""
    return text if text.isascii() and text.isprintable() else re.sub(_IN_LINE, _escaped, text)


def visible_json(document: str) -> str:
    """A JSON document with the same characters as JSON's own escapes, so that it says what it said."""
    import json

    return re.sub(_IN_TEXT, lambda found: json.dumps(found[0])[1:-1], document)


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")
