"""Keys: one to use the service, one to change it; which of them was wrong is not told."""

import pytest
from pydantic import ValidationError

from app.settings import Settings
from tests.app.harness import Client, FakeEngine, encoded, serving

PNG = encoded()
OPEN: tuple[str, ...] = ("/livez", "/readyz", "/startupz", "/metrics", "/v2/health/live", "/v2/health/ready")
OPEN += ("/v2/models/small/ready", "/v2/models/small/versions/1/ready")
USE: tuple[tuple[str, str], ...] = (("GET", "/config"), ("GET", "/models"), ("GET", "/v2/models/small"))
USE += (("POST", "/classify"), ("POST", "/explain"))


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ask(client: Client, method: str, path: str, headers: dict[str, str]) -> int:
    return client.request(method, path, headers=headers, content=PNG if method == "POST" else b"").status_code


def test_with_a_data_key_everything_but_probes_and_metrics_needs_it(engine: FakeEngine) -> None:
    with serving(engine, data_key="d4ta") as client:
        for method, path in USE:
            assert ask(client, method, path, {}) == 401
            assert ask(client, method, path, bearer("wrong")) == 401
            assert ask(client, method, path, {"Authorization": "Basic d4ta"}) == 401
            assert ask(client, method, path, bearer("d4ta")) == 200
        assert [client.get(path).status_code for path in OPEN] == [200] * len(OPEN)


def test_the_admin_key_opens_everything_and_the_data_key_changes_nothing(engine: FakeEngine) -> None:
    with serving(engine, host="0.0.0.0", data_key="d4ta", admin_key="4dmin") as client:
        assert [ask(client, method, path, bearer("4dmin")) for method, path in USE] == [200] * len(USE)
        assert client.patch({"L": 5}, headers=bearer("4dmin")).status_code == 200
        refused = client.patch({"L": 6}, headers=bearer("d4ta"))
        assert (refused.status_code, client.get("/config", headers=bearer("d4ta")).json()["L"]) == (401, 5)


def test_with_a_data_key_alone_changes_on_loopback_need_it_and_beyond_are_refused(engine: FakeEngine) -> None:
    with serving(engine, data_key="d4ta") as client:
        assert client.patch({"L": 5}).status_code == 401
        assert client.patch({"L": 5}, headers=bearer("d4ta")).status_code == 200
    with serving(engine, data_key="d4ta", host="0.0.0.0") as client:
        assert client.patch({"L": 5}, headers=bearer("d4ta")).status_code == 403


def test_answers_do_not_tell_which_key_was_wrong(engine: FakeEngine) -> None:
    with serving(engine, data_key="d4ta", admin_key="4dmin") as client:
        answers = [
            client.get("/models"),
            client.get("/models", headers=bearer("4dmi")),
            client.patch({"L": 5}),
            client.patch({"L": 5}, headers=bearer("d4ta")),
            client.patch({"L": 5}, headers=bearer("d4ta4dmin")),
        ]
    bodies = [{name: value for name, value in answer.json().items() if name != "request_id"} for answer in answers]
    assert all(body == bodies[0] for body in bodies)
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}


def test_a_request_without_its_key_is_refused_before_its_body_is_read(engine: FakeEngine) -> None:
    with serving(engine, data_key="d4ta") as client:
        assert client.classify(b"x" * 20_000_000).status_code == 401
    assert engine.seen == []


@pytest.mark.parametrize("name", ["admin_key", "data_key"])
@pytest.mark.parametrize("key", ["", " ", "a b", "schlüssel", "a\n", "\x7f"])
def test_a_key_that_is_empty_or_fits_in_no_header_is_refused_without_showing_it(name: str, key: str) -> None:
    with pytest.raises(ValidationError, match="printable ASCII") as refused:
        Settings.model_validate({name: key})
    assert "input_value" not in str(refused.value)


def test_one_key_for_both_is_refused() -> None:
    with pytest.raises(ValidationError, match="must differ"):
        Settings.model_validate({"admin_key": "same", "data_key": "same"})
