"""How long before a deadline the engine must be done, beyond what is always left: learned from what was late."""

_LATE_SHARE = 0.005
_STEP, _MOST = 0.03, 0.3  # of the objective


class Reserve:
    """Seconds that stand still where one answer of 200 is late, half of what the service may break its word.

    A late answer moves them up by a step and one in time down by that much less: a quantile followed as Robbins and
    Monro (1951) find a root. Forwards that scatter, an event loop that is behind, a machine that others use: whatever
    makes answers late, the same remedy.
    """

    def __init__(self) -> None:
        self.seconds = 0.0

    def answered(self, slo_seconds: float, *, late: bool) -> None:
        """Learn from an answer."""
        step = _STEP * slo_seconds
        moved = self.seconds + step * ((1 - _LATE_SHARE) if late else -_LATE_SHARE)
        self.seconds = min(max(moved, 0.0), _MOST * slo_seconds)
