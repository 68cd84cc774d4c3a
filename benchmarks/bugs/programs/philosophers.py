"""Dining philosophers: all take the left fork and wait for the right one forever.

Source: Dijkstra, EWD 310, 1971; SCTBench, CS.din_phil5_sat and din_phil7_sat. The bug: every philosopher has taken the
left fork before any has taken the right one.

Departures: SCTBench's assertion counts philosophers that have eaten and so fails in every schedule that ends; taken
literally it shows no concurrency bug. This is the deadlock that it is named after; each eats once.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, Worker, nothing_to_check


class Table:
    """The forks, and how many have eaten."""

    def __init__(self, seats: int) -> None:
        self.forks = [threading.Lock() for _ in range(seats)]
        self.meals = [0] * seats


def philosopher(seat: int, first: int, second: int) -> Worker:
    """One who takes the fork ``first`` before the fork ``second``."""

    def dine(table: Table) -> None:
        with table.forks[first]:
            with table.forks[second]:
                table.meals[seat] += 1

    return dine


def buggy(seats: int) -> ThreadProgram:
    workers = [philosopher(seat, seat, (seat + 1) % seats) for seat in range(seats)]
    return ThreadProgram(lambda: Table(seats), workers, nothing_to_check)


def fixed(seats: int) -> ThreadProgram:
    """The repair: forks are taken in the order of their numbers (Dijkstra's own)."""
    workers = [philosopher(seat, *sorted((seat, (seat + 1) % seats))) for seat in range(seats)]
    return ThreadProgram(lambda: Table(seats), workers, nothing_to_check)
