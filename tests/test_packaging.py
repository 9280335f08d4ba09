"""Dependencies are bounded and locked, every lock agrees with the others, and nothing names a registry's address."""

import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LOCKS = {path.stem: path.read_text(encoding="utf-8") for path in (ROOT / "requirements").glob("*.lock")}
SHIPPED = (".css", ".html", ".jpg", ".js", ".json", ".safetensors", ".svg", ".typed")
APART = ("bench", "browser", "fleet")
"""What is not installed for development: the rivals, a browser's driver, and Ray."""
PIN = re.compile(r"^([a-z0-9-]+)==(\S+)", re.MULTILINE)


def pins(lock: str) -> dict[str, str]:
    return dict(PIN.findall(LOCKS[lock]))


def requirements() -> list[str]:
    extras = PROJECT["project"]["optional-dependencies"].values()
    return [*PROJECT["project"]["dependencies"], *(line for extra in extras for line in extra)]


@pytest.mark.parametrize("requirement", requirements())
def test_every_dependency_is_bounded_and_locked(requirement: str) -> None:
    assert ">=" in requirement
    assert "<" in requirement
    name = re.split(r"[<>=\[]", requirement)[0]
    assert name == "torch" or any(name in pins(lock) for lock in ("dev", *APART))


@pytest.mark.parametrize("lock", LOCKS)
def test_locks_agree_and_every_pin_has_hashes(lock: str) -> None:
    known = pins("dev")
    assert lock in APART or pins(lock).keys() <= known.keys()
    assert {name: pin for name, pin in pins(lock).items() if known.get(name, pin) != pin} == {}
    assert all("--hash=sha256:" in entry for entry in re.split(r"\n(?=\S)", LOCKS[lock].strip()))


def test_torch_is_pinned_apart_and_no_lock_pulls_cuda() -> None:
    pin = (ROOT / "requirements/torch.txt").read_text(encoding="utf-8").strip()
    assert pin == f"torch=={PROJECT['tool']['uv']['dependency-metadata'][0]['version']}"
    names = {name for lock in LOCKS for name in pins(lock)}
    assert [name for name in names if re.match(r"torch|triton(?!client)|nvidia|cuda", name)] == []


def test_no_build_file_names_an_index() -> None:
    files = [*LOCKS.values(), *((ROOT / name).read_text() for name in ("pyproject.toml", "Makefile", "Dockerfile"))]
    assert not any(re.search(r"https?://(?!localhost|127\.0\.0\.1)|--(extra-)?index-url [a-z]", text) for text in files)


def test_the_wheel_holds_the_packages_with_their_data_and_nothing_else(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        str(tmp_path),
        ".",
    ]
    subprocess.run(
        [*command, f"--config-settings=build-dir={tmp_path}/build"], cwd=ROOT, check=True, capture_output=True
    )
    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        names = {name for name in wheel.namelist() if ".dist-info/" not in name}
    tracked = {str(path.relative_to(ROOT)) for package in ("haste", "app") for path in (ROOT / package).rglob("*.*")}
    data = {name for name in tracked if Path(name).suffix in SHIPPED}
    assert data <= names
    assert {name.split("/")[0] for name in names} == {"haste", "app"}
