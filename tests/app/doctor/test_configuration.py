"""Names and values in the environment, and who reaches the service with which keys."""

from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from app.doctor.configuration import check_keys, check_names, check_values
from app.settings import Settings


def test_known_names_pass_in_any_case_and_other_variables_are_nobodys_business() -> None:
    (check,) = check_names(["HASTE_PORT", "haste_slo_ms", "HASTE_IMPLEMENTATION", "PATH"])
    assert check.state == "ok"
    assert check.found.startswith("HASTE_IMPLEMENTATION, HASTE_PORT, haste_slo_ms set")


def test_every_unknown_name_is_told_with_the_nearest_setting() -> None:
    first, second = check_names(["HASTE_PROT", "HASTE_PORT", "HASTE_BANANA"])
    assert (first.state, second.state) == ("problem", "problem")
    assert first.found == "HASTE_BANANA is no setting and does nothing"
    assert "docs/settings.md" in first.remedy
    assert second.remedy == "is HASTE_PORT meant?"


def test_every_wrong_value_is_named_and_none_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HASTE_PORT", "70000")
    monkeypatch.setenv("HASTE_ADMIN_KEY", "two words")
    with pytest.raises(ValidationError) as raised:
        Settings()
    checks = check_values(raised.value)
    assert sorted(check.found.partition(":")[0] for check in checks) == ["HASTE_ADMIN_KEY", "HASTE_PORT"]
    assert all(check.state == "problem" for check in checks)
    assert not any("two words" in check.found for check in checks)


@pytest.mark.parametrize(
    ("values", "state", "said"),
    [
        ({}, "ok", ""),
        ({"host": "0.0.0.0"}, "note", "HASTE_ADMIN_KEY"),
        ({"host": "0.0.0.0", "admin_key": SecretStr("k")}, "note", "in the clear"),
        ({"host": "0.0.0.0", "admin_key": SecretStr("k"), "tls_certificate": "c", "tls_key": "k"}, "ok", ""),
    ],
)
def test_beyond_loopback_keys_and_tls_are_asked_for(values: dict[str, Any], state: str, said: str) -> None:
    check = check_keys(Settings(**values))
    assert check.state == state
    assert said in check.remedy
