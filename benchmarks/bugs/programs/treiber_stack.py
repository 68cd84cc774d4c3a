"""Treiber's stack with the ABA problem: a node comes back while another thread still holds what was below it.

Source: Treiber, "Systems programming: coping with parallelism", IBM RJ 5118, 1986; the problem is as old as
compare-and-swap (IBM System/370 Principles of Operation, appendix A). The bug: a pop has read the top node A and the
one below it, B; another thread pops A and B, keeps B, and pushes A again; the swap of A for B then succeeds, and B is
both on the stack and in use.

Departures: compare-and-swap is a section under a lock. The program itself reuses nodes, in the place of an allocator.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram


class Node:
    """An element, and what is below it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.below: Node | None = None


class Stack:
    """A lock-free stack of three nodes, and who holds which."""

    def __init__(self) -> None:
        self.swap = threading.Lock()  # makes compare-and-swap atomic
        self.top: Node | None = None
        self.held: list[Node] = []
        for name in "CBA":
            self.push(Node(name))

    def compare_and_swap(self, expected: Node | None, desired: Node | None) -> bool:
        with self.swap:
            if self.top is not expected:
                return False
            self.top = desired
            return True

    def push(self, node: Node) -> None:
        while True:
            top = self.top
            node.below = top
            if self.compare_and_swap(top, node):
                return

    def pop(self) -> Node | None:
        while True:
            top = self.top
            if top is None:
                return None
            below = top.below
            if self.compare_and_swap(top, below):
                return top


class TaggedStack(Stack):
    """The repair: a count of changes is compared together with the top."""

    def __init__(self) -> None:
        self.changes = 0
        super().__init__()

    def compare_and_swap_tagged(self, expected: Node | None, tag: int, desired: Node | None) -> bool:
        with self.swap:
            if self.top is not expected or self.changes != tag:
                return False
            self.top = desired
            self.changes += 1
            return True

    def push(self, node: Node) -> None:
        while True:
            tag = self.changes
            top = self.top
            node.below = top
            if self.compare_and_swap_tagged(top, tag, node):
                return

    def pop(self) -> Node | None:
        while True:
            tag = self.changes
            top = self.top
            if top is None:
                return None
            below = top.below
            if self.compare_and_swap_tagged(top, tag, below):
                return top


def take_one(stack: Stack) -> None:
    node = stack.pop()
    if node is not None:
        stack.held.append(node)


def take_two_put_one_back(stack: Stack) -> None:
    first = stack.pop()
    second = stack.pop()
    if first is not None:
        stack.push(first)
    if second is not None:
        stack.held.append(second)


def check(stack: Stack) -> None:
    names = [node.name for node in stack.held]
    node = stack.top
    while node is not None and len(names) <= 3:
        names.append(node.name)
        node = node.below
    assert sorted(names) == ["A", "B", "C"], f"nodes in use and on the stack: {names}"


BUGGY = ThreadProgram(Stack, (take_one, take_two_put_one_back), check)
FIXED = ThreadProgram(TaggedStack, (take_one, take_two_put_one_back), check)
