"""CPython's own tests of sockets that are left out under detrun, each with its reason."""

from __future__ import annotations

OTHERS = "other protocols: UDP-Lite, VSOCK, SCTP"
RENAMES = "gives the real machine another name for a moment"
SIGNALS = "signals of the real process; those of a run reach the processes of nodes"
PROCESS = "forks"
CLOCK = "expects microseconds in a time of day, which stands still"
DESCRIPTOR = "the operating system's file descriptor of a socket"
STOCK = "looks at `_socket`, or at a class that was made of the real one before the run"
MACHINE = "looks at the real machine: its interfaces, what it knows of hosts"
LIMITS = "sets the limits of the real process"
UNCLOSED = "the warning of a socket that was not closed"
SHELL = "starts a shell"
URGENT = "urgent data, which a simulated stream has in line"

NOWHERE = (OTHERS, RENAMES)  # of the first one hangs; a test that is cut short must not leave the second behind

EXCLUSIONS: dict[str, str] = {
    "test_socket.*UDPLITE*": OTHERS,
    "test_socket.*VSOCK*": OTHERS,
    "test_socket.*Interrupted*": SIGNALS,
    "test_selectors.*test_select_interrupt_*": SIGNALS,
    "test_socketserver.SocketWriterTest.test_write": SIGNALS,
    "test_socketserver.*orking*": PROCESS,
    "test_smtplib.*test_debuglevel_2": CLOCK,
    "test_selectors.*_close_and_reuse": DESCRIPTOR,
    "test_selectors.*test_above_fd_setsize": LIMITS,
    "test_socket.*_interrupted*": SIGNALS,
    "test_socket.*test_socket_fileno_requires*": DESCRIPTOR,
    "test_socket.*testCloseException": DESCRIPTOR,
    "test_socket.*test_socket_close": DESCRIPTOR,
    "test_socket.*test_csocket_repr": STOCK,
    "test_socket.*test_unknown_socket_family_repr": STOCK,
    "test_socket.NetworkConnectionNoServer.test_create_connection_timeout": STOCK,
    "test_socket.*symbolic": MACHINE,
    "test_socket.*test_sethostname": RENAMES,
    "test_socket.*testHostnameRes": MACHINE,
    "test_socket.*test_dealloc_warn": UNCLOSED,
    "test_socket.*testRefCountGetNameInfo": STOCK,
    "test_ssl.*test_dealloc_warn": UNCLOSED,
    "test_ssl.*test_refcycle": UNCLOSED,
    "test_ssl.*test_context_custom_class": STOCK,
    "test_poll.*test_poll2": SHELL,
    "test_epoll.*test_fromfd": DESCRIPTOR,
    "test_asyncore.*test_handle_expt": URGENT,
}
