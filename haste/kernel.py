"""The native module's only importer: which implementations there are, how many threads they may have."""

import hashlib
import os
import platform
import sys
from pathlib import Path

try:
    from haste._kernel import Method, Operation, Program, measure, method, operation
    from haste._kernel import implementations as _compiled
except ImportError:  # built without a compiler: the reference computes

    def _compiled() -> list[str]:
        return []


__all__ = [
    "REFERENCE",
    "Method",
    "Operation",
    "Program",
    "build_info",
    "cpu",
    "implementation",
    "implementations",
    "measure",
    "method",
    "operation",
    "threads",
    "version",
]

REFERENCE = "reference"


def implementations() -> list[str]:
    """The implementations that run here, the fastest first; the last is always the reference."""
    return [*_compiled(), REFERENCE]


def implementation() -> str:
    """The one in use: `HASTE_IMPLEMENTATION`, else the fastest. ValueError names one that does not run here."""
    known = implementations()
    asked = os.environ.get("HASTE_IMPLEMENTATION", known[0])
    if asked not in known:
        raise ValueError(f"HASTE_IMPLEMENTATION must be one of {', '.join(known)} on this machine, not {asked!r}")
    return asked


def threads() -> int:
    """`HASTE_THREADS`, else the container's CPU quota, else the processors of this process."""
    asked = os.environ.get("HASTE_THREADS")
    if asked is None:
        return _quota()
    if not (asked.isascii() and asked.isdecimal() and len(asked) < 4 and 1 <= int(asked) <= 256):
        raise ValueError(f"HASTE_THREADS must be 1..256, not {asked!r}")
    return int(asked)


def _quota(path: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = path.read_text().split()
        return max(1, min(processors, -(-int(quota) // int(period))))  # rounded up, as the service does
    except (OSError, ValueError, ZeroDivisionError):  # no control group, or no quota in it
        return processors


def build_info() -> dict[str, object]:
    """What `haste info` shows of the kernel."""
    return {"implementation": implementation(), "available": implementations(), "threads": threads()}


def version() -> str:
    """The implementation in use and the digest of the native module: what a calibration was measured with."""
    if implementation() == REFERENCE:
        return REFERENCE
    module = sys.modules["haste._kernel"].__file__
    return f"{implementation()} {hashlib.sha256(Path(str(module)).read_bytes()).hexdigest()[:16]}"


def cpu() -> str:
    """The processor's name as Linux tells it, else as Python does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
