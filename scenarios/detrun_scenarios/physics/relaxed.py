"""The relaxed contact: a wall that gives way like a damped spring, so that nothing jumps and every derivative exists.

The wall pushes by ``k d (1 + c d')``, d being the depth (Hunt and Crossley, "Coefficient of restitution interpreted
as damping in vibroimpact", Journal of Applied Mechanics 42, 1975): without adhesion, and without a jump at first
touch. The stiffer it is, the closer the motion is to that with impacts, and the more steps it takes. Where depth
begins is a soft choice (`detrun.relaxed.maximum`): at a temperature T, in metres, the wall is felt at about T above
it, too.
"""

from __future__ import annotations

import detrun
from detrun import relaxed
from detrun_scenarios.frame.plain import plain
from detrun_scenarios.physics.geometry.vectors import Number

STIFFNESS = 1e5  # N/m for each kilogram: at 4 m/s a depth of 13 mm
BEGIN, NEWTON_STEPS = 1e-12, 40


def push(gap: Number, speed: Number, damping: Number) -> Number:
    """The acceleration away from the wall, in m/s².

    Args:
        gap: distance to the wall, negative inside.
        speed: at which the gap grows, in m/s.
        damping: c, in s/m, see `damping_for`.
    """
    depth = relaxed.maximum(-gap, 0.0)
    return STIFFNESS * depth * detrun.maximum(1.0 - damping * speed, 0.0)


def damping_for(restitution: Number, speed: Number) -> Number:
    """The damping c with which a wall gives back the share e of an impact at a speed v.

    Between impact and release the energy is what is given back: with ``a = c v``, ``a (1 + e) = ln((1 + a) / (1 - a
    e))``, whose root beside 0 is found by Newton's method. Its last step is taken on Values, which is the implicit
    derivative.

    Raises:
        UsageError: the restitution is not between 0 and 1.
    """
    e = plain(restitution)
    if not 0.0 < e < 1.0:
        raise detrun.UsageError(f"restitution={e:g}: a damped wall gives back more than 0 and less than 1")
    a = (1.0 - BEGIN) / e  # right of the root, where the function falls and bends down: it comes from that side
    for _ in range(NEWTON_STEPS):
        a = _improved(a, e)
    return _improved(a, restitution) / speed


def _improved(a: float, e: Number) -> Number:
    off = a * (1.0 + e) - detrun.log(1.0 + a) + detrun.log(1.0 - a * e)
    return a - off / plain((1.0 + e) - 1.0 / (1.0 + a) - e / (1.0 - a * e))
