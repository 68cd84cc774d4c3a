"""Which names of a module stand for something else during a run, and how the originals come back.

The rule: `install` changes nothing unless it can change everything, and `restore` puts back the very objects that
`install` found, whatever the program assigned in between. Between the two, `originals` is what other OS threads must
be sent to; a replacement decides by thread and falls through to it, so a program that kept a replacement under a name
of its own (``from time import sleep`` in a module first imported inside a run) still has a working function after it.
"""

from __future__ import annotations

from collections.abc import Mapping
from operator import is_, itemgetter
from types import ModuleType
from typing import Any


class ReplacedNames:
    """The names of one module that are replaced together. One per module and process; half a µs to install."""

    __slots__ = ("_find", "_found", "_namespace", "_replacements", "originals")

    def __init__(self, module: ModuleType, replacements: Mapping[str, object]) -> None:
        # A name that this platform or Python lacks stays absent: a program must not find time.clock_gettime on Windows.
        self._namespace = vars(module)
        self._replacements = {name: value for name, value in replacements.items() if name in self._namespace}
        self.originals: dict[str, Any] = {name: self._namespace[name] for name in self._replacements}
        # All values at once. The first name twice, since for a single one itemgetter would give no tuple.
        names = list(self._replacements)
        self._find = itemgetter(*names[:1], *names) if names else tuple
        self._found = self._find(self._namespace)

    def install(self, fresh: Mapping[str, object] | None = None) -> None:
        """Replace the names. The caller makes sure that they are not replaced already.

        Args:
            fresh: what some of the names stand for in this run, instead of what was given once for all.
        """
        # A dict update and not setattr by name: the keys stay the same, so that caches on the module stay valid.
        namespace = self._namespace
        found = self._find(namespace)
        if not all(map(is_, found, self._found)):
            self.originals, self._found = {name: namespace[name] for name in self._replacements}, found
        namespace.update(self._replacements)
        if fresh is not None:
            namespace.update(fresh)

    def restore(self) -> None:
        """Put the originals back."""
        self._namespace.update(self.originals)
