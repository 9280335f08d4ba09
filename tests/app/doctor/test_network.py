"""The port and the certificate, in each state; certificates are real ones."""

import socket
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from app.doctor.network import check_certificate, check_port
from app.settings import Settings

DAY = 86_400


def certified(folder: Path, begins_days: float, ends_days: float) -> Settings:
    """Settings with a certificate that is valid between so many days from now."""
    now = datetime.now(UTC)
    issued = trustme.CA().issue_cert(
        "box.example", not_before=now + timedelta(days=begins_days), not_after=now + timedelta(days=ends_days)
    )
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return Settings(tls_certificate=certificate, tls_key=key)


def test_a_free_port_is_free_and_stays_so() -> None:
    with socket.create_server(("127.0.0.1", 0)) as chosen:
        port = chosen.getsockname()[1]
    assert check_port(Settings(port=port), lambda: False).state == "ok"
    with socket.create_server(("127.0.0.1", port)):
        pass
    assert "the system chooses" in check_port(Settings(port=0), lambda: False).found


def test_a_port_that_another_program_has_is_a_problem_and_one_of_a_running_service_is_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = Settings(port=taken.getsockname()[1])
        other, own = check_port(settings, lambda: False), check_port(settings, lambda: True)
    assert (other.state, own.state) == ("problem", "ok")
    assert "Address already in use" in other.found
    assert "runs already" in own.found


@pytest.mark.parametrize(
    ("begins", "ends", "state", "said"),
    [
        (-1, 365, "ok", "for 364 days"),
        (-300, 10.5, "note", "for 10 days"),
        (-300, -1, "problem", "certificate has expired"),
        (1, 365, "problem", "certificate is not yet valid"),
    ],
)
def test_a_certificate_is_valid_now_and_for_a_while(
    tmp_path: Path, begins: float, ends: float, state: str, said: str
) -> None:
    check = check_certificate(certified(tmp_path, begins, ends), time.time())
    assert check.state == state
    assert said in check.found
    assert bool(check.remedy) == (state != "ok")


def test_the_days_left_are_counted_from_now(tmp_path: Path) -> None:
    settings = certified(tmp_path, -1, 365)
    assert check_certificate(settings, time.time() + 340 * DAY).state == "note"


def test_files_that_are_no_certificate_are_a_problem_and_none_is_none(tmp_path: Path) -> None:
    missing = Settings(tls_certificate=tmp_path / "absent.pem", tls_key=tmp_path / "absent.pem")
    assert "cannot read" in check_certificate(missing, 0.0).found
    assert check_certificate(missing, 0.0).state == "problem"
    assert check_certificate(Settings(), 0.0).state == "ok"
