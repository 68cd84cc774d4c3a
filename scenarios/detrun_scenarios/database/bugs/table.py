"""The planted bugs by name, each as the parts of a server that has it."""

from __future__ import annotations

from collections.abc import Mapping

from detrun_scenarios.database.bugs.ack_before_fsync import AckBeforeFsync
from detrun_scenarios.database.bugs.evicted_while_pinned import EvictedWhilePinned
from detrun_scenarios.database.bugs.latch_order import LatchOrder
from detrun_scenarios.database.bugs.lost_update import LostUpdate
from detrun_scenarios.database.bugs.replica_out_of_order import ReplicaOutOfOrder
from detrun_scenarios.database.bugs.torn_page_accepted import TornPageAccepted
from detrun_scenarios.database.bugs.write_skew import WriteSkew
from detrun_scenarios.database.parts import Parts

BUGS: Mapping[str, Parts] = {
    "ack_before_fsync": Parts(transaction=AckBeforeFsync),
    "write_skew": Parts(conflicts=WriteSkew),
    "lost_update": Parts(transaction=LostUpdate),
    "torn_page_accepted": Parts(pool=TornPageAccepted),
    "evicted_while_pinned": Parts(pool=EvictedWhilePinned),
    "latch_order": Parts(tree=LatchOrder),
    "replica_out_of_order": Parts(batches=ReplicaOutOfOrder),
}
