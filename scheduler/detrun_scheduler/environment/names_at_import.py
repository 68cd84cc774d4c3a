"""Names of a module that a program may import only within a run: they are replaced from then on.

detrun itself does not import the module, which may be slow or missing.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from detrun_scheduler.environment import hidden_state
from detrun_scheduler.environment.replaced_names import ReplacedNames


class ReplacedAtImport:
    """The names of one module that are replaced together, as by `ReplacedNames`, once the module is there.

    Args:
        module: its full name.
        replacements: what each name stands for in a run.
    """

    def __init__(self, module: str, replacements: Mapping[str, object]) -> None:
        self._module = module
        self._replacements = replacements
        self._names: ReplacedNames | None = None

    def install(self) -> None:
        """Replace them, now or at the import."""
        if self._names is None and not isinstance(sys.modules.get(self._module), ModuleType):
            hidden_state.at_import[self._module] = self._install
            return
        self._install()

    def _install(self) -> None:
        hidden_state.at_import.pop(self._module, None)
        if self._names is None:
            self._names = ReplacedNames(import_module(self._module), self._replacements)
        self._names.install()

    def restore(self) -> None:
        """Put them back."""
        hidden_state.at_import.pop(self._module, None)
        if self._names is not None:
            self._names.restore()

    @property
    def originals(self) -> dict[str, Any]:
        """What stood under the names before the run; nothing before the import."""
        return {} if self._names is None else self._names.originals
