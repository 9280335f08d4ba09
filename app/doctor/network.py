"""The port and the certificate."""

import ssl
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from app.cli import bind
from app.doctor.check import Check, note, problem
from app.settings import Settings
from app.tls import tls_context

_DAY = 86_400
_SOON_DAYS = 30


def check_port(settings: Settings, answers: Callable[[], bool]) -> Check:
    """Whether it could be listened on now; `answers` tells whether what has it says that it is ready, as we would."""
    where = f"{settings.host} port {settings.port}"
    try:
        bind(settings.host, settings.port).close()
    except ValueError as error:
        if answers():
            return Check("port", f"{where} is held by a service that answers /readyz: it runs already")
        return problem("port", str(error), "end what has it (ss -ltnp names it), or set HASTE_HOST and HASTE_PORT")
    return Check("port", f"{where} is free" if settings.port else f"{settings.host}, on a port that the system chooses")


def check_certificate(settings: Settings, now: float) -> Check:
    """`now`: seconds since 1970."""
    try:
        context = tls_context(settings.tls_certificate, settings.tls_key)
    except ValueError as error:
        return problem(
            "TLS", str(error), "give both files in PEM, readable by the service's user, key without password"
        )
    if context is None or settings.tls_certificate is None:
        return Check("TLS", "none, the service speaks plain HTTP")
    renew = "renew the certificate, then restart the service"
    try:
        shown = _shown(context, settings.tls_certificate)
    except ssl.SSLCertVerificationError as error:
        return problem("TLS", f"{settings.tls_certificate}: {error.verify_message}", f"{renew}; is the clock right?")
    ends = str(shown["notAfter"])
    days = int((ssl.cert_time_to_seconds(ends) - now) // _DAY)
    found = f"{settings.tls_certificate} is valid until {ends}, for {days} days"
    return note("TLS", found, renew) if days < _SOON_DAYS else Check("TLS", found)


def _shown(server: ssl.SSLContext, certificate: Path) -> Mapping[str, object]:
    """The certificate as a client sees it that trusts just this file, after a handshake within this process.

    SSLCertVerificationError where it is not valid now; the standard library reads no certificate without a handshake.
    """
    client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client.check_hostname = False
    client.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    client.load_verify_locations(certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    asking = client.wrap_bio(back, there)
    answering = server.wrap_bio(there, back, server_side=True)
    for side in (asking, answering) * 2:
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
    return asking.getpeercert() or {}
