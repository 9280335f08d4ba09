"""The tables of docs/security.md: what bounds the work and memory that a client can ask for."""

from result_tables import table

from app import json_body, multipart, refusals
from app.settings import Settings
from app.settings_doc import default_text

_PREFIXES, _SUFFIXES = ("max_",), ("_timeout_ms", "_per_minute")
_NAMES = ("queue_images", "decode_threads", "threads", "drain_ms")


def bounds() -> str:
    """Every setting that is a bound, with its default."""
    rows = [
        (f"`HASTE_{name.upper()}`", default_text(field), field.description or "")
        for name, field in Settings.model_fields.items()
        if name.startswith(_PREFIXES) or name.endswith(_SUFFIXES) or name in _NAMES
    ]
    return table(("setting", "default", "what it bounds"), rows)


def fixed_bounds() -> str:
    """The bounds that no setting changes."""
    rows = [
        ("levels of JSON", json_body.MAX_DEPTH, "400"),
        ("values in a JSON body, but for tensors", json_body.MAX_VALUES, "400"),
        ("parts of a form", multipart.MAX_PARTS, "400"),
        ("headers of a part", multipart.MAX_HEADERS, "400"),
        ("bytes of a part's header", multipart.MAX_HEADER_BYTES, "400"),
        ("bytes of a request's target", refusals.MAX_TARGET_BYTES, "414"),
        ("bytes of a request's head", refusals.MAX_HEAD_BYTES, "431"),
        ("headers of a request", refusals.MAX_HEADERS, "431"),
    ]
    cells = [(what, f"{most:,}", status) for what, most, status in rows]
    return table(("bound", "most", "answer beyond it"), cells)
