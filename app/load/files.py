"""The files that a command is to write, checked before its work."""

import importlib.util
from pathlib import Path

_DRAWN = (".png", ".svg", ".pdf")


def check_files(json: Path | None, plot: Path | None) -> None:
    """ValueError where one of --json and --plot could not be written, or nothing is there to draw with."""
    for file in (json, plot):
        if file and (file.is_dir() or not file.parent.is_dir()):
            raise ValueError(f"{file}: not a file in an existing directory")
    if plot and plot.suffix.lower() not in _DRAWN:
        raise ValueError(f"--plot draws {', '.join(_DRAWN)}, not {plot.name!r}")
    if plot and importlib.util.find_spec("matplotlib") is None:
        raise ValueError("--plot needs matplotlib: pip install 'haste-edge[figures]'")
