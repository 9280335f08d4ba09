"""GET /: the page for people, its files and the sample pictures; a fixed list, read once, without a key."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from fastapi import APIRouter, HTTPException, Request, Response

router = APIRouter(include_in_schema=False)

INDEX = "index.html"
FOLDER = Path(__file__).parent.parent / "web"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The browser loads nothing from elsewhere and runs nothing that is written into the page."""

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".jpg": "image/jpeg",
}
_HEADERS = {
    "Cache-Control": "no-cache",  # kept, but asked for anew: another version of the service brings another page
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class File:
    """What is sent of a file."""

    content: bytes
    media_type: str
    etag: str


def _read(path: Path) -> File:
    content = path.read_bytes()
    return File(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:24]}"')


def _listed(folder: Path, *suffixes: str) -> Mapping[str, File]:
    return {path.name: _read(path) for path in sorted(folder.iterdir()) if path.suffix in suffixes}


@cache
def page_files() -> Mapping[str, File]:
    """The page's own files by name; nothing else can be asked for."""
    return _listed(FOLDER, ".html", ".css", ".js", ".svg")


@cache
def sample_files() -> Mapping[str, File]:
    """The pictures that come with the method, which is found, not imported."""
    found = find_spec("haste")
    assert found is not None
    assert found.origin is not None
    return _listed(Path(found.origin).parent / "samples", ".jpg")


def _answer(request: Request, files: Mapping[str, File], name: str) -> Response:
    if name not in files:
        raise HTTPException(404)
    file = files[name]
    headers = _HEADERS | {"ETag": file.etag}
    if file.etag in [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]:
        return Response(status_code=304, headers=headers)
    return Response(file.content, media_type=file.media_type, headers=headers)


@router.api_route("/", methods=["GET", "HEAD"])
async def index(request: Request) -> Response:
    return _answer(request, page_files(), INDEX)


@router.api_route("/page/{name}", methods=["GET", "HEAD"])
async def part(request: Request, name: str) -> Response:
    return _answer(request, page_files(), name)


@router.api_route("/samples/{name}", methods=["GET", "HEAD"])
async def sample(request: Request, name: str) -> Response:
    return _answer(request, sample_files(), name)
