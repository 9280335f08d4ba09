"""The command `doctor`: looks at the machine and the settings as the service would find them, and changes nothing."""

import argparse
import json
import logging
import os
import platform
import re
import resource
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from pathlib import Path

from pydantic import ValidationError
from rich.console import Console
from rich.table import Table
from rich.text import Text

from app import probe
from app.cgroup import cpu_quota, memory_limit
from app.doctor import models
from app.doctor.check import Check, State, problem
from app.doctor.configuration import check_keys, check_names, check_values
from app.doctor.method import REFERENCE, Implementations, implementations, processor_name
from app.doctor.network import check_certificate, check_port
from app.doctor.processor import Processor, check_cpus, check_implementation, check_processor, read_features
from app.doctor.room import check_disk, check_memory, check_state_file
from app.doctor.software import check_clock, check_versions
from app.settings import Settings, cores

_CLOCK_SOURCE = Path("/sys/devices/system/clocksource/clocksource0/current_clocksource")
_STYLES: Mapping[State, str] = {"ok": "green", "note": "yellow", "problem": "bold red"}


def add_doctor(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add `doctor` to the command line."""
    what = "say whether this machine and the settings in the environment are fit for the service"
    parser = subparsers.add_parser("doctor", help=what, description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print every check; 0 without a problem, 1 otherwise."""
    with _quiet(logging.getLogger("app")):
        checks = examine(os.environ)
    sound = all(check.state != "problem" for check in checks)
    if args.json:
        print(json.dumps({"ok": sound, "checks": [asdict(check) for check in checks]}, indent=1))  # noqa: T201
    else:
        Console().print(_table(checks))
    return 0 if sound else 1


@contextmanager
def _quiet(logger: logging.Logger) -> Iterator[None]:
    """What the parts would log is in the checks."""
    before = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(before)


def _table(checks: list[Check]) -> Table:
    counts = {state: sum(check.state == state for check in checks) for state in _STYLES}
    title = ", ".join(f"{state}: {number}" for state, number in counts.items())
    table = Table("check", "state", "found", "what to do", title=title)
    for check in checks:
        state = Text(check.state, _STYLES[check.state])
        table.add_row(Text(check.name), state, Text(check.found), Text(check.remedy))
    return table


def examine(environment: Mapping[str, str]) -> list[Check]:
    """All checks in their order; those that need settings or models are left out where these are not to be had."""
    found = implementations()
    checks = [*_machine(found), *check_names(environment)]
    try:
        settings = Settings()
    except ValidationError as error:
        return checks + check_values(error)
    return [*checks, *_setup(settings, environment), *_models(settings, found)]


def _machine(found: Implementations) -> list[Check]:
    cpuinfo = _read(Path("/proc/cpuinfo"))
    processor = Processor(processor_name(), platform.machine(), read_features(cpuinfo))
    installed = Path(__file__).stat().st_mtime
    return [
        check_processor(processor),
        check_implementation(processor, found),
        check_clock(time.time(), installed, _read(_CLOCK_SOURCE).strip() or None),
    ]


def _setup(settings: Settings, environment: Mapping[str, str]) -> list[Check]:
    folder = settings.state_file.absolute().parent if settings.state_file else None
    free = None if folder is None else _free_disk(folder)
    return [
        check_cpus(settings.threads, settings.decode_threads, cores(), cpu_quota()),
        check_state_file(settings.state_file, partial(os.access, mode=os.W_OK)),
        check_disk(folder, free),
        check_port(settings, partial(probe.ready, environment)),
        check_certificate(settings, time.time()),
        check_keys(settings),
    ]


def _free_disk(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None


def _models(settings: Settings, found: Implementations) -> list[Check]:
    try:
        build, loaded = models.load(settings)
    except ValueError as error:
        return [problem("start", str(error), "the service would not start: mend or unset what is named")]
    resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return [
        check_versions(build),
        *models.check_models(settings, loaded, compiled=found.used not in (None, REFERENCE)),
        check_memory(settings, resident, memory_limit(), _free(_read(Path("/proc/meminfo")))),
    ]


def _free(meminfo: str) -> int | None:
    """Bytes that programs can still have, out of the text of /proc/meminfo."""
    found = re.search(r"^MemAvailable: +(\d+) kB$", meminfo, re.MULTILINE)
    return None if found is None else int(found[1]) * 1024


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError:  # another system
        return ""
