"""`ScenarioProgram`: the program of a scenario for one setting, as `detrun.record` and its siblings take it.

It is called with any of the scenario's parameters; the others are at their defaults. It can be pickled, if what the
scenario declares can: worker processes make the program again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from detrun_scenarios.frame.declaration import SIZES, Scenario, Setting
from detrun_scheduler.errors import UsageError

TARGETS = "detrun_scenarios.programs"
EXTRA = "detrun[scenarios]"


class ScenarioProgram:
    """An async function of parameters.

    Its result is the setting's loss, or a dict of all losses by name if the setting has none.

    Raises:
        UsageError: the program needs a package that is not installed.
    """

    def __init__(self, scenario: Scenario, setting: Setting) -> None:
        self.scenario = scenario
        self.setting = setting
        try:
            self._main = scenario.program(setting)
        except ModuleNotFoundError as error:
            raise UsageError(
                f"scenario {scenario.name} needs {error.name}, which is not installed; install it with: "
                f"pip install '{EXTRA}'"
            ) from error
        self.__wrapped__ = self._main  # so that `sometimes` and `reachable` of the system are found in its source

    async def __call__(self, params: Mapping[str, Any]) -> Any:
        """Run the system once."""
        losses = await self._main({**self.scenario.defaults, **params})
        wanted = self.setting.loss
        if wanted is None:
            return dict(losses)
        if wanted not in losses:
            raise UsageError(
                f"the program of scenario {self.scenario.name} returned no loss {wanted!r}, only "
                f"{', '.join(losses) or 'an empty dict'}; return every loss that is declared"
            )
        return losses[wanted]

    @property
    def detrun_target(self) -> str:
        """By which recordings and commands name it."""
        setting = self.setting
        loss = "" if setting.loss is None else f".loss_{setting.loss}"
        bug = "" if setting.bug is None else f".bug_{setting.bug}"
        spared = "" if setting.spared is None else f".without_{setting.spared}"
        return f"{TARGETS}:{self.scenario.name}.{setting.size}{loss}{bug}{spared}"

    def __getattr__(self, part: str) -> ScenarioProgram:
        """The same for another size, for a loss, with a bug, or without it where it is looked for."""
        size, loss, bug, spared = self.setting.size, self.setting.loss, self.setting.bug, self.setting.spared
        what, _, name = part.partition("_")
        try:
            if part in SIZES:
                setting = self.scenario.setting(part, loss, bug, spared)
            elif what == "loss":
                setting = self.scenario.setting(size, name, bug, spared)
            elif what == "bug":
                setting = self.scenario.setting(size, loss, name)
            elif what == "without":
                setting = self.scenario.setting(size, loss, spared=name)
            else:
                raise AttributeError(part)
        except UsageError as error:
            raise AttributeError(str(error)) from error
        return ScenarioProgram(self.scenario, setting)

    def __reduce__(self) -> tuple[type[ScenarioProgram], tuple[Scenario, Setting]]:
        return ScenarioProgram, (self.scenario, self.setting)

    def __repr__(self) -> str:
        return f"<{self.detrun_target}>"
