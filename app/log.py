"""Structured logs: one JSON object a line, with the request's id; never an image."""

import json
import logging
import os
import re
import sys
import time
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

from pydantic_core import to_json

request_id: ContextVar[str] = ContextVar("haste_request_id", default="")
"""The id of the request that the current task works for; empty outside a request."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_ACCEPTED = re.compile(r"[A-Za-z0-9._-]{1,64}")


def new_request_id() -> str:
    """26 characters that sort by time: 48 bits of milliseconds, 80 bits at random (a ULID)."""
    number = (time.time_ns() // 1_000_000 % 2**48) << 80 | int.from_bytes(os.urandom(10))
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def accepted_request_id(sent: str | None) -> str:
    """The id that the client sent, or a new one where it sent none or one that could mislead a reader of the log."""
    return sent if sent is not None and _ACCEPTED.fullmatch(sent) else new_request_id()


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON; `extra={"fields": {...}}` joins it, `"at"` is its time where it is told later."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(getattr(record, "at", record.created), UTC).isoformat(
                timespec="milliseconds"
            ),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if identity := request_id.get():
            line["request_id"] = identity
        fields = getattr(record, "fields", None)
        if isinstance(fields, Mapping):
            line.update(fields)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            return to_json(line, fallback=str, ensure_ascii=True, inf_nan_mode="null").decode()
        except ValueError:  # bytes or surrogates that are no text, as a file's name may hold
            return json.dumps(line, default=str)


def configure(level: str) -> None:
    """Send every log line of the process, warnings included, to stderr as JSON."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)
    logging.captureWarnings(True)
    for name in ("uvicorn.access", "python_multipart", "PIL"):
        logging.getLogger(name).setLevel(logging.ERROR)  # they warn of what clients send
