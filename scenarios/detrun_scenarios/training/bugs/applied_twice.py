"""A push that comes again because its answer was late is taken for another one, and its gradient is applied again."""

from __future__ import annotations

from detrun_scenarios.training.messages import Push
from detrun_scenarios.training.parameter_server.sessions import Session, Sessions


class AppliedTwice(Sessions):
    """Looks at the session alone."""

    def is_new(self, session: Session, push: Push) -> bool:
        """See `Sessions.is_new`."""
        return True  # right: if its number is the next
