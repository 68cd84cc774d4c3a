"""The numbers of one robot; each may be a `Value`. `settings_of` takes them from the scenario's parameters by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from detrun_scenarios.robot.control.network import Network, network_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """See the declaration of the scenario for each number's unit and meaning; `network` has many of them."""

    speed_noise: Any
    turn_noise: Any
    gyro_noise: Any
    range_noise: Any
    bearing_noise: Any
    speed_wander: Any
    turn_wander: Any
    fusion_timeout: Any
    along_weight: Any
    cross_weight: Any
    heading_weight: Any
    speed_cost: Any
    turn_cost: Any
    path_weight: Any
    effort_weight: Any
    last_weight: Any
    pace: Any
    slow_for_curvature: Any
    slow_for_closeness: Any
    slow_for_doubt: Any
    hurry: Any
    shoulder_stiffness: Any
    shoulder_damping: Any
    elbow_stiffness: Any
    elbow_damping: Any
    camera_slice: Any
    watchdog_timeout: Any
    network: Network


def settings_of(params: Mapping[str, Any]) -> Settings:
    """The settings that parameters stand for."""
    named = {one.name: params[one.name] for one in fields(Settings) if one.name != "network"}
    return Settings(**named, network=network_of(params))
