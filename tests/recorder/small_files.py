"""A small recording, taken apart into its frames, and files put together of such parts."""

from __future__ import annotations

import msgpack

from detrun_recorder import format as layout
from detrun_recorder.header import describe_run
from detrun_recorder.recording import Recording, open_recording
from tests.recorder.simulated_runs import simulate

RUN = simulate(7, 50, tasks=4, chunk_steps=20)
SMALL = Recording.from_chunks(describe_run(target="a:b", packages=()), RUN.chunks, RUN.end).to_bytes()
STEPS = list(open_recording(SMALL).iter_steps())


def frames(content: bytes) -> list[tuple[int, int, bytes]]:
    """(position, kind, payload) of every frame of a whole recording."""
    found, position = [], layout.PREAMBLE.size
    while position < len(content) - layout.TRAILER.size:
        kind, length, _ = layout.HEAD.unpack_from(content, position)
        start = position + layout.HEAD_BYTES
        found.append((position, kind, content[start : start + length]))
        position = start + length
    return found


def assembled(parts: list[tuple[int, bytes]]) -> bytes:
    """A file of the given (kind, payload) frames, with checksums that hold and a trailer after an index."""
    content = layout.pack_preamble()
    tie = layout.header_tie(parts[0][1]) if parts else b""
    for kind, given_payload in parts:
        position = len(content)
        payload = tied(given_payload, tie) if kind in (layout.CHUNK, layout.END, layout.INDEX) else given_payload
        content += layout.pack_frame(position, kind, payload)
        if kind == layout.INDEX:
            content += layout.pack_trailer(position)
    return content


def tied(payload: bytes, tie: bytes) -> bytes:
    """``payload`` as a frame of the file whose header has this ``tie``."""
    content = msgpack.unpackb(payload) if payload else {}
    return bytes(msgpack.packb(content | {"header": tie}))


PARTS = [(kind, payload) for _, kind, payload in frames(SMALL)]
KINDS = [kind for kind, _ in PARTS]
