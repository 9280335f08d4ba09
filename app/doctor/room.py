"""Memory and disk: what the service may take against what it can come to need."""

from collections.abc import Callable
from pathlib import Path

from app.doctor.check import Check, note, problem
from app.settings import Settings

_MIB = 2**20
_LEAST_PIXELS = 1_000_000
_LOW_DISK, _LEAST_DISK = 256 * _MIB, 4 * _MIB


def check_memory(settings: Settings, resident: int, limit: int | None, free: int | None) -> Check:
    """`resident`: bytes that a process with these models takes idle; `free`: what the system could give beside it."""
    requests = settings.request_bytes(settings.max_image_pixels)
    need = resident + requests
    found = f"{_mib(need)} needed: {_mib(resident)} with the models, {_mib(requests)} for requests at their worst"
    known = {"the limit": limit, "free": None if free is None else free + resident}
    allowed = min(((size, of) for of, size in known.items() if size is not None), default=None)
    if allowed is None:
        return Check("memory", f"{found}; the system does not say what there is")
    size, of = allowed
    found = f"{found}; {_mib(size)} is {of}"
    return Check("memory", found) if need <= size else problem("memory", found, _fit(settings, size - resident, need))


def _fit(settings: Settings, left: int, need: int) -> str:
    """Settings whose requests fit into the bytes `left`, or how much these need."""
    bodies = settings.request_bytes(0)
    pixels = (left - bodies) // (settings.request_bytes(1) - bodies)
    if pixels < _LEAST_PIXELS:
        return f"give it {_mib(need)}, or lower HASTE_MAX_BYTES_IN_FLIGHT, HASTE_DECODE_THREADS, HASTE_MAX_IMAGE_PIXELS"
    return f"HASTE_MAX_IMAGE_PIXELS={pixels // 100_000 * 100_000}, or give it {_mib(need)}: large photos could end it"


def check_state_file(path: Path | None, writable: Callable[[Path], bool]) -> Check:
    """It is replaced by a new file beside it, so it is the folder that must be writable."""
    name = "state file"
    if path is None:
        return Check(name, "none: what /config changes lasts until the service ends")
    try:
        return _state_file(name, path, path.absolute().parent, writable)
    except OSError as error:  # a folder above it is closed to this user
        remedy = "run the doctor as the service's user: deploy/README.md, systemd"
        return problem(name, f"{path}: {error.strerror}", remedy)


def _state_file(name: str, path: Path, folder: Path, writable: Callable[[Path], bool]) -> Check:
    if not folder.is_dir():
        return problem(name, f"{path}: there is no folder {folder}", f"mkdir -p {folder}, owned by the service's user")
    if path.exists() and not path.is_file():
        return problem(name, f"{path} is no file", "let HASTE_STATE_FILE name a file")
    if not writable(folder):
        return problem(name, f"{folder} cannot be written by this user", f"chown it, or run as its owner: {folder}")
    return Check(name, f"{path}, {'kept from before' if path.exists() else 'written at the first change'}")


def check_disk(folder: Path | None, free: int | None) -> Check:
    """`folder`: where the state file lies; the service writes nothing else. `free`: bytes there, None if not known."""
    if folder is None or free is None:
        return Check("disk", "nothing is written" if folder is None else f"{folder} cannot be looked at")
    found = f"{_mib(free)} free in {folder}"
    if free < _LEAST_DISK:
        return problem("disk", found, "free some: a change of /config could not be saved, and would be refused")
    if free < _LOW_DISK:
        return note("disk", found, "free some: little is left for logs and for the next version")
    return Check("disk", found)


def _mib(value: float) -> str:
    return f"{value / _MIB:,.0f} MiB"
