"""What routes share: the service behind a request, and who may use or change it."""

import hmac
from ipaddress import ip_address
from typing import cast
from urllib.parse import urlsplit

from fastapi import Request
from pydantic import SecretStr

from app.errors import Forbidden, Unauthorized
from app.service import Service


def service_of(request: Request) -> Service:
    """The service that the application was made with."""
    return cast(Service, request.app.state.service)


def check_may_use(request: Request) -> None:
    """Raise Unauthorized where there is a data key and this request carries neither it nor the admin key.

    For every route but the probes, `/metrics`, `/docs` and the page's files, before the body is read.
    """
    settings = service_of(request).settings
    if settings.data_key is not None:
        _check_key(request, settings.data_key, settings.admin_key)


def check_may_change(request: Request) -> None:
    """Raise Unauthorized or Forbidden where this request may not change the service.

    With an admin key, the request must carry it; without one, changes are accepted on a loopback address alone, from
    those who may use the service, and not from another site's page in a browser. None where an engine steers it.
    """
    service = service_of(request)
    settings = service.settings
    if service.changed_by is not None:
        raise Forbidden(f"a change here would reach one process of many: {service.changed_by}")
    if settings.admin_key is not None:
        _check_key(request, settings.admin_key)
    elif not settings.on_loopback:
        raise Forbidden(
            f"the service listens on {settings.host}, beyond this machine, without an admin key; "
            "set HASTE_ADMIN_KEY and send it as Authorization: Bearer KEY, or listen on 127.0.0.1"
        )
    elif _from_another_site(request):
        raise Forbidden("changes from another site's page are not accepted without an admin key")
    else:
        check_may_use(request)


def _check_key(request: Request, *accepted: SecretStr | None) -> None:
    """Every key is compared, in a time that tells nothing of it; the answer is the same whatever was wrong."""
    scheme, _, sent = request.headers.get("authorization", "").partition(" ")
    found = [
        hmac.compare_digest(sent.strip().encode(), key.get_secret_value().encode())
        for key in accepted
        if key is not None
    ]
    if scheme.lower() != "bearer" or not any(found):
        raise Unauthorized("this needs a key that allows it, as in Authorization: Bearer KEY")


def _from_another_site(request: Request) -> bool:
    """Whether a browser sends this for another page, also one whose name was bound to this machine's address."""
    origin, host = request.headers.get("origin"), request.headers.get("host", "")
    return not _is_loopback(host) or origin not in (None, f"http://{host}", f"https://{host}")


def _is_loopback(host: str) -> bool:
    try:
        name = urlsplit(f"//{host}").hostname or ""
        return name == "localhost" or ip_address(name).is_loopback
    except ValueError:
        return False
