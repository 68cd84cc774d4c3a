"""Names of services and protocols in a run: a table of its own in place of the machine's files.

``socket.getservbyname``, ``getservbyport`` and ``getprotobyname`` read ``/etc/services`` and ``/etc/protocols``. These
differ between machines, and some machines lack them. The numbers here are those of IANA's registries (RFC 6335).
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from detrun_scheduler.environment.replaced_names import ReplacedNames
from detrun_scheduler.threads.calling import is_of_the_run

_TCP = {
    **{"ftp-data": 20, "ftp": 21, "ssh": 22, "telnet": 23, "smtp": 25, "whois": 43, "finger": 79, "pop3": 110},
    **{"nntp": 119, "imap2": 143, "bgp": 179, "submissions": 465, "submission": 587, "rsync": 873, "imaps": 993},
    **{"pop3s": 995, "socks": 1080, "git": 9418},
}
_UDP = {"bootps": 67, "bootpc": 68, "tftp": 69, "ntp": 123, "syslog": 514}
_BOTH = {
    **{"echo": 7, "discard": 9, "daytime": 13, "time": 37, "domain": 53, "http": 80, "kerberos": 88, "sunrpc": 111},
    **{"snmp": 161, "irc": 194, "ldap": 389, "https": 443, "ldaps": 636, "domain-s": 853, "openvpn": 1194},
    **{"mqtt": 1883, "nfs": 2049, "mysql": 3306, "sip": 5060, "xmpp-client": 5222, "postgresql": 5432, "amqp": 5672},
    **{"http-alt": 8080},
}
_BY_PROTOCOL = {"tcp": {**_TCP, **_BOTH}, "udp": {**_UDP, **_BOTH}}
_PROTOCOLS = {
    **{"ip": 0, "icmp": 1, "igmp": 2, "tcp": 6, "udp": 17, "ipv6": 41, "gre": 47, "esp": 50, "ah": 51},
    **{"ipv6-icmp": 58, "sctp": 132, "udplite": 136},
}


def port_of(service: str, protocol: str | None = None) -> int:
    """The port of a service.

    Raises:
        OSError: the table has none of this name.
    """
    for ports in _tables(protocol):
        if service in ports:
            return ports[service]
    raise OSError("service/proto not found")


def service_at(port: int, protocol: str | None = None) -> str:
    """The service of a port.

    Raises:
        OverflowError: it is not of 16 bits.
        OSError: the table has none.
    """
    if not 0 <= port <= 0xFFFF:
        raise OverflowError("getservbyport: port must be 0-65535.")
    for ports in _tables(protocol):
        for service, number in ports.items():
            if number == port:
                return service
    raise OSError("port/proto not found")


def _protocol_of(name: str) -> int:
    if name not in _PROTOCOLS:
        raise OSError("protocol not found")
    return _PROTOCOLS[name]


def _tables(protocol: str | None) -> list[dict[str, int]]:
    return list(_BY_PROTOCOL.values()) if protocol is None else [_BY_PROTOCOL.get(protocol, {})]


def _of_the_run(name: str, answer: Callable[..., Any], kinds: tuple[type, ...]) -> Callable[..., Any]:
    def answered(*arguments: Any) -> Any:
        fits = 0 < len(arguments) <= len(kinds) and all(map(isinstance, arguments, kinds))
        return answer(*arguments) if fits and is_of_the_run() else NAMES.originals[name](*arguments)

    answered.__name__ = answered.__qualname__ = name
    return answered


# What does not fit goes to the original, which raises TypeError.
NAMES = ReplacedNames(
    socket,
    {
        "getservbyname": _of_the_run("getservbyname", port_of, (str, str)),
        "getservbyport": _of_the_run("getservbyport", service_at, (int, str)),
        "getprotobyname": _of_the_run("getprotobyname", _protocol_of, (str,)),
    },
    may_stay=True,
)
