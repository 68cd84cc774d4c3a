"""A simulated world: named machines on a network, inside one run, with every fault seeded, counted and recorded."""

from detrun.world.fault_counts import FaultCounts as FaultCounts
from detrun.world.latency import Constant as Constant
from detrun.world.latency import Distribution as Distribution
from detrun.world.latency import Exponential as Exponential
from detrun.world.latency import LogNormal as LogNormal
from detrun.world.latency import Uniform as Uniform
from detrun.world.link import Link as Link
from detrun.world.link import Packet as Packet
from detrun.world.mailbox import Envelope as Envelope
from detrun.world.node import Node as Node
from detrun.world.node import this_node as this_node
from detrun.world.rules import Rule as Rule
from detrun.world.rules import Verdict as Verdict
from detrun.world.world import World as World
