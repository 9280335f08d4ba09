"""What `test_state_file` runs in a process and kills: writes one state after another; imports little, to start fast."""

from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import cast

from app.state import State
from app.state_file import write_state


class _Values:
    def __init__(self, version: int) -> None:
        self._version = version

    def changes(self, _: State, __: Mapping[str, object]) -> dict[str, object]:
        return {"version": self._version, "L": self._version % 32 + 1}


def write_for_ever(path: Path, version: int, told: Connection) -> None:
    """Write versions after `version`, and tell each one once it is written."""
    write = cast(Callable[[Path, State, State], None], write_state)
    while True:
        version += 1
        values = cast(State, _Values(version))
        write(path, values, values)
        told.send(version)
