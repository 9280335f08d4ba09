"""Dockerfile and Compose file are well formed and keep their promises: no root, pinned images, loopback ports."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")


def lint(*command: str) -> None:
    done = subprocess.run([BIN / command[0], *command[1:]], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_finds_nothing() -> None:
    lint("hadolint", "Dockerfile")


def test_the_compose_file_follows_the_compose_specification() -> None:
    lint("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "docker-compose.yml")


def test_the_image_does_not_run_as_root_and_says_when_it_is_ready() -> None:
    last_stage = DOCKERFILE.split("\nFROM ")[-1]
    assert "\nUSER 10001:10001\n" in last_stage
    assert 'CMD ["python", "-m", "app.probe"]' in last_stage
    assert "curl" not in last_stage
    assert "apt-get" not in last_stage


def test_the_dockerfile_names_no_processor_and_no_index() -> None:
    commands = [line for line in DOCKERFILE.splitlines() if not line.startswith("#")]
    assert not any(word in line for line in commands for word in ("amd64", "arm64", "x86_64", "aarch64", "://"))


def test_what_the_dockerfile_copies_is_not_ignored() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copies = [
        line.split()[1:-1] for line in DOCKERFILE.splitlines() if line.startswith("COPY ") and "--from" not in line
    ]
    sources = {source.rstrip("/") for words in copies for source in words}
    assert sources == allowed
    assert all((ROOT / source).exists() for source in sources)


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_is_confined(name: str) -> None:
    service = SERVICES[name]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is True
    assert service["user"].split(":")[0] not in ("", "0", "root")
    assert {"mem_limit", "cpus", "pids_limit", "stop_grace_period", "restart"} <= set(service)
    assert "curl" not in service["healthcheck"]["test"]
    assert all("noexec" in mount for mount in service.get("tmpfs", ()))


def test_what_the_service_keeps_lies_on_a_volume() -> None:
    service = SERVICES["haste"]
    (state,) = (line.partition("=")[2] for line in service["environment"] if line.startswith("HASTE_STATE_FILE="))
    folder = str(Path(state).parent)
    assert [volume.split(":")[1] for volume in service["volumes"]] == [folder]
    assert f" {folder}\n" in DOCKERFILE
    assert service["user"] == "10001:10001"


def test_the_service_has_time_to_finish_before_it_is_killed() -> None:
    settings = Settings()
    needed = (settings.drain_ms + settings.shutdown_timeout_ms) / 1e3
    assert float(SERVICES["haste"]["stop_grace_period"].removesuffix("s")) > needed


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_is_pinned_and_ours_by_the_projects_version(name: str) -> None:
    image, _, tag = SERVICES[name]["image"].partition(":")
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert tag.lstrip("v")[:1].isdigit()
    assert image != "haste-edge" or tag == version


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_container_mounts_exists(name: str) -> None:
    mounts = [volume.split(":")[0] for volume in SERVICES[name].get("volumes", [])]
    assert all((ROOT / path).exists() for path in mounts if path.startswith("."))
    assert all(volume in COMPOSE["volumes"] for volume in mounts if not volume.startswith("."))


def test_prometheus_scrapes_the_service() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text(encoding="utf-8"))
    targets = [
        target for job in config["scrape_configs"] for group in job["static_configs"] for target in group["targets"]
    ]
    assert targets == ["haste:8000"]
    assert "127.0.0.1:8000:8000" in SERVICES["haste"]["ports"]
