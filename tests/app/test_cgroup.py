"""Control groups of both versions: the tightest limit above the process counts, and no limit is None."""

from pathlib import Path

import pytest

from app.cgroup import cpu_quota, memory_limit

V1_CPU = {"cpu/cpu.cfs_quota_us": "150000\n", "cpu/cpu.cfs_period_us": "100000\n"}


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 0.5),
        ("0::/\n", {"cpu.max": "nonsense"}, None),
        ("0::/\n", {"cpu.max": "100000 0"}, None),
        ("0::/\n", {}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "100000 100000", "cpu.max": "300000 100000"}, 1.0),
        ("0::/host/path/that/is/not/here\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/../../b\n", {"cpu.max": "200000 100000\n"}, 2.0),
        ("2:cpu,cpuacct:/\n0::/\n", V1_CPU, 1.5),
        ("2:cpu:/box\n", {f"cpu/box/{Path(name).name}": text for name, text in V1_CPU.items()}, 1.5),
        ("2:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, None),
    ],
)
def test_the_cpu_quota_is_the_tightest(
    tmp_path: Path, membership: str, files: dict[str, str], expected: float | None
) -> None:
    write(tmp_path / "root", files)
    write(tmp_path, {"membership": membership})
    assert cpu_quota(tmp_path / "root", tmp_path / "membership") == expected


@pytest.mark.parametrize(
    ("membership", "files", "expected"),
    [
        ("0::/\n", {"memory.max": "max\n"}, None),
        ("0::/unit\n", {"unit/memory.max": "2147483648\n"}, 2**31),
        ("4:memory:/a/b\n", {"memory/a/memory.limit_in_bytes": "1024", "memory/memory.limit_in_bytes": "2048"}, 1024),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712\n"}, None),
    ],
)
def test_the_memory_limit_is_the_tightest(
    tmp_path: Path, membership: str, files: dict[str, str], expected: int | None
) -> None:
    write(tmp_path / "root", files)
    write(tmp_path, {"membership": membership})
    assert memory_limit(tmp_path / "root", tmp_path / "membership") == expected


def test_without_control_groups_there_is_no_limit(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path, tmp_path / "absent") is None
    assert memory_limit(tmp_path, tmp_path / "absent") is None
