"""The open loop: nothing that a service does or leaves undone changes when requests are sent."""

import os
import signal
import time
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from aiohttp.test_utils import unused_port
from yarl import URL

from app.arrivals import Times, constant
from app.load import sender
from app.load.images import Payload
from app.load.outcomes import Fate, Outcomes
from app.load.sender import offer
from app.load.target import Target, read_answer
from tests.app.load.fake_service import FakeService

CAT, DOG = Payload(b"cat", "image/png", "cat"), Payload(b"dog", "image/jpeg", "dog")
UNKNOWN = Payload(b"thing", "image/png", None)


def load(
    url: str,
    times: Times,
    payloads: Sequence[Payload] = (CAT,),
    *,
    time_out: float = 10.0,
    connections: int = 512,
    seed: int = 0,
) -> Outcomes:
    outcomes = Outcomes(times)
    target = Target(URL(url) / "classify", time_out, connections, read_answer)
    offer(target, payloads, outcomes, seed, lambda _outcomes, _seconds: None)
    return outcomes


def test_every_arrival_is_sent_though_no_answer_comes(service: FakeService) -> None:
    service.hold_until = 20  # a loop that waits for an answer before it goes on would never get there
    outcomes = load(service.url, constant(100, 0.2), time_out=5)
    assert outcomes.code.tolist() == [200] * 20
    assert len(service.queries) == 20


def test_latency_counts_from_the_schedule(service: FakeService) -> None:
    service.hold_until = 20
    times = constant(100, 0.2)
    outcomes = load(service.url, times, time_out=5)
    assert (outcomes.finished >= times[-1]).all()  # all were answered after the last had come
    assert (outcomes.latency == outcomes.finished - times).all()
    assert outcomes.latency[0] >= times[-1]


def test_no_request_leaves_before_its_time(service: FakeService) -> None:
    outcomes = load(service.url, constant(100, 0.2))
    assert (outcomes.sent >= outcomes.scheduled - 1e-3).all()


def test_beyond_the_requests_in_flight_an_arrival_is_counted_as_not_sent(service: FakeService) -> None:
    service.hold_until = 6
    outcomes = load(service.url, constant(200, 0.05), connections=4, time_out=0.3)
    assert Counter(outcomes.code.tolist()) == {Fate.TIME_OUT: 4, Fate.NOT_SENT: 6}
    assert outcomes.code[:4].tolist() == [Fate.TIME_OUT] * 4
    assert np.isnan(outcomes.sent).sum() == 6


def test_what_is_overdue_is_left_out_and_the_load_ends(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "MOST_LATE_SECONDS", 0.1)
    service.on_request = lambda: time.sleep(0.001)
    outcomes = load(service.url, constant(400_000, 0.5), connections=8)
    assert np.nanmax(outcomes.sent - outcomes.scheduled) < 0.5
    assert outcomes.reached == 200_000
    assert set(outcomes.code.tolist()) == {200, Fate.NOT_SENT}


def test_silence_ends_in_a_time_out_of_the_client(service: FakeService) -> None:
    service.hold_until = 100
    assert load(service.url, constant(100, 0.03), time_out=0.1).code.tolist() == [Fate.TIME_OUT] * 3


def test_a_service_that_is_gone_is_a_failed_connection() -> None:
    outcomes = load(f"http://127.0.0.1:{unused_port()}", constant(100, 0.03))
    assert outcomes.code.tolist() == [Fate.CONNECTION] * 3


def test_refusals_keep_their_status_and_say_nothing_of_levels(service: FakeService) -> None:
    service.status = 429
    outcomes = load(service.url, constant(100, 0.03))
    assert outcomes.code.tolist() == [429] * 3
    assert not outcomes.level.any()


def test_redirects_are_counted_and_never_followed(service: FakeService) -> None:
    service.redirect = "http://192.0.2.7/"
    assert load(service.url, constant(100, 0.02)).code.tolist() == [307] * 2


def test_an_answer_that_cannot_be_read_is_no_answer(service: FakeService) -> None:
    service.answer = {"predictions": []}
    assert load(service.url, constant(100, 0.02)).code.tolist() == [Fate.UNREADABLE] * 2


def test_every_image_comes_equally_often_with_its_type_and_class(service: FakeService) -> None:
    outcomes = load(service.url, constant(300, 0.04), [CAT, DOG, UNKNOWN])
    assert set(Counter(service.bodies).values()) == {4}
    assert set(service.bodies) == {("image/png", b"cat"), ("image/jpeg", b"dog"), ("image/png", b"thing")}
    assert (outcomes.labelled.sum(), outcomes.correct.sum()) == (8, 4)  # it always answers cat


def test_the_order_of_the_images_is_by_the_seed() -> None:
    def known(seed: int) -> list[bool]:
        payloads = [CAT, DOG, *[UNKNOWN] * 8]
        return load("http://127.0.0.1:1", constant(1000, 0.01), payloads, seed=seed).labelled.tolist()

    assert known(1) == known(1)
    assert known(1) != known(2)


def test_levels_and_degraded_answers_are_noted(service: FakeService) -> None:
    service.answer |= {"L": {"used": "exact"}, "degraded": True}
    outcomes = load(service.url, constant(100, 0.02))
    assert (outcomes.level.tolist(), outcomes.degraded.tolist()) == ([-1, -1], [True, True])


def test_ctrl_c_leaves_what_there_is_so_far(service: FakeService) -> None:
    def interrupt_at_the_fifth() -> None:
        if len(service.queries) == 5:
            os.kill(os.getpid(), signal.SIGINT)

    service.on_request = interrupt_at_the_fifth
    outcomes = Outcomes(constant(50, 60))
    target = Target(URL(service.url) / "classify", 10, 512, read_answer)
    with pytest.raises(KeyboardInterrupt):
        offer(target, [CAT], outcomes, 0, lambda _outcomes, _seconds: None)
    assert 5 <= outcomes.reached < 3000
    assert outcomes.code[:4].tolist() == [200] * 4
    assert outcomes.cpu_seconds > 0


def test_what_waits_at_ctrl_c_is_unanswered_and_no_failure(service: FakeService) -> None:
    def interrupt_at_the_third() -> None:
        if len(service.queries) == 3:
            os.kill(os.getpid(), signal.SIGINT)

    service.on_request, service.hold_until = interrupt_at_the_third, 100
    outcomes = Outcomes(constant(50, 60))
    target = Target(URL(service.url) / "classify", 10, 512, read_answer)
    with pytest.raises(KeyboardInterrupt):
        offer(target, [CAT], outcomes, 0, lambda _outcomes, _seconds: None)
    assert set(outcomes.column("code").tolist()) == {Fate.UNANSWERED}


def test_who_watches_is_called_with_what_there_is(service: FakeService) -> None:
    seen: list[int] = []
    outcomes = Outcomes(constant(100, 0.7))
    target = Target(URL(service.url) / "classify", 10, 512, read_answer)
    offer(target, [CAT], outcomes, 0, lambda found, _seconds: seen.append(found.reached))
    assert seen
    assert 0 < seen[0] <= 70
