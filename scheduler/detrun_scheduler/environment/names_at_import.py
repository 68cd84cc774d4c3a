"""Names of a module that a program may import only within a run: they are replaced from then on.

detrun itself does not import the module, which may be slow or missing. As long as it has not been imported, a campaign
waits for that once for all its runs.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import Any

from detrun_scheduler.environment import hidden_state
from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.environment.staying import STAYING


class AwaitedImport:
    """The import of one module, which a run waits for; in a campaign it goes on to wait between the runs.

    Args:
        module: the full name of the module.
        then: called once, when code of a run is about to import it.
    """

    def __init__(self, module: str, then: Callable[[], None]) -> None:
        self._module = module
        self._then = then
        self.stays = False  # whether it is waited for until the campaign is over

    def begin(self) -> None:
        """Wait for it."""
        hidden_state.at_import[self._module] = self._comes
        if STAYING.campaigns and not self.stays:
            self.stays = True
            STAYING.add(self)

    def _comes(self) -> None:
        self.leave()  # first: what imports it in `then` asks for this once more
        STAYING.divide_anew()
        self._then()

    def end_of_run(self) -> None:
        """Wait for it no longer, unless the next run of a campaign does, too."""
        if not self.stays:
            self.leave()

    def leave(self) -> None:
        """Wait for it no longer."""
        self.stays = False
        hidden_state.at_import.pop(self._module, None)


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
        self._import = AwaitedImport(module, lambda: self._install(import_module(module)))

    @property
    def stays(self) -> bool:
        """Whether the import is waited for until the campaign is over."""
        return self._import.stays

    def install(self) -> None:
        """Replace them, now or at the import."""
        module = sys.modules.get(self._module)
        if isinstance(module, ModuleType):
            self._install(module)
        else:
            self._names = None
            self._import.begin()

    def _install(self, module: ModuleType) -> None:
        self._import.leave()
        if self._names is None or self._names.owner is not module:
            self._names = ReplacedNames(module, self._replacements)
        self._names.install()

    def restore(self) -> None:
        """Put them back, or go on to wait for the import."""
        if self._names is not None:
            self._names.restore()
        else:
            self._import.end_of_run()

    @property
    def originals(self) -> dict[str, Any]:
        """What stood under the names before the run; nothing before the import."""
        return {} if self._names is None else self._names.originals
