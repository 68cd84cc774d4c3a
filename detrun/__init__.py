"""Record, replay, explore and differentiate concurrent Python programs.

Names that most programs use are imported here. The others are imported on first use, to keep ``import detrun`` short;
they are listed below twice, for type checkers and as data, and a test compares the two lists.

Rule: a lazy name behaves like any other attribute, also where a submodule has the same name (``detrun.explore`` is the
function, the package behind it is reached by importing from it). Each is found once and kept.
"""

import sys as _sys
from importlib import import_module as _import_module
from types import ModuleType as _ModuleType
from typing import TYPE_CHECKING
from typing import Any as _Any

from detrun import relaxed as relaxed
from detrun.ad.functions import acos as acos
from detrun.ad.functions import acosh as acosh
from detrun.ad.functions import asin as asin
from detrun.ad.functions import asinh as asinh
from detrun.ad.functions import atan as atan
from detrun.ad.functions import atan2 as atan2
from detrun.ad.functions import atanh as atanh
from detrun.ad.functions import clip as clip
from detrun.ad.functions import cos as cos
from detrun.ad.functions import cosh as cosh
from detrun.ad.functions import dot as dot
from detrun.ad.functions import erf as erf
from detrun.ad.functions import erfc as erfc
from detrun.ad.functions import exp as exp
from detrun.ad.functions import expm1 as expm1
from detrun.ad.functions import hypot as hypot
from detrun.ad.functions import log as log
from detrun.ad.functions import log1p as log1p
from detrun.ad.functions import log2 as log2
from detrun.ad.functions import log10 as log10
from detrun.ad.functions import logsumexp as logsumexp
from detrun.ad.functions import maximum as maximum
from detrun.ad.functions import mean as mean
from detrun.ad.functions import minimum as minimum
from detrun.ad.functions import norm as norm
from detrun.ad.functions import prod as prod
from detrun.ad.functions import relu as relu
from detrun.ad.functions import sigmoid as sigmoid
from detrun.ad.functions import sin as sin
from detrun.ad.functions import sinh as sinh
from detrun.ad.functions import softplus as softplus
from detrun.ad.functions import sqrt as sqrt
from detrun.ad.functions import sum as sum
from detrun.ad.functions import tan as tan
from detrun.ad.functions import tanh as tanh
from detrun.ad.functions import where as where
from detrun.ad.numpy_calls import install as _install_numpy_calls
from detrun.ad.torch_calls import install as _install_torch_calls
from detrun.ad.value import Value as Value
from detrun.errors import DeadlockError as DeadlockError
from detrun.errors import DetrunError as DetrunError
from detrun.errors import DivergenceError as DivergenceError
from detrun.errors import HiddenStateError as HiddenStateError
from detrun.errors import NondeterminismError as NondeterminismError
from detrun.errors import NotDifferentiableError as NotDifferentiableError
from detrun.errors import RecordingFormatError as RecordingFormatError
from detrun.errors import StalledError as StalledError
from detrun.errors import StepLimitError as StepLimitError
from detrun.errors import UsageError as UsageError
from detrun.primitives.draws import bernoulli as bernoulli
from detrun.primitives.draws import binomial as binomial
from detrun.primitives.draws import choice as choice
from detrun.primitives.draws import exponential as exponential
from detrun.primitives.draws import geometric as geometric
from detrun.primitives.draws import lognormal as lognormal
from detrun.primitives.draws import normal as normal
from detrun.primitives.draws import poisson as poisson
from detrun.primitives.draws import uniform as uniform
from detrun.primitives.shared import Atomic as Atomic
from detrun.primitives.shared import Shared as Shared
from detrun.primitives.sleep import sleep as sleep
from detrun.runs import Run as Run
from detrun.runs import record as record
from detrun.runs import replay as replay
from detrun_scheduler.threads import localhost as _localhost

if TYPE_CHECKING:
    from detrun.ad.torch_bridge import from_tensor as from_tensor
    from detrun.ad.torch_bridge import track as track
    from detrun.ad.torch_entry import to_tensor as to_tensor
    from detrun.checkers.assertions import always as always
    from detrun.checkers.assertions import reachable as reachable
    from detrun.checkers.assertions import sometimes as sometimes
    from detrun.checkers.assertions import unreachable as unreachable
    from detrun.checkers.histories import History as History
    from detrun.checkers.linearizability import linearizable as linearizable
    from detrun.counterfactuals.choice_log import log_probability as log_probability
    from detrun.determinism.check import Determinism as Determinism
    from detrun.determinism.check import check_determinism as check_determinism
    from detrun.effects.external import ExternalError as ExternalError
    from detrun.effects.external import Score as Score
    from detrun.effects.external import Surrogate as Surrogate
    from detrun.effects.external import external as external
    from detrun.effects.stage import stage as stage
    from detrun.explore.explorer import explore as explore
    from detrun.explore.failures.failure import Failure as Failure
    from detrun.explore.failures.shrink_plan import ShrunkPlan as ShrunkPlan
    from detrun.explore.failures.shrink_plan import fails_again as fails_again
    from detrun.explore.failures.shrink_plan import shrink_plan as shrink_plan
    from detrun.explore.verdicts import Exploration as Exploration
    from detrun.gradients.comparison import Comparison as Comparison
    from detrun.gradients.comparison import compare_gradients as compare_gradients
    from detrun.gradients.gradient import gradient as gradient
    from detrun.gradients.hessian import HessianVectorProduct as HessianVectorProduct
    from detrun.gradients.hessian import hessian_vector_product as hessian_vector_product
    from detrun.gradients.result import Gradient as Gradient
    from detrun.machines.machine import StateMachine as StateMachine
    from detrun.messages.pack import pack as pack
    from detrun.messages.pack import unpack as unpack
    from detrun.messages.sent import UnpackingError as UnpackingError
    from detrun.minimizing.minimize import minimize as minimize
    from detrun.minimizing.minimum import Minimum as Minimum
    from detrun.primitives.buffer import Buffer as Buffer
    from detrun.primitives.costs import Cost as Cost
    from detrun.primitives.costs import cost as cost
    from detrun.primitives.forcing import Bits as Bits
    from detrun.primitives.forcing import Unit as Unit
    from detrun.primitives.predictors import baseline as baseline
    from detrun.primitives.task_weights import set_weight as set_weight
    from detrun.primitives.tensor_draws import sample as sample
    from detrun.version import __version__ as __version__
    from detrun.world.faults.buggify import buggify as buggify
    from detrun.world.faults.liveness import liveness as liveness
    from detrun.world.nodes.node import this_node as this_node
    from detrun.world.world import World as World

_LAZY = {
    "Bits": "detrun.primitives.forcing",
    "Buffer": "detrun.primitives.buffer",
    "Comparison": "detrun.gradients.comparison",
    "Cost": "detrun.primitives.costs",
    "Determinism": "detrun.determinism.check",
    "Exploration": "detrun.explore.verdicts",
    "ExternalError": "detrun.effects.external",
    "Failure": "detrun.explore.failures.failure",
    "Gradient": "detrun.gradients.result",
    "HessianVectorProduct": "detrun.gradients.hessian",
    "History": "detrun.checkers.histories",
    "Minimum": "detrun.minimizing.minimum",
    "Score": "detrun.effects.external",
    "ShrunkPlan": "detrun.explore.failures.shrink_plan",
    "StateMachine": "detrun.machines.machine",
    "Surrogate": "detrun.effects.external",
    "Unit": "detrun.primitives.forcing",
    "UnpackingError": "detrun.messages.sent",
    "World": "detrun.world.world",
    "__version__": "detrun.version",
    "always": "detrun.checkers.assertions",
    "baseline": "detrun.primitives.predictors",
    "buggify": "detrun.world.faults.buggify",
    "check_determinism": "detrun.determinism.check",
    "compare_gradients": "detrun.gradients.comparison",
    "cost": "detrun.primitives.costs",
    "explore": "detrun.explore.explorer",
    "external": "detrun.effects.external",
    "fails_again": "detrun.explore.failures.shrink_plan",
    "from_tensor": "detrun.ad.torch_bridge",
    "gradient": "detrun.gradients.gradient",
    "hessian_vector_product": "detrun.gradients.hessian",
    "linearizable": "detrun.checkers.linearizability",
    "liveness": "detrun.world.faults.liveness",
    "log_probability": "detrun.counterfactuals.choice_log",
    "minimize": "detrun.minimizing.minimize",
    "pack": "detrun.messages.pack",
    "reachable": "detrun.checkers.assertions",
    "sample": "detrun.primitives.tensor_draws",
    "set_weight": "detrun.primitives.task_weights",
    "shrink_plan": "detrun.explore.failures.shrink_plan",
    "sometimes": "detrun.checkers.assertions",
    "stage": "detrun.effects.stage",
    "this_node": "detrun.world.nodes.node",
    "to_tensor": "detrun.ad.torch_entry",
    "track": "detrun.ad.torch_bridge",
    "unpack": "detrun.messages.pack",
    "unreachable": "detrun.checkers.assertions",
}


class _Package(_ModuleType):
    """This package, with names that are found on first use."""

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *_LAZY})


def _lazy(name: str) -> property:
    found: list[_Any] = []  # empty or one value

    def get(self: _ModuleType) -> _Any:
        if not found:
            found.append(getattr(_import_module(_LAZY[name]), name))
        return found[0]

    def put(self: _ModuleType, value: _Any) -> None:
        # The import system binds a submodule to its package; the public name keeps its meaning.
        if not isinstance(value, _ModuleType):
            found[:] = [value]

    return property(get, put)


for _name in _LAZY:
    setattr(_Package, _name, _lazy(_name))
_sys.modules[__name__].__class__ = _Package
_install_numpy_calls()
_localhost.opener = lambda run: _import_module("detrun.world.localhost").open_localhost(run)
_install_torch_calls()
