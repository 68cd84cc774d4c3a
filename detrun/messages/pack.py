"""`pack` and `unpack`: plain data to bytes and back, with the derivatives of the numbers in it.

A message is one msgpack extension: the token of the run, the number of the message in that run, a checksum, and a
body in ordinary msgpack. The body holds a `Value` as the same nine bytes as its float; which of the numbers in it are
Values, and with what tape ids, is noted in the process, under the number of the message. So the bytes, and not only
their length, are the same whether a program runs on floats or on Values, with the tape on or off, in a replay or in a
forked window: a program that counts, compares, splits or hashes bytes takes the same path in a gradient as in its
recording.

Rule: `unpack` executes nothing and never guesses. It makes None, booleans, numbers, text, bytes, lists, tuples, dicts
and arrays; a dataclass comes back as a dict of its fields unless its class is passed as ``into``, and then its fields
are set without calling any of its code. Damaged bytes fail the checksum; bytes of another run, or of a message that
this run has not packed, are refused: their ids would mean other numbers here. (A run has its token from its seed. Bytes
of an earlier execution of the same program and seed are taken if this one has packed the same message already: they
are the same bytes.)

A message that is dropped gets adjoint 0, one that is unpacked twice the sum of both.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from struct import Struct
from typing import Any

import msgpack

from detrun.ad import torch_bridge
from detrun.ad.hidden_values import hidden_beyond
from detrun.ad.tape import NO_PARENT
from detrun.ad.trees import fields_of, make_record
from detrun.ad.value import Value
from detrun.messages.extensions import MESSAGE, MESSAGE_ARRAY, MESSAGE_INTEGER, MESSAGE_RECORD, MESSAGE_TUPLE
from detrun.messages.sent import OUTSIDE, Sent, UnpackingError, checksum_of, numbers_of, sent_in
from detrun_scheduler import current
from detrun_scheduler.errors import DetrunError, NotDifferentiableError, UsageError

NESTING_MAX = 400  # msgpack's own stack is 1024 deep, of which a level takes at most two
NUMPY_DTYPES = frozenset(
    ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
)

_HEADER = Struct(">8sQI")  # token, number of the message, checksum of both and the body


def pack(message: Any) -> bytes:
    """Bytes of ``message`` that `unpack` turns back into an equal one, Values and their histories included.

    Args:
        message: None, booleans, numbers, `Value`s, text, bytes, and lists, tuples, dicts and dataclasses of these;
            numpy arrays of numbers; torch tensors, through which gradients flow too.

    Raises:
        UsageError: something else (a subclass counts as something else, since it would not come back), nesting beyond
            ``NESTING_MAX``, or a `Value` packed outside a run.
    """
    run = current.run
    writer = _BodyWriter()
    try:
        writer.write(message, 0)
    except _Unfit as unfit:
        raise unfit.error(f"pack: message{unfit.path}{unfit.text}") from None
    body = writer.packer.bytes()
    if run is None:
        for number in writer.numbers:
            if isinstance(number, Value) or torch_bridge.requires_grad(number):
                raise UsageError(
                    f"pack: {number!r} packed outside a run, where tape ids mean nothing; pack float(v) or t.detach()"
                )
        token, number = OUTSIDE, 0
    else:
        sent = sent_in(run)
        token, number = sent.token, len(sent.starts)
        sent.add(writer.numbers, checksum_of(token, number, body))
    header = _HEADER.pack(token, number, checksum_of(token, number, body))
    return bytes(msgpack.packb(msgpack.ExtType(MESSAGE, header + body)))


def unpack(data: bytes, *, into: type | Iterable[type] = (), detach: bool = False) -> Any:
    """The message in ``data``.

    Args:
        data: what `pack` gave, all of it and nothing else.
        into: dataclasses, told by their qualified name, whose instances are to be made again; others become dicts.
        detach: take plain numbers from the bytes of any run; gradients end here.

    Raises:
        UnpackingError: the bytes are damaged, of another origin, or of another run; or a dataclass has other fields
        now. UsageError: ``into`` holds something other than dataclasses, or two of one name.
    """
    classes = _classes(into)
    try:
        wrapped = msgpack.unpackb(data, ext_hook=_Extension)
    except Exception as error:  # msgpack raises whatever it meets: ValueError, its own, UnicodeDecodeError
        raise UnpackingError(
            f"{_shown(data)} is not a message of detrun.pack: {error or type(error).__name__}"
        ) from None
    if type(wrapped) is not _Extension or wrapped.code != MESSAGE or len(wrapped.data) < _HEADER.size:
        raise UnpackingError(f"{_shown(data)} is msgpack, but no message of detrun.pack; use msgpack.unpackb for it")
    token, number, checksum = _HEADER.unpack_from(wrapped.data)
    body = wrapped.data[_HEADER.size :]
    if checksum_of(token, number, body) != checksum:
        raise UnpackingError(f"{_shown(data)} is damaged: its checksum does not fit its {len(body)} bytes")
    reader = _BodyReader(classes, None if detach else numbers_of(token, number, checksum))
    try:
        message = reader.read(
            msgpack.unpackb(
                body, ext_hook=_Extension, use_list=False, strict_map_key=False, unicode_errors="surrogatepass"
            ),
            0,
        )
    except DetrunError:
        raise
    except Exception as error:
        raise UnpackingError(f"{_shown(data)} has no readable body: {error or type(error).__name__}") from None
    return message


@dataclasses.dataclass(frozen=True, slots=True)
class _Extension:
    code: int
    data: bytes


class _Unfit(Exception):
    """Part of a message cannot be packed."""

    def __init__(self, text: str, error: type[DetrunError] = UsageError) -> None:
        self.text = text
        self.error = error
        self.path = ""  # from the container that is being left down to the part

    def below(self, segment: str) -> _Unfit:
        self.path = segment + self.path
        return self


class _BodyWriter:
    """Writes the body of a message; keeps its numbers in the order in which `_BodyReader` meets them."""

    def __init__(self) -> None:
        self.packer = msgpack.Packer(autoreset=False, unicode_errors="surrogatepass")
        self.numbers: list[Any] = []  # floats, Values and tensors

    def write(self, one: Any, depth: int) -> None:
        if depth > NESTING_MAX:
            raise UsageError(f"pack: nested deeper than {NESTING_MAX}, or a list or dict that contains itself")
        packer, kind = self.packer, type(one)
        if one is None or kind is bool or kind is str or kind is bytes:
            packer.pack(one)
        elif kind is float:
            self.numbers.append(one)
            packer.pack(one)
        elif isinstance(one, Value):
            self.numbers.append(one)
            packer.pack(one.primal)
        elif kind is int:
            self._integer(one)
        elif kind is list or kind is tuple:
            self._sequence(one, kind is tuple, depth)
        elif kind is dict:
            self._map(one, depth)
        elif dataclasses.is_dataclass(one) and not isinstance(one, type):
            self._record(one, depth)
        elif hasattr(one, "dtype") and hasattr(one, "shape"):
            self._array(one)
        else:
            raise _Unfit(
                f" is a {kind.__name__}, {one!r:.200}, which is not plain data; pack numbers, text, bytes, lists, "
                "tuples, dicts, dataclasses or arrays"
            )

    # An exception collects its path on the way out, so that a message that can be packed pays nothing for paths.

    def _sequence(self, items: list[Any] | tuple[Any, ...], is_tuple: bool, depth: int) -> None:
        self.packer.pack_array_header(len(items) + is_tuple)
        if is_tuple:
            self.packer.pack_ext_type(MESSAGE_TUPLE, b"")
        place = 0
        try:
            for place, item in enumerate(items):  # noqa: B007 (for the path)
                self.write(item, depth + 1)
        except _Unfit as unfit:
            raise unfit.below(f"[{place}]") from None

    def _map(self, items: dict[Any, Any], depth: int) -> None:
        self.packer.pack_map_header(len(items))
        segment = ""
        try:
            for key, item in items.items():
                segment = " key %r"
                self.write(key, depth + 1)
                segment = "[%r]"
                self.write(item, depth + 1)
        except _Unfit as unfit:
            raise unfit.below(segment % (key,)) from None

    def _integer(self, one: int) -> None:
        if -(1 << 63) <= one < 1 << 64:
            self.packer.pack(one)
        else:
            self.packer.pack_ext_type(MESSAGE_INTEGER, one.to_bytes(one.bit_length() // 8 + 1, "big", signed=True))

    def _record(self, one: Any, depth: int) -> None:
        names = fields_of(type(one)) or ()
        hidden = hidden_beyond(one, names) if len(getattr(one, "__dict__", ())) > len(names) else None
        if hidden is not None:
            raise _Unfit(
                f"{hidden.path} is a Value in no field of the dataclass, where its derivative would be lost; make it a "
                "field, or float(v) if it is to count as a constant",
                NotDifferentiableError,
            )
        self.packer.pack_map_header(len(names) + 1)
        self.packer.pack_ext_type(MESSAGE_RECORD, type(one).__qualname__.encode())
        self.packer.pack(None)
        name = ""
        try:
            for name in names:
                self.packer.pack(name)
                self.write(getattr(one, name), depth + 1)
        except _Unfit as unfit:
            raise unfit.below(f".{name}") from None

    def _array(self, one: Any) -> None:
        if hasattr(type(one), "detach"):
            # Every tensor takes a place among the numbers, whether it requires grad in this run or not.
            self.numbers.append(one)
            content = ("torch", *torch_bridge.to_bytes(one))
        elif not one.shape and hasattr(one, "item") and one.dtype.name in NUMPY_DTYPES:
            self.write(one.item(), 0)  # numpy's own numbers
            return
        elif one.dtype.name in NUMPY_DTYPES:
            little = one.astype(one.dtype.newbyteorder("<"), order="C")
            content = ("numpy", one.dtype.name, list(one.shape), little.tobytes())
        else:
            raise _Unfit(f" is an array of {one.dtype}, which is not plain data; pack arrays of numbers")
        self.packer.pack_ext_type(MESSAGE_ARRAY, msgpack.packb(content))


class _BodyReader:
    """Turns what msgpack read into the message, giving Values their ids."""

    def __init__(self, classes: dict[str, type], numbers: tuple[Sent, int] | None) -> None:
        self.classes = classes
        self.sent: Sent | None = None
        self.place = 0
        if numbers is not None:
            self.sent, self.place = numbers

    def read(self, one: Any, depth: int) -> Any:
        if depth > NESTING_MAX:
            raise UnpackingError(f"a message nested deeper than {NESTING_MAX} is not from detrun.pack")
        kind = type(one)
        if kind is float:
            return self._number(one)
        if kind is tuple:
            if one and type(one[0]) is _Extension and one[0].code == MESSAGE_TUPLE:
                return tuple([self.read(item, depth + 1) for item in one[1:]])
            return [self.read(item, depth + 1) for item in one]
        if kind is dict:
            return self._map(one, depth)
        if kind is _Extension:
            return self._extension(one)
        return one

    def _number(self, primal: float) -> Any:
        sent = self.sent
        if sent is None:
            return primal
        place = self.place
        self.place += 1
        value_id = sent.ids[place]
        if value_id == NO_PARENT:
            return primal
        if sent.moving and place in sent.moving:
            return sent.moving[place]
        value = Value.__new__(Value)
        value.primal, value.id = primal, value_id
        return value

    def _map(self, one: dict[Any, Any], depth: int) -> Any:
        items = iter(one.items())
        first = next(iter(one), None)
        if type(first) is _Extension and first.code == MESSAGE_RECORD:
            next(items)
            name = first.data.decode()
            return _record(name, {key: self.read(item, depth + 1) for key, item in items}, self.classes.get(name))
        return {self.read(key, depth + 1): self.read(item, depth + 1) for key, item in items}

    def _extension(self, one: _Extension) -> Any:
        if one.code == MESSAGE_INTEGER:
            return int.from_bytes(one.data, "big", signed=True)
        if one.code != MESSAGE_ARRAY:
            raise UnpackingError(f"extension type {one.code} is not from this version of detrun.pack")
        library, dtype, shape, raw = msgpack.unpackb(one.data)
        if library == "torch":
            value_id = NO_PARENT
            if self.sent is not None:
                value_id = self.sent.ids[self.place]
                self.place += 1
            return torch_bridge.from_bytes(dtype, shape, raw, value_id)
        if library != "numpy" or dtype not in NUMPY_DTYPES:
            raise UnpackingError(f"an array of {dtype} of {library} is not from this version of detrun.pack")
        import numpy

        return numpy.frombuffer(raw, numpy.dtype(dtype).newbyteorder("<")).reshape(shape).astype(dtype)


def _record(name: str, fields: dict[str, Any], cls: Any) -> Any:
    """A dataclass instance again, without calling any of its code; the fields alone if its class is not known."""
    if cls is None:
        return fields
    declared = fields_of(cls) or ()
    if declared != tuple(fields):
        raise UnpackingError(
            f"dataclass {name} was packed with fields {', '.join(fields)}, but has {', '.join(declared)} here"
        )
    return make_record(cls, fields.values())


def _classes(into: type | Iterable[type]) -> dict[str, type]:
    classes: dict[str, type] = {}
    for cls in (into,) if isinstance(into, type) else into:
        if not isinstance(cls, type) or not dataclasses.is_dataclass(cls):
            raise UsageError(f"unpack: into={cls!r} is not a dataclass; pass the classes to make again")
        if classes.setdefault(cls.__qualname__, cls) is not cls:
            raise UsageError(f"unpack: into holds two classes of the name {cls.__qualname__}")
    return classes


def _shown(data: Any) -> str:
    text = repr(bytes(data[:12])) if isinstance(data, bytes | bytearray | memoryview) else type(data).__name__
    return f"{text}…" if len(data) > 12 else text
