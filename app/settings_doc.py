"""Writes the table of settings for the documentation."""

from pydantic.fields import FieldInfo

from app.settings import Settings

_INTRODUCTION = """# Settings of the service

Environment variables, in upper or lower case, read once at start-up. An empty variable counts as absent; a value that
does not fit stops the start-up with one line that names it. `haste serve --host` and `--port` go before the
environment.

| variable | default | what it does |
|---|---|---|
"""


def settings_markdown() -> str:
    """The text of `docs/settings.md`; the same on every machine."""
    rows = (_row(name, field) for name, field in Settings.model_fields.items())
    return _INTRODUCTION + "".join(rows)


def _row(name: str, field: FieldInfo) -> str:
    return f"| `HASTE_{name.upper()}` | {default_text(field)} | {(field.description or '').replace('|', '/')} |\n"


def default_text(field: FieldInfo) -> str:
    """A setting's default as the documents show it."""
    extra = field.json_schema_extra
    if isinstance(extra, dict) and "default_text" in extra:
        return str(extra["default_text"])
    return "none" if field.default in (None, ()) else f"`{field.default}`"
