"""The formula for what is refused, against a queue that is played out."""

import numpy as np
import pytest

from app.overload import refused_share


def played(load: float, room: float) -> float:
    """Share refused of 200,000 Poisson arrivals at one server of unit services, where work of `room` may wait."""
    random = np.random.default_rng(1)
    work, refused, gaps = 0.0, 0, random.exponential(1 / load, 200_000)
    for gap in gaps:
        work = max(0.0, work - gap)
        if work > room:
            refused += 1
        else:
            work += 1.0
    return refused / len(gaps)


@pytest.mark.parametrize("load", [0.7, 0.9, 1.0, 1.2, 2.0])
@pytest.mark.parametrize("room", [3.0, 10.0])
def test_the_formula_is_near_a_queue_played_out(load: float, room: float) -> None:
    assert refused_share(load, room) == pytest.approx(played(load, room), abs=0.05)


def test_no_load_refuses_nothing_and_no_room_everything() -> None:
    assert refused_share(0.0, 5.0) == 0.0
    assert refused_share(0.5, 0.0) == 1.0
    assert refused_share(1e-9, 1e6) == 0.0
    assert refused_share(1.0, 5.0) == pytest.approx(0.1)


def test_more_load_refuses_more_and_more_room_less() -> None:
    loads = [refused_share(load, 4.0) for load in (0.2, 0.5, 0.9, 1.0, 1.1, 3.0)]
    rooms = [refused_share(0.9, room) for room in (1.0, 2.0, 8.0, 100.0)]
    assert loads == sorted(loads)
    assert rooms == sorted(rooms, reverse=True)
