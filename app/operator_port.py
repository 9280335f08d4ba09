"""A port of one replica alone, to read its metrics, configuration and probes; Prometheus finds it by a file."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app.cli import bind

READ = frozenset({"/config", "/livez", "/metrics", "/readyz", "/startupz"})
_JOB = "haste"  # the rules and dashboards know the service by this name


class ReadOnly:
    """Lets through what an operator reads of one process, and nothing that would work or change it."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        allowed = scope["type"] == "http" and scope["method"] in ("GET", "HEAD") and scope["path"] in READ
        if allowed:
            await self._app(scope, receive, send)
        else:
            text = f"this port of one replica answers GET {', '.join(sorted(READ))} alone\n"
            await PlainTextResponse(text, 404)(scope, receive, send)


@asynccontextmanager
async def operator_port(app: ASGIApp, host: str, targets: Path | None) -> AsyncIterator[None]:
    """Serve it on a port that the system chooses, named in `targets`/PID.json; nothing where `targets` is None."""
    if targets is None:
        yield
        return
    config = uvicorn.Config(ReadOnly(app), lifespan="off", ws="none", log_config=None, access_log=False)
    server = uvicorn.Server(config)
    with bind(host, 0) as listener:
        name, port = listener.getsockname()[:2]
        address = f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
        serving = asyncio.create_task(server.serve(sockets=[listener]), name="operator port")
        file = write_target(targets, address, os.getpid())
        try:
            yield
        finally:
            file.unlink(missing_ok=True)
            server.should_exit = True
            await serving


def write_target(folder: Path, address: str, pid: int) -> Path:
    """The file, for `file_sd_configs`; those of processes that are gone are removed.

    PermissionError where the folder is another user's, who could name Prometheus other targets.
    """
    folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        raise PermissionError(f"{folder} is a link or belongs to another user; give targets a folder of your own")
    for old in folder.glob("*.json"):
        if not Path("/proc", old.stem).exists():
            old.unlink(missing_ok=True)
    file, unfinished = folder / f"{pid}.json", folder / f"{pid}.tmp"
    unfinished.write_text(json.dumps([{"targets": [address], "labels": {"job": _JOB}}]), encoding="utf-8")
    unfinished.replace(file)
    return file
