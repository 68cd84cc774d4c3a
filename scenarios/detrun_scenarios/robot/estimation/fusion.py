"""`Fusion`: measurements of many sensors in the order of their stamps, whatever the order in which they come.

A measurement that is younger than all before it is taken on. One that is older is put where it belongs: the belief
before it is taken up again, and all that came since is applied anew, which costs time. One that is older than the
fusion time-out is dropped, and so is history of that age.

Source: the lag smoothing of robot_localization (Moore and Stouch, 2014), after Bar-Shalom's problem of measurements out
of sequence, solved by computing again.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Any, NamedTuple

from detrun_scenarios.frame.plain import plain
from detrun_scenarios.robot.estimation.belief import BIAS, SPEED, TURN, Belief, direct, seen_from
from detrun_scenarios.robot.geometry.angles import wrapped
from detrun_scenarios.robot.geometry.place import Place
from detrun_scenarios.robot.invariants import Monitor
from detrun_scenarios.robot.messages import Measurement
from detrun_scenarios.robot.settings import Settings

_SPEED, _TURN, _TURN_WITH_BIAS = direct(SPEED), direct(TURN), direct(TURN, BIAS)


class Applied(NamedTuple):
    """A measurement and the belief with it; the first of a history has none.

    Attributes:
        stamp: by the clock of the brain.
    """

    stamp: Any
    measurement: Measurement | None
    belief: Belief


class Fusion:
    """See the module.

    Attributes:
        history: by stamp, at least one.
        dropped: measurements that were too old.
    """

    def __init__(self, first: Belief, stamp: Any, place: Place, settings: Settings, monitor: Monitor) -> None:
        self.history = [Applied(stamp, None, first)]
        self.dropped = 0
        self._place, self._settings, self._monitor = place, settings, monitor

    @property
    def newest(self) -> Applied:
        """Of the history."""
        return self.history[-1]

    def counts_at(self, stamp: Any) -> Any:
        """The time at which a measurement of that stamp is put into the history; None if it is too old."""
        return None if self.newest.stamp - stamp > self._settings.fusion_timeout else stamp

    def fuse(self, measurement: Measurement, offset: Any) -> int:
        """Take a measurement on.

        Args:
            offset: by how much the clock of the base is ahead of the brain's.

        Returns:
            How many were applied: 0 if it was dropped, 1 if it was the youngest.
        """
        stamp = self.counts_at(measurement.stamp - offset)
        self._monitor.time_is_given()
        at = 0 if stamp is None else bisect_right([plain(one.stamp) for one in self.history], plain(stamp))
        if at == 0:
            self.dropped += 1
            return 0
        self._monitor.fused(measurement, stamp)
        again = self.history[at:]
        del self.history[at:]
        self._apply(measurement, stamp)
        self._monitor.believes(measurement, self.newest.belief)
        for one in again:
            assert one.measurement is not None  # only the first has none, and it stays
            self._apply(one.measurement, one.stamp)
        self._forget()
        return 1 + len(again)

    def _apply(self, measurement: Measurement, stamp: Any) -> None:
        before = self.newest
        settings = self._settings
        belief = before.belief.moved(stamp - before.stamp, settings.speed_wander, settings.turn_wander)
        self.history.append(Applied(stamp, measurement, self._with(measurement, belief)))

    def _with(self, measurement: Measurement, belief: Belief) -> Belief:
        settings, values = self._settings, measurement.values
        if measurement.kind == "gyro":
            return self._corrected(belief, _TURN_WITH_BIAS, values[0], settings.gyro_noise)
        if measurement.kind == "odometry":
            belief = self._corrected(belief, _SPEED, values[0], settings.speed_noise)
            return self._corrected(belief, _TURN, values[1], settings.turn_noise)
        for landmark, away, bearing in values:
            x, y = self._place.landmarks[landmark]
            expected, _, by_range, _ = seen_from(belief.mean, x, y)
            belief = self._taken(belief, by_range, away - expected, settings.range_noise)
            _, around, _, by_bearing = seen_from(belief.mean, x, y)
            ahead = wrapped(around)
            off = self.angle_off(bearing, ahead)
            self._monitor.angle_is_off(measurement, off)
            belief = self._taken(belief, by_bearing, off, settings.bearing_noise)
        return belief

    def angle_off(self, measured: Any, expected: Any) -> Any:
        """The innovation of an angle, where both are within half a turn."""
        return wrapped(measured - expected)

    def _corrected(self, belief: Belief, slope: list[float], measured: Any, noise: Any) -> Belief:
        return self._taken(belief, slope, measured - belief.expected(slope), noise)

    def _taken(self, belief: Belief, slope: list[Any], innovation: Any, noise: Any) -> Belief:
        return belief.corrected(slope, innovation, noise * noise)

    def _forget(self) -> None:
        oldest = plain(self.newest.stamp) - plain(self._settings.fusion_timeout)
        keep = bisect_right([plain(one.stamp) for one in self.history], oldest) - 1
        if keep > 0:
            first = self.history[keep]
            self.history[: keep + 1] = [Applied(first.stamp, None, first.belief)]
