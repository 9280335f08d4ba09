"""The health check of the image: 0 while the service is ready, on whatever address and with TLS; 1 otherwise."""

import subprocess
import sys
from pathlib import Path

import pytest
import trustme

from app.probe import ready
from app.tls import tls_context
from tests.app.harness import FakeEngine
from tests.app.live import live


@pytest.mark.parametrize("host", ["", "0.0.0.0", "127.0.0.1", "localhost"])
def test_a_ready_service_is_found_where_it_listens(host: str) -> None:
    with live(FakeEngine()) as running:
        where = {"HASTE_HOST": host, "HASTE_PORT": str(running.port)}
        assert ready(where)
        running.service.draining = True
        assert not ready(where)
    assert not ready(where)


def test_a_service_that_speaks_tls_is_asked_by_tls(tmp_path: Path) -> None:
    issued = trustme.CA().issue_cert("box.example")
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    certificate.write_bytes(issued.cert_chain_pems[0].bytes())
    key.write_bytes(issued.private_key_pem.bytes())
    with live(FakeEngine(), tls_context(certificate, key)) as running:
        port = {"HASTE_PORT": str(running.port)}
        assert ready(port | {"HASTE_TLS_CERTIFICATE": str(certificate)})
        assert not ready(port)


def test_the_probe_loads_nothing_but_the_standard_library() -> None:
    code = "import sys, app.probe; print(*(n for n in ('pydantic', 'fastapi', 'torch', 'numpy') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
