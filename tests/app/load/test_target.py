"""Whom the tool may load, and what must be true before it begins."""

import dataclasses
import socket
from typing import Any

import pytest
from yarl import URL

from app.load.images import Payload
from app.load.outcomes import Reading
from app.load.sender import run
from app.load.target import Target, check_address, read_answer, served, try_once, wait_until_ready
from tests.app.load.fake_service import ANSWER, FakeService

PHOTO = Payload(b"a photo", "image/png", "cat")


def target_of(service: FakeService, **query: str) -> Target:
    return Target(URL(service.url) / "classify" % query, 5.0, 512, read_answer)


def wait(target: Target) -> None:
    async def work() -> None:
        async with target.session() as session:
            await wait_until_ready(session, target.url.with_path("/readyz"), 0, 0)

    run(work())


def attempt(target: Target) -> None:
    async def work() -> None:
        async with target.session() as session:
            await try_once(session, target, PHOTO)

    run(work())


def classes(service: FakeService, name: str | None) -> object:
    async def work() -> object:
        async with target_of(service).session() as session:
            return (await served(session, URL(service.url), name))["name"]

    return run(work())


@pytest.mark.parametrize("base", ["http://127.0.0.1:8000", "http://127.8.8.8", "http://[::1]:80", "http://localhost/"])
def test_addresses_of_this_machine_are_taken(base: str) -> None:
    assert check_address(base, allow_remote=False) == URL(base)


@pytest.mark.parametrize("address", ["192.0.2.7", "0.0.0.0", "2001:db8::1"])
def test_remote_addresses_are_refused_unless_allowed(address: str) -> None:
    base = f"http://[{address}]" if ":" in address else f"http://{address}"
    with pytest.raises(ValueError, match=rf"{address}, not this machine: --allow-remote"):
        check_address(base, allow_remote=False)
    assert check_address(base, allow_remote=True) == URL(base)


def test_a_name_is_taken_only_if_all_its_addresses_are_here(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(*_: object, **__: object) -> list[Any]:
        return [(2, 1, 6, "", (address, 80)) for address in ("127.0.0.1", "192.0.2.7")]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ValueError, match=r"box is 192.0.2.7, not this machine"):
        check_address("http://box", allow_remote=False)


@pytest.mark.parametrize("base", ["", "127.0.0.1:8000", "ftp://127.0.0.1", "http://127.0.0.1:x", "http://a@127.0.0.1"])
def test_what_is_no_address_is_refused_with_its_text(base: str) -> None:
    with pytest.raises(ValueError, match=f"--url.*{base}"):
        check_address(base, allow_remote=False)


def test_a_service_that_is_ready_is_not_waited_for(service: FakeService) -> None:
    wait(target_of(service))


def test_a_service_that_goes_on_loading_is_told_with_its_own_words(service: FakeService) -> None:
    service.loading = True
    with pytest.raises(ValueError, match=r"not ready after 0 s: .*/readyz answers 503: still loading"):
        wait(target_of(service))


def test_a_service_that_is_not_there_is_told(service: FakeService) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = URL.build(scheme="http", host="127.0.0.1", port=unused.getsockname()[1])
        absent = dataclasses.replace(target_of(service), url=url / "classify")
        with pytest.raises(ValueError, match=r"does not answer .*haste serve"):
            wait(absent)
        with pytest.raises(ValueError, match="does not answer"):
            attempt(absent)


def test_an_address_with_a_path_of_the_api_is_not_waited_for(service: FakeService) -> None:
    probe = URL(service.url) / "classify" / "readyz"

    async def work() -> None:
        async with target_of(service).session() as session:
            await wait_until_ready(session, probe, 0, 60)

    with pytest.raises(ValueError, match=r"/classify/readyz answers 404: .*without a path"):
        run(work())


def test_the_model_is_the_first_or_the_one_that_is_named(service: FakeService) -> None:
    assert (classes(service, None), classes(service, "second")) == ("first", "second")
    with pytest.raises(ValueError, match=r"serves first, second, not 'third'"):
        classes(service, "third")


def test_a_service_that_wants_a_key_is_told_as_such(service: FakeService) -> None:
    service.locked = True
    with pytest.raises(ValueError, match="/models answers 401: a key is needed; HASTE_LOAD_KEY must hold its data key"):
        classes(service, None)


def test_something_else_than_this_service_is_told(service: FakeService) -> None:
    service.url += "/other"
    with pytest.raises(ValueError, match="names no models"):
        classes(service, None)


def test_a_first_request_that_is_refused_says_why_before_the_load(service: FakeService) -> None:
    service.status, service.answer = 422, {"detail": "deadline_ms is unknown"}
    with pytest.raises(ValueError, match=r"answers 422: deadline_ms is unknown; --no-deadline-sent"):
        attempt(target_of(service, deadline_ms="100"))
    with pytest.raises(ValueError, match=r"deadline_ms is unknown$"):
        attempt(target_of(service))
    service.answer = {"detail": "L must be 1..32, not 33"}
    with pytest.raises(ValueError, match=r"not 33$"):
        attempt(target_of(service, deadline_ms="100"))


@pytest.mark.parametrize("status", [200, 408, 429, 503])
def test_a_service_that_has_no_time_now_is_loaded_all_the_same(service: FakeService, status: int) -> None:
    service.status = status
    attempt(target_of(service))


def test_redirects_are_not_followed(service: FakeService) -> None:
    service.redirect = "http://192.0.2.7/"
    with pytest.raises(ValueError, match="answers 307"):
        attempt(target_of(service))


def test_an_answer_says_class_level_and_whether_it_was_lowered() -> None:
    import json

    assert read_answer(json.dumps(ANSWER).encode()) == Reading("cat", 10, False)
    dense = ANSWER | {"L": {"used": "dense"}, "degraded": True}
    assert read_answer(json.dumps(dense).encode()) == Reading("cat", "dense", True)
