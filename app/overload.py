"""What a load costs: the share of arrivals that would have to be refused."""

import math


def refused_share(load: float, room: float) -> float:
    """Share of Poisson arrivals that cannot be in time: `room` is how much work may wait, in services of equal length.

    Diffusion between an empty queue and a full one (heavy traffic, as for M/D/1): with drift t = 2 (1 - load) / load,
    (1 - load) / load / (exp(t room) - 1); at a load of 1 that is 1 / (2 room).
    """
    if load <= 0:
        return 0.0
    if room <= 0:
        return 1.0
    free = (1 - load) / load
    exponent = 2 * free * room
    if abs(exponent) < 1e-6:
        return min(1.0, 1 / (2 * room))
    return min(1.0, free / math.expm1(exponent)) if exponent < 700 else 0.0
