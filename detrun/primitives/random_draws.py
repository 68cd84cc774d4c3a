"""Numbers of Python's `random` as draws: logged, forced, scored and made of noises like detrun's own.

In a run whose draws are watched, and in no other, the functions of the module `random` and the methods of generators
that the run makes tell the run what they draw. The numbers stay what they are: `random`'s generator gives them, in the
order in which tasks ask. So their address is the generator and how many draws it has given, and a run that draws once
more somewhere shifts those after it.

A generator that the program has seeded itself gives the same numbers under every seed of the run: its draws are logged
and can be forced, and count as constants of the program otherwise. So do those after ``setstate``. Generators that were
made before the run, subclasses with methods of their own and `random.SystemRandom` are not watched.

What is called from within `random` itself is part of the draw that called it. `is_complete` says whether the module's
own generator has given numbers to nothing else: a function that was put into a container before the run escapes.
"""

from __future__ import annotations

import random
import sys
from bisect import bisect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial, wraps
from itertools import accumulate
from random import Random
from typing import Any
from weakref import WeakKeyDictionary

from detrun.ad.source_lines import MACHINERY_PACKAGES
from detrun.ad.value import Value, primal_of
from detrun.primitives.continuous_laws import LogNormal, Normal, Uniform
from detrun.primitives.discrete_laws import Binomial, Choice
from detrun.primitives.draw_log import Open, WatchedDraws
from detrun.primitives.draws import COUNTERFACTUAL, edges_of_choice
from detrun.primitives.laws import DiscreteLaw, Law
from detrun.primitives.random_laws import Expovariate, Opaque, Paretovariate, UnitNumber, Weibullvariate, WholeNumber
from detrun_scheduler.environment import seeding
from detrun_scheduler.environment.bound_names import BoundNames
from detrun_scheduler.environment.originals import get_ident
from detrun_scheduler.run import ActiveRun

NAMES = tuple(
    name
    for name in (
        *("random", "uniform", "expovariate", "gauss", "normalvariate", "lognormvariate", "paretovariate"),
        *("weibullvariate", "triangular", "betavariate", "gammavariate", "vonmisesvariate", "binomialvariate"),
        *("choice", "choices", "randrange", "randint", "getrandbits", "randbytes", "sample", "shuffle", "setstate"),
    )
    if hasattr(Random, name)
)
_WORD = 32  # bits that the generator makes at a time
_STATE_WORDS = 624
_active: RandomDraws | None = None


class _Inner:
    """Stands for a generator within the methods of `Random`, so that what they call is no draw of its own."""

    def __init__(self, generator: Random) -> None:
        self.generator = generator
        self.words = 0
        self._random, self._getrandbits = super(Random, generator).random, super(Random, generator).getrandbits

    def random(self) -> float:
        self.words += 2
        return self._random()

    def getrandbits(self, k: int) -> int:
        self.words += -(-k // _WORD)
        return self._getrandbits(k)

    @property
    def gauss_next(self) -> Any:
        return self.generator.gauss_next  # type: ignore[attr-defined]

    @gauss_next.setter
    def gauss_next(self, number: Any) -> None:
        self.generator.gauss_next = number  # type: ignore[attr-defined]


for _name in (*NAMES, "_randbelow"):
    if _name in vars(Random) and _name != "setstate":
        setattr(_Inner, _name, vars(Random)[_name])


class WatchedGenerator:
    """A generator of a run; its methods are those of `random.Random`.

    Args:
        stream: what draws from it are addressed by.
        is_constant: the program has seeded it.
    """

    def __init__(self, draws: RandomDraws, generator: Random, stream: str, is_constant: bool) -> None:
        self.draws = draws
        self.inner = _Inner(generator)
        self.stream = stream
        self.index = 0
        self.is_constant = is_constant

    # Continuous numbers: by the noise beneath them, to which the parameters are applied as `random` does.

    def random(self) -> Any:
        return self._from_noise("random", UnitNumber(), self.inner.random())

    def uniform(self, a: Any, b: Any) -> Any:
        return self._from_noise("uniform", Uniform(a, b), self.inner.random())

    def expovariate(self, lambd: Any = 1.0) -> Any:
        return self._from_noise("expovariate", Expovariate(lambd), self._plain("expovariate", 1.0))

    def gauss(self, mu: Any = 0.0, sigma: Any = 1.0) -> Any:
        return self._from_noise("gauss", Normal(mu, sigma), self._plain("gauss", 0.0, 1.0))

    def normalvariate(self, mu: Any = 0.0, sigma: Any = 1.0) -> Any:
        return self._from_noise("normalvariate", Normal(mu, sigma), self._plain("normalvariate", 0.0, 1.0))

    def lognormvariate(self, mu: Any = 0.0, sigma: Any = 1.0) -> Any:
        return self._from_noise("lognormvariate", LogNormal(mu, sigma), self._plain("normalvariate", 0.0, 1.0))

    def paretovariate(self, alpha: Any) -> Any:
        return self._outcome("paretovariate", Paretovariate(alpha), self._plain("paretovariate", alpha))

    def weibullvariate(self, alpha: Any, beta: Any) -> Any:
        return self._outcome("weibullvariate", Weibullvariate(alpha, beta), self._plain("weibullvariate", alpha, beta))

    # Whole numbers and choices.

    def binomialvariate(self, n: int = 1, p: Any = 0.5) -> Any:
        return self._outcome("binomialvariate", Binomial(n, p), self._plain("binomialvariate", n, primal_of(p)))

    def choice(self, seq: Any) -> Any:
        index = self._plain("choice", range(len(seq)))
        return seq[self._outcome("choice", Choice(len(seq), None), index)]

    def randrange(self, start: Any, *rest: Any, **named: Any) -> Any:
        number = self._plain("randrange", start, *rest, **named)
        stop = named.get("stop", rest[0] if rest else None)
        step = named.get("step", rest[1] if len(rest) > 1 else 1)
        return self._whole("randrange", 0 if stop is None else start, start if stop is None else stop, step, number)

    def randint(self, a: Any, b: Any) -> Any:
        return self._whole("randint", a, b + 1, 1, self._plain("randint", a, b))

    def getrandbits(self, k: int) -> Any:
        return self._whole("getrandbits", 0, 1 << k, 1, self.inner.getrandbits(k))

    def choices(self, population: Any, weights: Any = None, *, cum_weights: Any = None, k: int = 1) -> list[Any]:
        plain = None if weights is None else [primal_of(one) for one in weights]
        plain_sums = None if cum_weights is None else [primal_of(one) for one in cum_weights]
        count = len(population)
        self._plain("choices", range(count), plain, cum_weights=plain_sums, k=0)  # what is wrong with them
        sums = plain_sums if plain is None else list(accumulate(plain))
        listed = weights if cum_weights is None else [one - before for before, one in _with_previous(cum_weights)]
        law = Choice(count, None if listed is None else tuple(listed))
        found = []
        for _ in range(k):
            unit = self.inner.random()
            if sums is None:
                index = int(unit * (count + 0.0))
            else:
                index = bisect(sums, unit * (sums[-1] + 0.0), 0, count - 1)
                if any(isinstance(one, Value) for one in law.weights or ()):
                    edges_of_choice(unit, law.weights or (), index)
            found.append(population[self._outcome("choices", law, index)])
        return found

    # The rest: one draw each, whose density is not known here.

    def triangular(self, low: Any = 0.0, high: Any = 1.0, mode: Any = None) -> Any:
        return self._opaque("triangular", {"low": low, "high": high, "mode": mode}, low, high, mode)

    def betavariate(self, alpha: Any, beta: Any) -> Any:
        return self._opaque("betavariate", {"alpha": alpha, "beta": beta}, alpha, beta)

    def gammavariate(self, alpha: Any, beta: Any) -> Any:
        return self._opaque("gammavariate", {"alpha": alpha, "beta": beta}, alpha, beta)

    def vonmisesvariate(self, mu: Any, kappa: Any) -> Any:
        return self._opaque("vonmisesvariate", {"mu": mu, "kappa": kappa}, mu, kappa)

    def randbytes(self, n: int) -> Any:
        return self._opaque("randbytes", {"n": n}, n)

    def sample(self, population: Any, k: int, **named: Any) -> Any:
        return self._opaque("sample", {"options": len(population), "k": k}, population, k, **named)

    def shuffle(self, x: Any) -> None:
        self._opaque("shuffle", {"options": len(x)}, x)

    def setstate(self, state: Any) -> None:
        self.inner.generator.__class__.setstate(self.inner.generator, state)
        self.is_constant = True
        if self is self.draws.shared:
            self.draws.state_changed()

    def _plain(self, name: str, *args: Any, **named: Any) -> Any:
        """What `random` gives."""
        return getattr(self.inner, name)(*args, **named)

    def _from_noise(self, name: str, law: Law, noise: float) -> Any:
        return self._made(name, law, noise, None)

    def _outcome(self, name: str, law: Law, outcome: Any) -> Any:
        return self._made(name, law, None, outcome)

    def _whole(self, name: str, start: Any, stop: Any, step: Any, number: int) -> Any:
        first, last, by = (int(primal_of(one)) for one in (start, stop, step))
        count = -(-(last - first) // by)
        if count > 1 << 64:  # 64 bits do not tell all of them apart
            return self._outcome(name, Opaque(name, {"start": start, "stop": stop, "step": step}), number)
        return self._outcome(name, WholeNumber(first, count, by), number)

    def _opaque(self, name: str, given: dict[str, Any], *args: Any, **named: Any) -> Any:
        return self._outcome(name, Opaque(name, given), self._plain(name, *args, **named))

    def _made(self, name: str, law: Law, noise: float | None, outcome: Any) -> Any:
        draws, index = self.draws, self.index
        self.index += 1
        forced = draws.watch.forced_bits(draws.run, (self.stream, index), law)
        if forced is not None:
            outcome, noise = law.outcome_at(law.unit(forced)), None
        elif noise is not None:
            outcome = law.from_noise(noise)
        derivative = COUNTERFACTUAL if isinstance(law, DiscreteLaw) else None
        source = Open(law, derivative, draws.run, self.stream, index, forced, f"random.{name}", noise, self.is_constant)
        return draws.watch.came_out_of(source, outcome)


def _with_previous(sums: Sequence[Any]) -> Iterator[tuple[Any, Any]]:
    before: Any = 0
    for one in sums:
        yield before, one
        before = one


class RandomDraws:
    """All generators of `random` of one run.

    Attributes:
        is_complete: the module's own generator has given numbers to logged draws only.
    """

    def __init__(self, run: ActiveRun, watch: WatchedDraws) -> None:
        self.run = run
        self.watch = watch
        self.thread = get_ident()
        self.shared = WatchedGenerator(self, random._inst, "random", False)
        self.made: WeakKeyDictionary[Random, WatchedGenerator] = WeakKeyDictionary()
        self.count = 0
        self.is_complete = True
        self._first_word = _STATE_WORDS  # as seeding leaves it; to read it takes 30 µs

    def _word(self) -> int:
        return int(random.getstate()[1][-1])

    def state_changed(self) -> None:
        """The module's own generator has another state."""
        self._first_word = self._word()
        self.shared.inner.words = 0

    def ended(self) -> None:
        """No more draws are watched; generators that outlive the run are ordinary again."""
        if (self._first_word + self.shared.inner.words - self._word()) % _STATE_WORDS:
            self.is_complete = False
        for generator in list(self.made):
            for name in NAMES:
                vars(generator).pop(name, None)

    def seeded(self, generator: Random, by_program: bool) -> None:
        """A generator has been seeded: watch it, if it is the program's."""
        if generator is random._inst:
            self.shared.is_constant = by_program
            self.state_changed()
            return
        known = self.made.get(generator)
        if known is not None:
            known.is_constant = by_program
            return
        kind = type(generator)
        own = any(getattr(kind, name) is not getattr(Random, name) for name in (*NAMES, "_randbelow"))
        if own or _package_of_caller() in MACHINERY_PACKAGES:
            return
        watched = self.made[generator] = WatchedGenerator(self, generator, f"random.Random[{self.count}]", by_program)
        self.count += 1
        # On the object and not on the class: others' generators stay as they are.
        vars(generator).update({name: partial(_draw_here, watched, name) for name in NAMES})


def _package_of_caller() -> str:
    """Of the code that made or seeded a generator."""
    frame = sys._getframe(2)
    while frame.f_back is not None and frame.f_globals.get("__name__") in ("random", seeding.__name__):
        frame = frame.f_back
    return str(frame.f_globals.get("__name__", "")).partition(".")[0]


def _draw_here(watched: WatchedGenerator, name: str, *args: Any, **named: Any) -> Any:
    if _active is watched.draws and get_ident() == _active.thread:
        return getattr(watched, name)(*args, **named)
    generator = watched.inner.generator
    return getattr(type(generator), name)(generator, *args, **named)


def _module_function(name: str) -> Callable[..., Any]:
    original = getattr(random, name)

    @wraps(original)
    def drawn(*args: Any, **named: Any) -> Any:
        if _active is not None and get_ident() == _active.thread:
            return getattr(_active.shared, name)(*args, **named)
        return original(*args, **named)

    return drawn


# Where a program has put something else in a module's place before the run, that stays.
_ORIGINALS = {name: getattr(random, name) for name in NAMES if getattr(getattr(random, name), "__self__", None)}
_FUNCTIONS = {name: _module_function(name) for name in _ORIGINALS}
_BOUND = BoundNames([(random, list(_ORIGINALS))], ())


@contextmanager
def watched_generators(run: ActiveRun, watch: WatchedDraws, main: Callable[..., Any] | None) -> Iterator[None]:
    """Have numbers of `random` be draws of this run; the seeds of the run must be in force."""
    global _active
    namespace = vars(random)
    put = {name: one for name, one in _ORIGINALS.items() if namespace[name] is one}
    others = seeding.generator_states()
    draws = _active = RandomDraws(run, watch)
    seeding.seeded = draws.seeded
    namespace.update({name: _FUNCTIONS[name] for name in put})
    _BOUND.install(main)
    try:
        yield
    finally:
        _active = seeding.seeded = None
        _BOUND.restore()
        namespace.update({name: one for name, one in put.items() if namespace.get(name) is _FUNCTIONS[name]})
        draws.ended()
        now = seeding.generator_states()
        watch.others = tuple(name for name, one in others.items() if now.get(name) != one)
        if not draws.is_complete:
            watch.others = ("random", *watch.others)
        if watch.log is not None:
            watch.log.others = watch.others
