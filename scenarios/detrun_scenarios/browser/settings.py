"""The numbers of one browser; each may be a `Value`. `settings_of` takes them from the parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

VARIABLES = {
    "column": "column_width",
    "gap": "card_gap",
    "font": "font_size",
    "leading": "line_height",
    "padding": "card_padding",
    "reserved": "reserved_height",
}
"""Names of ``var(--…)`` in the style sheet of the site, with the settings that they stand for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See the declaration of the scenario for each number's unit and meaning."""

    column_width: Any
    card_gap: Any
    card_padding: Any
    font_size: Any
    line_height: Any
    reserved_height: Any
    prefetch_distance: Any
    style_priority: Any
    script_priority: Any
    image_priority: Any
    bandwidth: Any
    latency: Any
    work_budget: Any

    def variables(self) -> dict[str, Any]:
        """What style sheets find under ``var(--…)``."""
        return {name: getattr(self, setting) for name, setting in VARIABLES.items()}


def settings_of(params: Mapping[str, Any]) -> Settings:
    """The settings that parameters stand for."""
    return Settings(**{one.name: params[one.name] for one in fields(Settings)})
