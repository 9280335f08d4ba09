"""`python -m app.probe`: exit status 0 where the service of this environment is ready; a health check without curl.

It runs every few seconds beside the service, so it needs the standard library alone and half of a tenth of a second.
"""

import http.client
import ipaddress
import os
import ssl
import sys
from collections.abc import Mapping

_SECONDS = 2.5


def ready(environment: Mapping[str, str]) -> bool:
    """Whether `/readyz` answers 200 where these settings say that the service listens."""
    host, port = _local(environment.get("HASTE_HOST", "")), int(environment.get("HASTE_PORT") or 8000)
    connection = http.client.HTTPConnection(host, port, timeout=_SECONDS)
    if environment.get("HASTE_TLS_CERTIFICATE"):
        connection = http.client.HTTPSConnection(host, port, timeout=_SECONDS, context=_unverified())
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _local(host: str) -> str:
    """An address that reaches a service which listens on `host`: loopback where that is every address."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "127.0.0.1"
    loopback = "127.0.0.1" if address.version == 4 else "::1"
    return loopback if address.is_unspecified else host


def _unverified() -> ssl.SSLContext:
    """The certificate names the service's own host, which this is not asked by; nothing secret is sent."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


if __name__ == "__main__":
    sys.exit(0 if ready(os.environ) else 1)
