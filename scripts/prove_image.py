"""Runs the image as docker-compose.yml says, but with runc alone, and asks it from inside; as root, on Linux.

The container's network is its own loopback. Prints what was found as JSON; exit status 1 where a promise is broken.
Imports `haste`, so it runs in the environment of `make install`.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from haste.bench.rows import machine

ROOT = Path(__file__).parent.parent
NAME = "haste-proof"
READY_SECONDS = 120
SECCOMP = Path("/usr/share/containers/seccomp.json")
CLASSIFY = """
import haste, json, pathlib, urllib.request as r
photo = (pathlib.Path(haste.__file__).parent / "samples" / "cat.jpg").read_bytes()
answer = json.load(r.urlopen(r.Request("http://127.0.0.1:8000/classify", photo), timeout=30))
print(json.dumps({"label": answer["predictions"][0]["label"], "L": answer["L"], "timing_ms": answer["timing_ms"]}))
"""
CONFINED = """
import os, re
told = dict(re.findall(r"^(CapEff|CapBnd|NoNewPrivs|Seccomp):\\s*(\\w+)$", open("/proc/1/status").read(), re.M))
for folder in ("/", "/opt/haste", "/tmp", "/var/lib/haste"):
    try:
        open(folder + "/x", "w").close(); told[folder] = "writable"; os.unlink(folder + "/x")
    except OSError as error:
        told[folder] = error.strerror
told["uid"] = os.getuid()
told["compiler"] = any(os.path.exists("/usr/bin/" + name) for name in ("gcc", "g++", "cc", "c++", "clang"))
print(__import__("json").dumps(told))
"""
LARGE = """
import concurrent.futures as c, io, urllib.request as r
from PIL import Image
file = io.BytesIO(); Image.linear_gradient("L").resize((5000, 5000)).convert("RGBA").save(file, "PNG")
def ask(_):
    request = r.Request("http://127.0.0.1:8000/classify?deadline_ms=60000", file.getvalue())
    try: return r.urlopen(request, timeout=60).status
    except r.HTTPError as error: return error.code
print(list(c.ThreadPoolExecutor(4).map(ask, range(8))))
"""


def output(*command: str) -> str:
    """What a command prints; CalledProcessError where it fails."""
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def inside(*command: str) -> subprocess.CompletedProcess[str]:
    """A command in the running container, as the container's user."""
    return subprocess.run(["runc", "exec", NAME, *command], capture_output=True, text=True, check=False)


def asked(code: str) -> Any:
    """What a program prints inside, read as JSON."""
    done = inside("python", "-c", code)
    if done.returncode:
        raise RuntimeError(done.stderr)
    return json.loads(done.stdout)


@contextmanager
def bundle(image: str, service: dict[str, Any]) -> Iterator[Path]:
    """A folder for runc, on the image's own files."""
    config = json.loads(output("buildah", "inspect", "--type", "image", image))["OCIv1"]["config"]
    container = output("buildah", "from", image)
    try:
        with tempfile.TemporaryDirectory() as folder:
            output("runc", "spec", "--bundle", folder)
            file = Path(folder, "config.json")
            spec = json.loads(file.read_text(encoding="utf-8"))
            volume = Path(folder, "volume")
            volume.mkdir()
            os.chown(volume, *map(int, service["user"].split(":")))
            _confine(spec, config, service, volume)
            spec["root"] = {"path": output("buildah", "mount", container), "readonly": service["read_only"]}
            file.write_text(json.dumps(spec), encoding="utf-8")
            yield Path(folder)
    finally:
        output("buildah", "rm", container)


def _confine(spec: dict[str, Any], config: dict[str, Any], service: dict[str, Any], volume: Path) -> None:
    """What Compose would ask of the runtime."""
    assert service["cap_drop"] == ["ALL"]
    given = [line for line in service["environment"] if "=" in line]
    user, group = (int(part) for part in service["user"].split(":"))
    spec["process"] |= {
        "terminal": False,
        "args": [*config["Entrypoint"], *config["Cmd"]],
        "env": [*config["Env"], *given],
        "cwd": config["WorkingDir"],
        "user": {"uid": user, "gid": group},
        "capabilities": {},
        "noNewPrivileges": "no-new-privileges:true" in service["security_opt"],
    }
    for mount in service["tmpfs"]:
        path, _, options = mount.partition(":")
        spec["mounts"].append({"destination": path, "type": "tmpfs", "source": "tmpfs", "options": options.split(",")})
    (kept,) = (line.split(":")[1] for line in service["volumes"])
    spec["mounts"].append({"destination": kept, "type": "bind", "source": str(volume), "options": ["bind", "rw"]})
    spec["linux"]["resources"] |= {
        "memory": {"limit": int(service["mem_limit"].removesuffix("g")) * 2**30},
        "cpu": {"quota": int(service["cpus"] * 100_000), "period": 100_000},
        "pids": {"limit": service["pids_limit"]},
    }
    if SECCOMP.exists():
        spec["linux"]["seccomp"] = _seccomp(json.loads(SECCOMP.read_text(encoding="utf-8")))


def _seccomp(profile: dict[str, Any]) -> dict[str, Any]:
    """The default profile of container engines for a container without capabilities, as the runtime reads it."""
    rules = [
        {name: rule[name] for name in ("names", "action", "args", "errnoRet") if rule.get(name) is not None}
        for rule in profile["syscalls"]
        if _applies(rule.get("includes") or {})
    ]
    return {"defaultAction": profile["defaultAction"], "defaultErrnoRet": profile["defaultErrnoRet"], "syscalls": rules}


def _applies(includes: dict[str, list[str]]) -> bool:
    """Whether a rule is for this processor, and for no capability."""
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    own = names.get(platform.machine(), platform.machine())
    return "caps" not in includes and own in includes.get("arches", [own])


def prove(image: str, service: dict[str, Any]) -> dict[str, Any]:
    """Start, ask, end."""
    with bundle(image, service) as folder, (folder / "log").open("w+b") as log:
        begun = time.monotonic()
        run = ["runc", "run", "--bundle", str(folder), NAME]
        with subprocess.Popen(run, stdout=log, stderr=log) as process:
            try:
                found: dict[str, Any] = {"seconds_to_ready": round(_ready(process, folder / "log") - begun, 2)}
                return found | _asked(service, process)
            finally:
                subprocess.run(["runc", "delete", "--force", NAME], capture_output=True, check=False)


def _ready(process: subprocess.Popen[bytes], log: Path) -> float:
    end = time.monotonic() + READY_SECONDS
    while time.monotonic() < end and process.poll() is None:
        if b" is ready after " in log.read_bytes():
            return time.monotonic()
        time.sleep(0.02)
    raise RuntimeError(f"it did not become ready: {log.read_text(encoding='utf-8', errors='replace')}")


def _asked(service: dict[str, Any], process: subprocess.Popen[bytes]) -> dict[str, Any]:
    pid = json.loads(output("runc", "state", NAME))["pid"]
    doctor = json.loads(inside("haste", "doctor", "--json").stdout)["checks"]
    found = {
        "health_check": inside(*service["healthcheck"]["test"][1:]).returncode,
        "classify": asked(CLASSIFY),
        "resident_mib": _mib(pid, "VmRSS"),
        "confined": asked(CONFINED),
        "doctor": [check for check in doctor if check["state"] != "ok"],
        "large_images": asked(LARGE),
        "peak_mib": _mib(pid, "VmHWM"),
    }
    signalled = time.monotonic()
    output("runc", "kill", NAME, "SIGTERM")
    found["exit_status"] = process.wait(60)
    return found | {"seconds_to_end": round(time.monotonic() - signalled, 2)}


def _mib(pid: int, name: str) -> int:
    """VmRSS, what the process holds now, or VmHWM, the most that it ever held."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(status.partition(f"{name}:")[2].split()[0]) // 1024


def broken(found: dict[str, Any]) -> list[str]:
    """The promises that do not hold."""
    confined = found["confined"]
    kept = {
        "health check": found["health_check"] == 0,
        "classify": found["classify"]["label"] == "cat",
        "user": confined["uid"] == 10001,
        "capabilities": int(confined["CapEff"], 16) == int(confined["CapBnd"], 16) == 0,
        "no new privileges": confined["NoNewPrivs"] == "1",
        "read-only root": confined["/"] == confined["/opt/haste"] == "Read-only file system",
        "what may be written": confined["/tmp"] == confined["/var/lib/haste"] == "writable",
        "no compiler": not confined["compiler"],
        "large images": set(found["large_images"]) <= {200, 429},
        "end": found["exit_status"] == 0,
    }
    return [name for name, holds in kept.items() if not holds]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", nargs="?", default="haste-edge:0.1.0")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    args = parser.parse_args(words)
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    size = output("buildah", "images", "--format", "{{.Size}}", args.image)
    begun = {"machine": machine(), "load_average": os.getloadavg()[0], "size": size}
    found = begun | prove(args.image, compose["services"]["haste"])
    found["broken"] = broken(found)
    text = json.dumps(found, indent=1)
    print(text)
    if args.json:
        args.json.write_text(text + "\n", encoding="utf-8")
    return 1 if found["broken"] else 0


if __name__ == "__main__":
    sys.exit(main())
