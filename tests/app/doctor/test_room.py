"""Memory, state file and disk, in each state."""

from pathlib import Path

import pytest

from app.doctor.room import check_disk, check_memory, check_state_file
from app.settings import Settings

MIB = 2**20
SETTINGS = Settings(decode_threads=2)  # 2 x 20 bytes x 25 million pixels + 3 x 128 MiB = 1,338 MiB


@pytest.mark.parametrize(
    ("limit", "free", "state"),
    [
        (2048, 8000, "ok"),
        (None, 1400, "ok"),
        (None, None, "ok"),
        (1800, 8000, "problem"),
        (2048, 1300, "problem"),
    ],
)
def test_requests_at_their_worst_must_fit_into_the_limit_and_what_is_free(
    limit: int | None, free: int | None, state: str
) -> None:
    sizes = (None if mib is None else mib * MIB for mib in (limit, free))
    check = check_memory(SETTINGS, 500 * MIB, *sizes)
    assert check.state == state
    assert "1,838 MiB needed: 500 MiB with the models, 1,338 MiB for requests at their worst" in check.found


def test_the_remedy_for_too_little_memory_fits() -> None:
    check = check_memory(SETTINGS, 500 * MIB, 1500 * MIB, None)
    pixels = int(check.remedy.partition("HASTE_MAX_IMAGE_PIXELS=")[2].partition(",")[0])
    lower = Settings(decode_threads=2, max_image_pixels=pixels)
    assert check_memory(lower, 500 * MIB, 1500 * MIB, None).state == "ok"
    assert "or lower HASTE_MAX_BYTES_IN_FLIGHT" in check_memory(SETTINGS, 500 * MIB, 800 * MIB, None).remedy


def test_a_state_file_needs_a_folder_that_can_be_written(tmp_path: Path) -> None:
    def yes(_: Path) -> bool:
        return True

    def no(_: Path) -> bool:
        return False

    file = tmp_path / "state.json"
    assert check_state_file(None, no).state == "ok"
    assert "at the first change" in check_state_file(file, yes).found
    file.touch()
    assert "kept from before" in check_state_file(file, yes).found
    assert check_state_file(file, no).state == "problem"
    assert check_state_file(tmp_path, yes).state == "problem"
    assert "mkdir" in check_state_file(tmp_path / "absent" / "state.json", yes).remedy


def test_a_folder_that_is_closed_to_this_user_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "is_dir", closed)
    check = check_state_file(tmp_path / "state.json", lambda _: True)
    assert (check.state, "Permission denied" in check.found) == ("problem", True)
    assert "as the service's user" in check.remedy
    assert check_disk(tmp_path, None).state == "ok"


@pytest.mark.parametrize(("mib", "state"), [(1000, "ok"), (100, "note"), (1, "problem")])
def test_a_full_disk_is_told(tmp_path: Path, mib: int, state: str) -> None:
    assert check_disk(tmp_path, mib * MIB).state == state
    assert check_disk(None, mib * MIB).state == "ok"
