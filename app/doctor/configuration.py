"""The settings in the environment: names that no setting has, values that do not fit."""

from collections.abc import Iterable

from pydantic import ValidationError

from app.doctor.check import Check, note, problem
from app.settings import Settings, faults, unknown


def check_names(environment: Iterable[str]) -> list[Check]:
    """One for every variable that looks like a setting and is none; upper and lower case are alike."""
    given = list(environment)
    wrong = unknown(given)
    if not wrong:
        names = sorted(name for name in given if name.upper().startswith("HASTE_"))
        return [Check("settings", f"{', '.join(names) or 'none'} set in the environment")]
    return [problem("settings", f"{name} is no setting and does nothing", remedy) for name, remedy in wrong.items()]


def check_values(error: ValidationError) -> list[Check]:
    """One for every value that stops the start."""
    return [problem("settings", fault, "change or unset it; docs/settings.md describes it") for fault in faults(error)]


def check_keys(settings: Settings) -> Check:
    """Who reaches the service should need a key for changes, and no key should travel in the clear."""
    keys = [name for name in ("admin_key", "data_key") if getattr(settings, name) is not None]
    reach = "this machine alone" if settings.on_loopback else "other machines"
    found = f"reached by {reach} ({settings.host}), {' and '.join(keys).replace('_', ' ') or 'no key'} set"
    if settings.on_loopback:
        return Check("access", found)
    if settings.admin_key is None:
        return note("access", found, "HASTE_ADMIN_KEY, or every change is refused with 403")
    if settings.tls_certificate is None:
        return note("access", found, "keys travel in the clear: HASTE_TLS_CERTIFICATE, or a proxy that ends TLS")
    return Check("access", found)
