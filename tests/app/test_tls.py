"""TLS: with a certificate and its key the service speaks https; what does not fit together stops the start."""

import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import trustme
from pydantic import ValidationError

from app.cli import bind, greeting
from app.settings import Settings
from app.tls import tls_context
from tests.app.harness import FakeEngine, encoded
from tests.app.live import Live, live, post


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="module")
def files(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for this machine, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    issued = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
    key.write_bytes(issued.private_key_pem.bytes())
    return certificate, key


@pytest.fixture(scope="module")
def server(files: tuple[Path, Path]) -> Iterator[Live]:
    with live(FakeEngine(), tls_context(*files), request_header_timeout_ms=500) as running:
        yield running


def test_a_client_that_trusts_the_certificate_is_served(server: Live, authority: trustme.CA) -> None:
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    with httpx.Client(base_url=f"https://localhost:{server.port}", verify=trusting) as client:
        for _ in range(2):
            assert client.post("/classify", content=encoded()).status_code == 200
        assert client.post("/classify", content=b"x" * 11_000_000).status_code == 413
        assert client.get("/livez").text == "ok"


def test_no_version_before_1_2_is_spoken(server: Live) -> None:
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises(ssl.SSLError), server.open() as client:
        old.wrap_socket(client)


def test_a_client_that_does_not_begin_with_tls_is_cut(server: Live) -> None:
    begun = time.monotonic()
    with server.open() as client:
        assert client.recv(1) == b""
    assert time.monotonic() - begun < 5


def test_a_request_read_together_with_the_end_of_its_connection_is_not_computed(
    files: tuple[Path, Path], authority: trustme.CA, caplog: pytest.LogCaptureFixture
) -> None:
    engine, trusting = FakeEngine(), ssl.create_default_context()
    authority.configure_trust(trusting)
    with live(engine, tls_context(*files)) as running:
        with running.open() as plain, trusting.wrap_socket(plain, server_hostname="localhost") as client:
            running.loop.call_soon_threadsafe(time.sleep, 0.2)
            client.sendall(post(encoded("JPEG")))
            client.settimeout(0.0)
            with suppress(OSError):
                client.unwrap()  # says that nothing follows, and does not wait for the answer
        running.wait_until(lambda: running.ended("cancelled") == 1)
    assert engine.batches == []
    assert "Exception" not in caplog.text


def test_the_greeting_says_https() -> None:
    with live(FakeEngine()) as running, bind("127.0.0.1", 0) as listener:
        assert " https://127.0.0.1:" in greeting(running.service, listener, "https")


def test_without_the_settings_there_is_no_tls() -> None:
    assert tls_context(None, None) is None


@pytest.mark.parametrize("half", ["tls_certificate", "tls_key"])
def test_a_certificate_and_a_key_belong_together(half: str, files: tuple[Path, Path]) -> None:
    with pytest.raises(ValidationError, match="belong together"):
        Settings.model_validate({half: files[0]})


def test_files_that_do_not_fit_are_named(files: tuple[Path, Path], authority: trustme.CA, tmp_path: Path) -> None:
    certificate, key = files
    missing, rubbish, other = tmp_path / "missing.pem", tmp_path / "rubbish.pem", tmp_path / "other.pem"
    rubbish.write_text("no PEM")
    other.write_bytes(authority.issue_cert("other").private_key_pem.bytes())
    with pytest.raises(ValueError, match=r"HASTE_TLS_CERTIFICATE: cannot read .*missing.pem: No such file"):
        tls_context(missing, key)
    with pytest.raises(ValueError, match=r"HASTE_TLS_KEY: cannot read"):
        tls_context(certificate, tmp_path)
    with pytest.raises(ValueError, match=r"rubbish.pem"):
        tls_context(rubbish, key)
    with pytest.raises(ValueError, match=r"rubbish.pem"):
        tls_context(certificate, rubbish)
    with pytest.raises(ValueError, match=r"other.pem .*: KEY_VALUES_MISMATCH"):
        tls_context(certificate, other)


def test_the_port_is_free_again_after_the_end(files: tuple[Path, Path]) -> None:
    with live(FakeEngine(), tls_context(*files)) as running:
        port = running.port
    with socket.socket() as again:
        again.bind(("127.0.0.1", port))
