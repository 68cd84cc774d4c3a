"""Every error detrun raises, under one base; defined in `detrun_scheduler.errors`, the lowest layer."""

from detrun_scheduler.errors import DeadlockError as DeadlockError
from detrun_scheduler.errors import DetrunError as DetrunError
from detrun_scheduler.errors import DivergenceError as DivergenceError
from detrun_scheduler.errors import HiddenStateError as HiddenStateError
from detrun_scheduler.errors import NondeterminismError as NondeterminismError
from detrun_scheduler.errors import NotDifferentiableError as NotDifferentiableError
from detrun_scheduler.errors import RecordingFormatError as RecordingFormatError
from detrun_scheduler.errors import StalledError as StalledError
from detrun_scheduler.errors import StepLimitError as StepLimitError
from detrun_scheduler.errors import UsageError as UsageError
