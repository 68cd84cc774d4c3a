"""For tests: schedules that hypothesis draws."""

from detrun.testing.drawn_schedules import Schedule as Schedule
from detrun.testing.drawn_schedules import schedules as schedules
