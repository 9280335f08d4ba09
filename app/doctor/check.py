"""One thing that was looked at."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Check:
    """What was found and, where that is not as it should be, what to do.

    note: the service works, but not as well as it could. problem: it does not start, or not everything works.
    """

    name: str
    found: str
    state: State = "ok"
    remedy: str = ""


def note(name: str, found: str, remedy: str) -> Check:
    return Check(name, found, "note", remedy)


def problem(name: str, found: str, remedy: str) -> Check:
    return Check(name, found, "problem", remedy)
