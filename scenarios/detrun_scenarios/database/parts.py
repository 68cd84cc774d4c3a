"""`Parts`: what a server is made of. A planted bug is a subclass of one of them that differs in one method."""

from __future__ import annotations

from dataclasses import dataclass

from detrun_scenarios.database.replication.batches import Batches
from detrun_scenarios.database.storage.buffer import BufferPool
from detrun_scenarios.database.transactions.conflicts import Conflicts
from detrun_scenarios.database.transactions.transaction import Transaction
from detrun_scenarios.database.tree.btree import Tree


@dataclass(frozen=True, slots=True)
class Parts:
    """The classes. Methods that bugs replace: `Transaction.may_end` and `make_durable`, `Conflicts.ignores`,
    `BufferPool.opened` and `may_go`, `Tree._split_leaf`, `Batches.next_to_apply`.
    """

    transaction: type[Transaction] = Transaction
    conflicts: type[Conflicts] = Conflicts
    pool: type[BufferPool] = BufferPool
    tree: type[Tree] = Tree
    batches: type[Batches] = Batches


RIGHT = Parts()
