"""The planted bugs by name: an engine with one part that is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.physics.dynamics.parts import Parts

BUGS: Mapping[str, Parts] = {}
