"""Names of Unix sockets as recordings have them."""

from __future__ import annotations

import os
import socket
import tempfile

import pytest

import detrun
from detrun.execution.new_run import NewRun
from detrun.execution.options import Options
from detrun.world.sockets.unix_names import recorded


def exchange() -> bytes:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.join(folder, "app.sock"))
        listening.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.bind(tempfile.mktemp())
            client.connect(listening.getsockname())
            client.sendall(b"abc")
            with listening.accept()[0] as accepted:
                os.unlink(client.getsockname())
                assert accepted.getpeername() == client.getsockname()
                return accepted.recv(3)


def test_sockets_in_folders_of_temporary_names_are_replayed_in_others() -> None:
    run = detrun.record(exchange)
    again = detrun.replay(exchange, recording=run.recording)
    assert (run.result, again.digest) == (b"abc", run.digest)


def test_older_recordings_name_the_folder_too_and_lead_nowhere_else() -> None:
    old = NewRun(seed=0).execute(exchange, (), Options(thread_rules=8)).recording
    with pytest.raises(detrun.DivergenceError, match=r"/tmp\w+/app\.sock"):
        detrun.replay(exchange, recording=old)


def test_a_recording_names_the_file_and_not_the_folder() -> None:
    folder = tempfile.gettempdir()
    assert recorded(f"{folder}/pytest-of-me/pytest-7/test_it0/app.sock") == f"{folder}/.../app.sock"
    assert recorded(f"{folder}/tmp0_abcdef.sock") == f"{folder}/tmp....sock"
    for fixed in (f"{folder}/app.sock", "/run/app.sock", "app.sock", b"\0abstract", ""):
        assert recorded(fixed) == fixed
