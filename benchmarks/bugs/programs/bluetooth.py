"""Bluetooth driver: a request is served after the driver has been stopped.

Source: Qadeer and Wu, "KISS: keep it simple and sequential", PLDI 2004; SCTBench, CS.bluetooth_driver_bad. The bug: the
adding thread has seen that the driver is not stopping but has not yet counted itself as pending; the stopping thread
raises the flag, counts down to zero and frees the resources; then the first one goes on and uses them.

Departures: the original's atomic sections are sections of one lock. The adding thread is started by main.
"""

import threading

from benchmarks.bugs.thread_program import ThreadProgram, nothing_to_check


class Device:
    """The device extension."""

    def __init__(self) -> None:
        self.pending = 1
        self.stopping = False
        self.stop_event = False
        self.stopped = False
        self.atomic = threading.Lock()


def enter(device: Device) -> bool:
    if device.stopping:
        return False
    with device.atomic:
        device.pending += 1
    return True


def enter_atomically(device: Device) -> bool:
    with device.atomic:
        if device.stopping:
            return False
        device.pending += 1
    return True


def leave(device: Device) -> None:
    with device.atomic:
        device.pending -= 1
        pending = device.pending
    if pending == 0:
        device.stop_event = True


def add(device: Device) -> None:
    if enter(device):
        assert not device.stopped, "used after it was stopped"
        leave(device)


def add_fixed(device: Device) -> None:
    if enter_atomically(device):
        assert not device.stopped, "used after it was stopped"
        leave(device)


def stop(device: Device) -> None:
    device.stopping = True
    leave(device)
    if device.stop_event:
        device.stopped = True


def stop_fixed(device: Device) -> None:
    with device.atomic:
        device.stopping = True
    leave(device)
    if device.stop_event:
        device.stopped = True


BUGGY = ThreadProgram(Device, (stop, add), nothing_to_check)
FIXED = ThreadProgram(Device, (stop_fixed, add_fixed), nothing_to_check)
