"""The queue M/M/c, which the cluster is under a steady load while the scaler stands still.

The probability that a request has to wait is Erlang's C formula; it waits for ``C / (c / s - rate)`` seconds in the
mean, with c machines that take s seconds. Source: Erlang 1917; Kleinrock, "Queueing systems" I (1975), section 3.5.
"""

from __future__ import annotations


def probability_of_loss(machines: int, offered: float) -> float:
    """Erlang's B, of machines without a queue, by its recursion over their number.

    Args:
        offered: rate times mean service time.
    """
    blocked = 1.0
    for number in range(1, machines + 1):
        blocked = offered * blocked / (number + offered * blocked)
    return blocked


def probability_of_waiting(machines: int, offered: float) -> float:
    """Erlang's C, from his B.

    Args:
        offered: rate times mean service time, less than the machines.
    """
    blocked = probability_of_loss(machines, offered)
    return blocked / (1.0 - offered / machines * (1.0 - blocked))


def mean_wait(machines: int, rate: float, service_seconds: float) -> float:
    """In seconds."""
    return probability_of_waiting(machines, rate * service_seconds) / (machines / service_seconds - rate)


def mean_wait_by_service(machines: int, rate: float, service_seconds: float) -> float:
    """The derivative of `mean_wait` by the service time; of B by the offered load it is B (c/a - 1 + B)."""
    offered = rate * service_seconds
    blocked = probability_of_loss(machines, offered)
    by_offered = blocked * (machines / offered - 1.0 + blocked)
    load, room = offered / machines, 1.0 - offered / machines * (1.0 - blocked)
    waiting = blocked / room
    waiting_by_offered = by_offered / room - blocked / room**2 * (-(1.0 - blocked) / machines + load * by_offered)
    rest = machines / service_seconds - rate
    return waiting_by_offered * rate / rest + waiting * machines / service_seconds**2 / rest**2
