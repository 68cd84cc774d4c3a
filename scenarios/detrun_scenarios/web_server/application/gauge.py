"""`Gauge`: a number that a server tells its monitoring, one datagram a change, in the format of statsd."""

from __future__ import annotations

import trio

from detrun_scenarios.web_server.addresses import MONITOR, MONITOR_PORT


class Gauge:
    """See the module. A datagram may be lost; the next one has the whole number again."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.socket = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)

    async def show(self, number: int) -> None:
        """Send the number, and give others a turn."""
        await self.socket.sendto(f"{self.name}:{number}|g".encode(), (MONITOR, MONITOR_PORT))

    def close(self) -> None:
        """Send no more."""
        self.socket.close()


class Monitor:
    """The program of the node that listens; ``shown`` has the last number of each gauge."""

    def __init__(self) -> None:
        self.shown: dict[str, int] = {}

    async def run(self) -> None:
        """Take datagrams until cancelled."""
        socket = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
        await socket.bind(("0.0.0.0", MONITOR_PORT))
        while True:
            name, _, rest = (await socket.recvfrom(512))[0].decode().partition(":")
            self.shown[name] = int(rest.partition("|")[0])
