"""For tests: schedules that hypothesis draws. hypothesis is imported when one of the names is first used."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from detrun.testing.drawn_schedules import Schedule as Schedule
    from detrun.testing.drawn_schedules import schedules as schedules

__all__ = ["Schedule", "schedules"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from detrun.testing import drawn_schedules
    except ModuleNotFoundError as error:
        if error.name != "hypothesis":
            raise
        from detrun.errors import UsageError

        raise UsageError(
            f"detrun.testing.{name} needs hypothesis, which is not installed: pip install hypothesis"
        ) from None
    return getattr(drawn_schedules, name)
