"""Generators that programs share with the process: seeded when a run begins, put back exactly when it ends.

During a run, and in its thread only, `os.urandom` and everything that reads it (`random.SystemRandom`, `secrets`,
`uuid.uuid4`, `numpy.random.default_rng()` without a seed) draw from a stream of the run, and `uuid.uuid1` has the
run's node and clock. `random`, the legacy global of `numpy.random` and torch's CPU generator are seeded; the last two
if they were imported before the run. They are global to the process, so other OS threads see them seeded as well.

numpy or torch first imported inside a run keep the state that they were born with (numpy takes it from `os.urandom`,
so from the run; torch has a constant) and are seeded from the next run on: the first and the second run would differ,
which the determinism check names. Seeding them on import would need an import hook, which costs every import of the
process; importing them at the top of the program costs nothing.
"""

from __future__ import annotations

import _random
import ctypes
import os
import random
import sys
import tempfile
import uuid
from _thread import get_ident
from collections.abc import Callable
from functools import cache
from hashlib import shake_128
from importlib import import_module
from types import MethodType, TracebackType
from typing import Any

from detrun_scheduler.environment.replaced_names import ReplacedMethods, ReplacedNames, ReplacedTogether
from detrun_scheduler.errors import UsageError
from detrun_scheduler.randomness import seed_again, stream_key

_run_thread = 0  # the OS thread of the active run; no thread has ident 0
_preserved = 0  # how many `PreservedGenerators` are entered
_entropy = b""  # key of the active run's stream of bytes
_entropy_draws = 0
_seeds = 0  # how many generators have been seeded from the run's entropy
_uuid_bits = b""  # 64 of them: the run's node and clock sequence are made of these

# Told of each generator of `random` that is seeded in the run's thread, and whether the program has said with what.
# Set by what watches the draws of a run, for as long as that lasts.
seeded: Callable[[random.Random, bool], None] | None = None


def _urandom(size: int, /) -> bytes:
    if get_ident() != _run_thread:
        return _OS.originals["urandom"](size)  # type: ignore[no-any-return]
    return _next_bytes(size)


def _getrandom(size: int, flags: int = 0) -> bytes:
    if get_ident() != _run_thread:
        return _OS.originals["getrandom"](size, flags)  # type: ignore[no-any-return]
    return _next_bytes(size)


def _next_bytes(size: int) -> bytes:
    global _entropy_draws
    if size < 0:
        raise ValueError("negative argument not allowed")
    _entropy_draws += 1
    # An extendable-output function: one call whatever the size, and a longer read does not shift the next one.
    return shake_128(_entropy + _entropy_draws.to_bytes(8, "little")).digest(size)


def seed_for_c(purpose: bytes) -> int:
    """31 bits of the run's entropy, not all 0, for C code that has a generator of its own; nothing else is shifted."""
    return int.from_bytes(shake_128(_entropy + b"C" + purpose).digest(4), "little") >> 1 or 1


def _seed(self: random.Random, a: Any = None, version: int = 2) -> None:
    """`random.Random.seed`, which C code would seed from the system if it is not told with what."""
    global _seeds
    by_program = a is not None
    if a is None and get_ident() == _run_thread:
        _seeds += 1
        # A stream of its own: what reads `os.urandom` does not depend on how many generators there are.
        a = int.from_bytes(shake_128(_entropy + b"seed" + _seeds.to_bytes(8, "little")).digest(32), "little")
    _GENERATOR.originals["seed"](self, a, version)
    if seeded is not None and get_ident() == _run_thread:
        seeded(self, by_program)


def _seed_torch() -> int:
    """`torch.seed`, which takes a seed from the system. A generator's own method of that name cannot be replaced."""
    global _seeds
    if get_ident() != _run_thread:
        return _torch_names()[0].originals["seed"]()  # type: ignore[no-any-return]
    _seeds += 1
    seed = int.from_bytes(shake_128(_entropy + b"torch" + _seeds.to_bytes(8, "little")).digest(8), "little")
    sys.modules["torch"].manual_seed(seed)
    return seed


@cache
def _torch_names() -> tuple[ReplacedNames, ...]:
    modules = (sys.modules["torch.random"], sys.modules["torch"])
    return tuple(ReplacedNames(module, {"seed": _seed_torch}, may_stay=True) for module in modules)


def _getnode() -> int:
    if get_ident() != _run_thread:
        return _UUID.originals["getnode"]()  # type: ignore[no-any-return]
    return _node()


def _node() -> int:
    return (int.from_bytes(_uuid_bits, "little") & (2**48 - 1)) | (1 << 40)  # the multicast bit: random (RFC 9562)


def _clock_sequence() -> int:
    return int.from_bytes(_uuid_bits, "little") >> 50


def _generate_time_safe() -> tuple[bytes, int | None]:
    # uuid1() asks this C function first. Replacing it, and not uuid1, also reaches `from uuid import uuid1`. With a
    # node given, uuid1 computes the bytes in Python, from time.time_ns (virtual in a run).
    if get_ident() == _run_thread:
        return uuid.uuid1(_node(), _clock_sequence()).bytes, None
    real = _UUID.originals["_generate_time_safe"]
    if real is None:  # a platform without libuuid
        return uuid.uuid1(uuid.getnode()).bytes, None
    return real()  # type: ignore[no-any-return]


def _generator_of_names() -> random.Random:
    """For the names of temporary files and semaphores; one serves the process, so that no run may give it its seed.

    The first run of a process would otherwise make a generator that later runs find made.
    """
    made = random.Random.__new__(random.Random)
    _random.Random.seed(made)  # by C code, past `_seed`; made alone it gives zeros from Python 3.11 on
    made.gauss_next = None  # type: ignore[attr-defined]
    return made


_OS = ReplacedNames(os, {"urandom": _urandom, "getrandom": _getrandom}, may_stay=True)
# SystemRandom, and so secrets and numpy's SeedSequence, read the name that random imported.
_RANDOM = ReplacedNames(
    random,
    {"_urandom": _urandom, "seed": MethodType(_seed, random._inst)},
    may_stay=True,
)
# Also of those that programs make: making one seeds it.
_GENERATOR = ReplacedMethods(random.Random, {"seed": _seed})
_TEMPFILE = ReplacedNames(tempfile, {"_Random": _generator_of_names}, may_stay=True)
_NO_LAST_UUID = {name: None for name in vars(uuid) if name.startswith("_last_")}
_UUID = ReplacedNames(
    uuid,
    {
        "getnode": _getnode,
        "_generate_time_safe": _generate_time_safe,
        # The time of the last UUID is later than virtual time and would leak into the run (and out of it).
        **_NO_LAST_UUID,
    },
    may_stay=True,
)
_NAMES = ReplacedTogether(_OS, _RANDOM, _GENERATOR, _TEMPFILE, _UUID)


def generator_states() -> dict[str, Any]:
    """By name, states that change when a program takes numbers from a generator that is no part of the draw log.

    Generators of `random` are part of it (`detrun.primitives.random_draws`).
    """
    found: dict[str, Any] = {"os.urandom": _entropy_draws}
    if _numpy_state() is not None:
        found["numpy.random"] = _numpy_words()
    generator = _torch_generator()
    if generator is not None:
        found["torch"] = generator.get_state().numpy().tobytes()
    return found


class RunSeeding:
    """Everything random outside the run's own draws, for one run: `enter`, run, `exit`. May be entered again.

    Cost of enter and exit together, on the development machine: 27 µs, with numpy.random imported 95 µs, because
    reading and setting the state of a generator is slow; inside `PreservedGenerators` 10 and 18 µs.
    """

    __slots__ = ("_key", "_saved", "_torch")

    def __init__(self, seed: int) -> None:
        if not isinstance(seed, int):
            raise UsageError(f"seed={seed!r} is not an integer")
        self._key = stream_key(seed, b"process")  # one hash, which is cut in three
        self._saved: _SavedGenerators | None = None
        self._torch: tuple[ReplacedNames, ...] = ()

    def enter(self) -> None:
        """Seed and replace.

        Raises:
            UsageError: if a run is active in this process.
        """
        global _run_thread, _entropy, _entropy_draws, _seeds, _uuid_bits
        if _run_thread:
            raise UsageError("a run is already active in this process; runs neither nest nor overlap between threads")
        self._saved = None if _preserved else _SavedGenerators()
        try:
            _seed_generators(int.from_bytes(self._key[:8], "little"))
        except BaseException:
            self._restore_generators()
            raise
        _uuid_bits, _entropy, _entropy_draws, _seeds = self._key[8:16], self._key[16:], 0, 0
        _NAMES.install()
        self._torch = () if _torch_generator() is None else _torch_names()
        for names in self._torch:
            names.install()
        vars(uuid).update(_NO_LAST_UUID)  # may have been made between two runs of a campaign
        _run_thread = get_ident()

    def exit(self) -> None:
        """Put everything back."""
        global _run_thread
        _run_thread = 0
        for names in self._torch:
            names.restore()
        _NAMES.restore()
        self._restore_generators()

    def _restore_generators(self) -> None:
        saved, self._saved = self._saved, None
        if saved is not None:
            saved.restore()

    def __enter__(self) -> RunSeeding:
        self.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.exit()


class PreservedGenerators:
    """Save the generators once around many runs, which then only seed them. May nest.

    Code between the runs sees generators as the last run left them.
    """

    __slots__ = ("_saved",)

    def __enter__(self) -> PreservedGenerators:
        global _preserved
        self._saved = _SavedGenerators()
        _preserved += 1
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        global _preserved
        _preserved -= 1
        self._saved.restore()


class _SavedGenerators:
    """The exact state of the process's generators."""

    __slots__ = ("_numpy", "_numpy_bits", "_python", "_torch", "_torch_threads")

    def __init__(self) -> None:
        self._python = random.getstate()
        state = _numpy_state()
        self._numpy: Any = None if state is None else state.get_state(legacy=False)
        self._numpy_bits: Any = None if state is None else sys.modules["numpy.random"].get_bit_generator()
        generator = _torch_generator()
        self._torch: Any = None if generator is None else generator.get_state()
        self._torch_threads = 1 if generator is None else sys.modules["torch"].get_num_threads()

    def restore(self) -> None:
        random.setstate(self._python)
        if self._numpy is not None:
            # The bit generator first: putting one in forgets the cached second normal, which the state brings back.
            sys.modules["numpy.random"].set_bit_generator(self._numpy_bits)
            sys.modules["numpy.random.mtrand"]._rand.set_state(self._numpy)
        if self._torch is not None:
            sys.modules["torch"].default_generator.set_state(self._torch)
            if self._torch_threads != 1:
                sys.modules["torch"].set_num_threads(self._torch_threads)


_numpy_run_bits: Any = None  # one bit generator of ours for all runs: making one costs 100 µs
_NUMPY_STATE_BYTES = 625 * 4  # of an MT19937: its words, and the position of the next one


def _seed_generators(seed: int) -> None:
    global _numpy_run_bits
    seed_again(random._inst, seed)  # private: the generator behind the module's functions
    state = _numpy_state()
    if state is not None:
        module = sys.modules["numpy.random"]
        if _numpy_run_bits is None:
            _numpy_run_bits = module.MT19937(0)
        # Not the program's own bit generator: it may be of a kind that cannot be seeded again.
        module.set_bit_generator(_numpy_run_bits)
        state.seed(seed & 0xFFFFFFFF)
    generator = _torch_generator()
    if generator is not None:
        generator.manual_seed(seed & (2**63 - 1))
        if sys.modules["torch"].get_num_threads() != 1:
            # How a large sum is split among threads shows in its last bits.
            sys.modules["torch"].set_num_threads(1)


def _numpy_state() -> Any:
    if "numpy" not in sys.modules:
        return None
    if "numpy.random" not in sys.modules:
        # numpy 2 may import it on first use of the attribute (2.4 does), which would be in the middle of the run.
        import_module("numpy.random")
    return getattr(sys.modules.get("numpy.random.mtrand"), "_rand", None)


def _numpy_words() -> Any:
    """What changes with each number that numpy's legacy global takes: the words of its generator and their position.

    Of the generator of the runs they are read where they stand: asking numpy takes 80 µs, a tenth of a small run. A
    second normal number that is kept for later comes with a change of these. Another generator is the program's, put
    there inside the run.
    """
    bits = sys.modules["numpy.random"].get_bit_generator()
    if bits is not _numpy_run_bits:
        return bits
    return ctypes.string_at(bits.ctypes.state_address, _NUMPY_STATE_BYTES)


def _torch_generator() -> Any:
    return getattr(sys.modules["torch"], "default_generator", None) if "torch" in sys.modules else None
