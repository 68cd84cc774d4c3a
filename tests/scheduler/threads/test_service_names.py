"""Names of services come from a table of the run's, which says what the registries say."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

import detrun
from detrun_scheduler.threads.service_names import NAMES, port_of

CALLS: tuple[Any, ...] = (
    lambda: (socket.getservbyname("http"), socket.getservbyname("ntp", "udp"), socket.getservbyname("ssh", "tcp")),
    lambda: (socket.getservbyport(443), socket.getservbyport(69, "udp"), socket.getprotobyname("udp")),
    lambda: socket.getaddrinfo("localhost", "postgresql", type=socket.SOCK_STREAM)[0][4][1],
)


def test_names_and_numbers() -> None:
    assert [detrun.record(call).result for call in CALLS] == [(80, 123, 22), ("https", "tftp", 17), 5432]
    assert socket.getservbyname is NAMES.originals["getservbyname"]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: socket.getservbyname("no such service"), "service/proto not found"),
        (lambda: socket.getservbyname("ssh", "udp"), "service/proto not found"),
        (lambda: socket.getservbyport(65_001), "port/proto not found"),
        (lambda: socket.getprotobyname("no such protocol"), "protocol not found"),
        (lambda: socket.getservbyport(70_000), "port must be 0-65535"),
        (lambda: socket.getservbyname(80), "must be str"),  # type: ignore[arg-type]  # as in life
        (lambda: socket.getaddrinfo("localhost", "no such service"), "Servname not supported"),
    ],
)
def test_errors_are_those_of_life(call: Any, words: str) -> None:
    with pytest.raises((OSError, OverflowError, TypeError), match=words):
        detrun.record(call)
    with pytest.raises((OSError, OverflowError, TypeError), match=words):
        call()


def test_the_table_agrees_with_the_machines_file_where_both_know_a_name() -> None:
    file = Path("/etc/services")
    if not file.exists():
        pytest.skip("this machine has no list of services")
    known = 0
    for line in file.read_text().splitlines():
        words = line.partition("#")[0].split()
        if len(words) >= 2:
            port, _, protocol = words[1].partition("/")
            try:
                found = port_of(words[0], protocol)
            except OSError:
                continue
            assert found == int(port), line
            known += 1
    assert known > 20
