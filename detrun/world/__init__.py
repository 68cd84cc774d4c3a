"""A simulated world: named machines on a network, inside one run, with every fault seeded, counted and recorded.

Names are imported on first use: what needs one part of a world does not wait for the others, 0.1 s in each process
that is started. They are listed twice, for type checkers and as data, and a test compares the two lists.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING
from typing import Any as _Any

if TYPE_CHECKING:
    from detrun.world.fault_counts import FaultCounts as FaultCounts
    from detrun.world.faults.buggify import buggify_sites as buggify_sites
    from detrun.world.faults.injection import FaultWithoutEffectError as FaultWithoutEffectError
    from detrun.world.faults.injection import Injection as Injection
    from detrun.world.faults.injection import inject as inject
    from detrun.world.faults.kinds import Bandwidth as Bandwidth
    from detrun.world.faults.kinds import Buggify as Buggify
    from detrun.world.faults.kinds import ClockDrift as ClockDrift
    from detrun.world.faults.kinds import ClockSkew as ClockSkew
    from detrun.world.faults.kinds import ClockStep as ClockStep
    from detrun.world.faults.kinds import Clog as Clog
    from detrun.world.faults.kinds import Crash as Crash
    from detrun.world.faults.kinds import DiskFault as DiskFault
    from detrun.world.faults.kinds import Duplication as Duplication
    from detrun.world.faults.kinds import FaultPlanError as FaultPlanError
    from detrun.world.faults.kinds import LinkLatency as LinkLatency
    from detrun.world.faults.kinds import Loss as Loss
    from detrun.world.faults.kinds import Partition as Partition
    from detrun.world.faults.kinds import Pause as Pause
    from detrun.world.faults.kinds import PowerLoss as PowerLoss
    from detrun.world.faults.kinds import Reordering as Reordering
    from detrun.world.faults.kinds import Reset as Reset
    from detrun.world.faults.kinds import Restart as Restart
    from detrun.world.faults.kinds import Resume as Resume
    from detrun.world.faults.kinds import SlowTail as SlowTail
    from detrun.world.faults.kinds import Upgrade as Upgrade
    from detrun.world.faults.liveness import NotConvergedError as NotConvergedError
    from detrun.world.faults.liveness import heal_everything as heal_everything
    from detrun.world.faults.plan import FaultPlan as FaultPlan
    from detrun.world.faults.plan import load_plan as load_plan
    from detrun.world.faults.plan import plan_from_toml as plan_from_toml
    from detrun.world.faults.swarm import Swarm as Swarm
    from detrun.world.network.latency import Constant as Constant
    from detrun.world.network.latency import Distribution as Distribution
    from detrun.world.network.latency import Exponential as Exponential
    from detrun.world.network.latency import LogNormal as LogNormal
    from detrun.world.network.latency import Uniform as Uniform
    from detrun.world.network.link import Link as Link
    from detrun.world.network.mailbox import Envelope as Envelope
    from detrun.world.network.packet import Packet as Packet
    from detrun.world.network.rules import Rule as Rule
    from detrun.world.network.rules import Verdict as Verdict
    from detrun.world.network.settings import LinkSettings as LinkSettings
    from detrun.world.nodes.node import Node as Node
    from detrun.world.nodes.node import this_node as this_node
    from detrun.world.world import World as World

_LAZY = {
    "Bandwidth": "detrun.world.faults.kinds",
    "Buggify": "detrun.world.faults.kinds",
    "ClockDrift": "detrun.world.faults.kinds",
    "ClockSkew": "detrun.world.faults.kinds",
    "ClockStep": "detrun.world.faults.kinds",
    "Clog": "detrun.world.faults.kinds",
    "Constant": "detrun.world.network.latency",
    "Crash": "detrun.world.faults.kinds",
    "DiskFault": "detrun.world.faults.kinds",
    "Distribution": "detrun.world.network.latency",
    "Duplication": "detrun.world.faults.kinds",
    "Envelope": "detrun.world.network.mailbox",
    "Exponential": "detrun.world.network.latency",
    "FaultCounts": "detrun.world.fault_counts",
    "FaultPlan": "detrun.world.faults.plan",
    "FaultPlanError": "detrun.world.faults.kinds",
    "FaultWithoutEffectError": "detrun.world.faults.injection",
    "Injection": "detrun.world.faults.injection",
    "Link": "detrun.world.network.link",
    "LinkLatency": "detrun.world.faults.kinds",
    "LinkSettings": "detrun.world.network.settings",
    "LogNormal": "detrun.world.network.latency",
    "Loss": "detrun.world.faults.kinds",
    "Node": "detrun.world.nodes.node",
    "NotConvergedError": "detrun.world.faults.liveness",
    "Packet": "detrun.world.network.packet",
    "Partition": "detrun.world.faults.kinds",
    "Pause": "detrun.world.faults.kinds",
    "PowerLoss": "detrun.world.faults.kinds",
    "Reordering": "detrun.world.faults.kinds",
    "Reset": "detrun.world.faults.kinds",
    "Restart": "detrun.world.faults.kinds",
    "Resume": "detrun.world.faults.kinds",
    "Rule": "detrun.world.network.rules",
    "SlowTail": "detrun.world.faults.kinds",
    "Swarm": "detrun.world.faults.swarm",
    "Uniform": "detrun.world.network.latency",
    "Upgrade": "detrun.world.faults.kinds",
    "Verdict": "detrun.world.network.rules",
    "World": "detrun.world.world",
    "buggify_sites": "detrun.world.faults.buggify",
    "heal_everything": "detrun.world.faults.liveness",
    "inject": "detrun.world.faults.injection",
    "load_plan": "detrun.world.faults.plan",
    "plan_from_toml": "detrun.world.faults.plan",
    "this_node": "detrun.world.nodes.node",
}


def __getattr__(name: str) -> _Any:
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = globals()[name] = getattr(_import_module(_LAZY[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
