"""What control groups, of version 2 or 1, allow this process: CPUs and memory, by the tightest group above it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")
ROOT = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")
_UNLIMITED_BYTES = 2**60
"""Version 1 says no limit by a number near 2**63."""


def cpu_quota(root: Path = ROOT, membership: Path = MEMBERSHIP) -> float | None:
    """CPUs that may be used at once, on average; None where nothing limits them."""
    found = [_quota(group / "cpu.max") for group in _groups(root, membership, "")]
    found += [
        _quota(group / "cpu.cfs_quota_us", group / "cpu.cfs_period_us") for group in _groups(root, membership, "cpu")
    ]
    return min((quota for quota in found if quota is not None), default=None)


def memory_limit(root: Path = ROOT, membership: Path = MEMBERSHIP) -> int | None:
    """Bytes that may be used; None where nothing limits them."""
    files = [group / "memory.max" for group in _groups(root, membership, "")]
    files += [group / "memory.limit_in_bytes" for group in _groups(root, membership, "memory")]
    found = [_read(int, file) for file in files]
    return min((limit for limit in found if limit is not None and limit < _UNLIMITED_BYTES), default=None)


def _groups(root: Path, membership: Path, controller: str) -> Iterator[Path]:
    """The folders of this process's group and of all above it; without `controller`, those of version 2.

    In a container the group's path may be the host's, which does not exist here, and its own folder is the root.
    """
    base = root / controller
    group = base / _path(membership, controller).lstrip("/")
    while group != base and base in group.parents:
        yield group
        group = group.parent
    yield base


def _path(membership: Path, controller: str) -> str:
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:  # no control groups
        return "/"
    parts = (line.split(":", 2) for line in lines if line.count(":") >= 2)
    return next((path for _, names, path in parts if controller in names.split(",") and ".." not in path), "/")


def _quota(*files: Path) -> float | None:
    text = [_read(str, file) for file in files]
    try:
        quota, period = " ".join(part or "" for part in text).split()[:2]
        share = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # absent, or "max"
        return None
    return share if share > 0 else None


def _read(kind: Callable[[str], T], file: Path) -> T | None:
    try:
        return kind(file.read_text(encoding="ascii").strip())
    except (OSError, ValueError):  # absent, or "max"
        return None
