"""The planted bugs by name, each as the parts of an engine that has it."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.physics.bugs.contact_order import ContactOrder
from detrun_scenarios.physics.bugs.shared_body import SharedBody
from detrun_scenarios.physics.bugs.unsynchronized_broad_phase import UnsynchronizedBroadPhase
from detrun_scenarios.physics.dynamics.parts import Parts

BUGS: Mapping[str, Parts] = {
    "unsynchronized_broad_phase": Parts(broad_phase=UnsynchronizedBroadPhase),
    "contact_order": Parts(colours=ContactOrder),
    "shared_body": Parts(links=SharedBody),
}
