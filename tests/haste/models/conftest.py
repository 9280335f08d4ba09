"""Where the data lies that is not part of the repository."""

import os
from pathlib import Path

import pytest

BESIDE_THE_CLONE = Path(__file__).resolve().parents[4] / "shared"


@pytest.fixture
def shared_data() -> Path:
    """The folder of `HASTE_SHARED_DATA`, else `shared/data` beside the clone; skips where neither exists."""
    folder = Path(os.environ.get("HASTE_SHARED_DATA", BESIDE_THE_CLONE / "data"))
    if not folder.is_dir():
        pytest.skip(f"no shared data at {folder}; HASTE_SHARED_DATA names another folder")
    return folder
