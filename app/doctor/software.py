"""What is installed, and the clock that everything is timed by."""

from collections.abc import Mapping
from datetime import UTC, datetime

from app.doctor.check import Check, note, problem

_SLOW_CLOCKS = ("hpet", "acpi_pm", "jiffies", "refined-jiffies")


def check_versions(build: Mapping[str, str]) -> Check:
    """`build`: version, torch and python, as the engine tells them."""
    found = f"haste {build['version']}, torch {build['torch']}, Python {build['python']}"
    if "+cu" in build["torch"] or "+rocm" in build["torch"]:
        return note("software", found, "this torch carries GB for graphics cards; its CPU build does all that is used")
    return Check("software", found)


def check_clock(now: float, installed: float, source: str | None) -> Check:
    """`now`, and when this package was `installed`, in seconds since 1970; `source`: what Linux counts time with."""
    found = f"{datetime.fromtimestamp(now, UTC):%Y-%m-%d %H:%M} UTC" + (f", counted by {source}" if source else "")
    if now < installed:
        return problem(
            "clock", f"{found}: before this was installed", "set it, and let NTP keep it: certificates end by it"
        )
    if source in _SLOW_CLOCKS:
        return note("clock", found, "a slow source: boot with clocksource=tsc where the processor's own is stable")
    return Check("clock", found)
