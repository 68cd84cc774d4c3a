"""Names of a module that a program may import only within a run: they are replaced from then on.

detrun itself does not import the module, which may be slow or missing. As long as it has not been imported, a campaign
waits for that once for all its runs.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from detrun_scheduler.environment import hidden_state
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.environment.staying import STAYING


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
        self.stays = False  # whether the import is waited for until the campaign is over

    def install(self) -> None:
        """Replace them, now or at the import."""
        module = sys.modules.get(self._module)
        if isinstance(module, ModuleType):
            self._install(module)
        else:
            self._names = None
            hidden_state.at_import[self._module] = self._install_late
            if STAYING.campaigns and not self.stays:
                self.stays = True
                STAYING.add(self)

    def _install_late(self) -> None:
        STAYING.divide_anew()
        self.leave()  # first: what imports it here asks for this once more
        self._install(import_module(self._module))

    def _install(self, module: ModuleType) -> None:
        self.leave()
        if self._names is None or self._names.owner is not module:
            self._names = ReplacedNames(module, self._replacements)
        self._names.install()

    def restore(self) -> None:
        """Put them back, or go on to wait for the import."""
        if self._names is not None:
            self._names.restore()
        elif not self.stays:
            self.leave()

    def leave(self) -> None:
        """Wait for the import no longer."""
        self.stays = False
        hidden_state.at_import.pop(self._module, None)

    @property
    def originals(self) -> dict[str, Any]:
        """What stood under the names before the run; nothing before the import."""
        return {} if self._names is None else self._names.originals
