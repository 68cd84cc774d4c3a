"""Objects of a program in one line of text each: bounded in length, and the same in every process."""

from __future__ import annotations

import re
import reprlib
from typing import Any

_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


class _OneLine(reprlib.Repr):
    """One line for any object: bounded, sets in order, no addresses, and no error of the object's own."""

    def __init__(self) -> None:
        super().__init__()
        self.maxdict = self.maxlist = self.maxtuple = self.maxset = self.maxfrozenset = self.maxdeque = 12
        self.maxstring = self.maxother = 200
        self.maxlevel = 4

    def repr_instance(self, x: Any, level: int) -> str:
        try:
            text = repr(x)
        except Exception as error:
            return f"<{type(x).__name__}, whose repr raises {type(error).__name__}>"
        text = _ADDRESS.sub("", text)
        return text if len(text) <= self.maxother else text[: self.maxother - 3] + "..."


_one_line = _OneLine()


def shown(value: object) -> str:
    """``value`` in one bounded line that is the same in every process."""
    return _ADDRESS.sub("", _one_line.repr(value)).replace("\n", " ")
