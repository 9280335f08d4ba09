"""Every knob of the service, once: its default, its unit in the name, and what it does."""

import difflib
import ipaddress
import math
import os
import re
from collections.abc import Container, Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from app.cgroup import cpu_quota

_MIB = 2**20
_PREFIX, _ELSEWHERE = "HASTE_", ("HASTE_IMPLEMENTATION", "HASTE_LOAD_KEY")
"""Of the variables, and those that others read: the method's kernel, `haste load`."""
_PIXEL_BYTES, _PARSED_COPIES = 20, 3
"""What decoding takes of a pixel, and parsing of a body, at most."""


def cores() -> int:
    """Processors that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpus(processors: int, quota: float | None) -> int:
    """How many threads can run at once: the quota, in CPUs, is rounded up; at least 1."""
    return max(1, processors if quota is None else min(processors, math.ceil(quota)))


def available_cpus() -> int:
    """CPUs that this process may use: the least of its affinity and its control groups' quota."""
    return cpus(cores(), cpu_quota())


def _names(value: Any) -> Any:
    return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value


def _level(value: Any) -> Any:
    if not isinstance(value, str) or value in ("exact", "dense"):
        return value
    if not (value.isascii() and value.isdecimal()):
        raise ValueError("must be a whole number, exact or dense")
    return int(value)


def _cpus_default(help_text: str) -> Any:
    return Field(
        default_factory=available_cpus,
        ge=1,
        le=1024,
        description=help_text,
        json_schema_extra={"default_text": "the CPU quota"},
    )


def unknown(environment: Iterable[str]) -> dict[str, str]:
    """Variables that look like settings and are none, each with what to do; upper and lower case are alike."""
    known = [*(f"{_PREFIX}{name.upper()}" for name in Settings.model_fields), *_ELSEWHERE]
    names = sorted(name for name in environment if name.upper().startswith(_PREFIX) and name.upper() not in known)
    return {name: _nearest(name, known) for name in names}


def _nearest(name: str, known: list[str]) -> str:
    longer = [one for one in known if one.startswith(f"{name.upper()}_")]
    near = longer or difflib.get_close_matches(name.upper(), known, 1, 0.75)
    return f"is {near[0]} meant?" if near else "unset it; docs/settings.md lists all settings"


def faults(error: ValidationError, options: Container[str] = ()) -> list[str]:
    """What is wrong with settings, one line each, by the names of their variables; never a value, it may be a key.

    options: the settings that were given on the command line, which are named as there.
    """
    return [_fault(found, options) for found in error.errors(include_url=False)]


def _fault(found: ErrorDetails, options: Container[str]) -> str:
    name = "_".join(str(part) for part in found["loc"][:1])
    where = f"--{name}: " if name in options else f"{_PREFIX}{name.upper()}: " if name else ""
    return where + found["msg"].removeprefix("Value error, ")


class Settings(BaseSettings):
    """Read from environment variables `HASTE_<NAME>`; an empty variable counts as absent."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX,
        env_ignore_empty=True,
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,  # it may be a key
    )

    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8000, ge=0, le=65535, description="Port to listen on; 0 lets the system choose.")
    admin_key: SecretStr | None = Field(
        None,
        description="Key that changing requests must carry as `Authorization: Bearer KEY`. "
        "Without one, changes are accepted only while the service listens on a loopback address.",
    )
    data_key: SecretStr | None = Field(
        None,
        description="Key that all requests but probes, `/metrics`, `/docs` and the files of the page must carry as "
        "`Authorization: Bearer KEY`; the admin key is taken for it too.",
    )
    tls_certificate: Path | None = Field(
        None, description="PEM file with the certificate chain to show; with `HASTE_TLS_KEY`, the service speaks https."
    )
    tls_key: Path | None = Field(None, description="PEM file with the certificate's private key, without a password.")
    state_file: Path | None = Field(None, description="File that keeps changes of `/config` over a restart.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least severe line to log.")

    models: Annotated[tuple[str, ...], NoDecode, BeforeValidator(_names)] = Field(
        (), description="Names of the models to serve, separated by commas, the default first; empty: the embedded one."
    )
    preset: Literal["default", "paper"] = Field("default", description="Settings of the method to start with.")
    L: Annotated[int | Literal["exact", "dense"] | None, BeforeValidator(_level)] = Field(
        None,
        description="Level to start with: number of hyperplanes, `exact` or `dense`; absent: the preset's.",
    )
    calibration: Path | None = Field(
        None,
        description="File that `haste calibrate` wrote: the fastest form of every layer here. One that was made for "
        "other weights, settings, threads, processor or kernel is refused in the log, and a short one is made instead. "
        "While `/config` names another merge rule or tolerance it is not used.",
    )
    calibration_ms: int = Field(
        5_000,
        ge=0,
        le=600_000,
        description="Time for a short calibration of each model at start where no file fits; 0: none, every layer "
        "does all that its level asks for. Everything is measured three times at least, which may take longer.",
    )
    controller: bool = Field(
        True, description="Lower L under load, to answer within the objective, instead of refusing requests."
    )
    slo_ms: int = Field(
        100,
        ge=1,
        le=600_000,
        description="The latency objective: the deadline of an image whose request names none. "
        "What could not be in time behind what waits, even at the lowest L, is answered 429 at once; 422 where a "
        "deadline that the request names is shorter than this machine ever takes. An idle engine takes an image "
        "without a deadline of its own whatever the objective.",
    )
    L_min: Annotated[int | Literal["exact", "dense"], BeforeValidator(_level)] = Field(
        8, description="The controller never goes under this level."
    )
    explain_per_minute: int = Field(
        60,
        ge=0,
        le=6_000,
        description="Most requests to `/explain` in any minute, of all clients together; more are answered 429. "
        "One at a time is worked on, on one thread beside the engine's. 0 turns it off: 404.",
    )
    top_k: int = Field(5, ge=1, le=1000, description="Classes in an answer where the request names no `top_k`.")

    max_image_bytes: int = Field(10 * _MIB, ge=1, description="Largest encoded image.")
    max_image_pixels: int = Field(
        25_000_000,
        ge=1,
        le=80_000_000,
        description=f"Most pixels of an image, by its header; to decode one takes up to {_PIXEL_BYTES} bytes a pixel.",
    )
    max_images: int = Field(16, ge=1, description="Most images in a request.")
    max_request_bytes: int = Field(32 * _MIB, ge=1, description="Largest request body.")
    max_requests_in_flight: int = Field(64, ge=1, description="Most classify requests at once; more are answered 429.")
    max_bytes_in_flight: int = Field(
        128 * _MIB,
        ge=1,
        description="Most bytes of all bodies at once; more are answered 429. Parsing holds up to three times as many.",
    )
    max_connections: int = Field(
        512,
        ge=1,
        le=65_536,
        description="Most connections at once. 16 more are answered once each, and only if they ask a probe or "
        "`/metrics`; the rest is answered 503.",
    )
    request_header_timeout_ms: int = Field(
        10_000, ge=1, description="Longest time a client may take to send a request's head, or to begin with TLS."
    )
    request_body_timeout_ms: int = Field(30_000, ge=1, description="Longest time a client may take to send a body.")
    response_timeout_ms: int = Field(30_000, ge=1, description="Longest time a client may leave an answer unread.")
    keep_alive_timeout_ms: int = Field(
        20_000, ge=1, description="A connection without requests is closed after this time, in whole seconds."
    )
    decode_timeout_ms: int = Field(
        5_000, ge=1, description="Longest time to decode one image, from when its turn comes; answered 408."
    )

    queue_images: int = Field(
        64, ge=1, le=1024, description="Images that may wait for the engine; more are answered 429."
    )
    max_batch_images: int = Field(8, ge=1, le=1024, description="Most images that the engine runs at once.")
    threads: int = _cpus_default("Threads that compute a batch.")
    decode_threads: int = _cpus_default("Threads that decode images, but for the smallest JPEGs.")
    drain_ms: int = Field(
        500, ge=0, le=600_000, description="After SIGTERM, time for which new connections are still taken."
    )
    shutdown_timeout_ms: int = Field(
        30_000, ge=0, description="After SIGTERM, longest time to finish what was accepted."
    )

    @field_validator("admin_key", "data_key")
    @classmethod
    def _sendable(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch(r"[!-~]+", key.get_secret_value()):
            raise ValueError("a key must be of printable ASCII characters without spaces, at least one")
        return key

    @model_validator(mode="after")
    def _separate(self) -> Self:
        if self.data_key is not None and self.data_key == self.admin_key:
            raise ValueError("HASTE_DATA_KEY and HASTE_ADMIN_KEY must differ, or every client could make changes")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("HASTE_TLS_CERTIFICATE and HASTE_TLS_KEY belong together: set both, or neither")
        return self

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.queue_images < self.max_images:
            raise ValueError(
                f"queue_images ({self.queue_images}) must be at least max_images ({self.max_images}), "
                "or the largest request could never be accepted"
            )
        if self.max_request_bytes < self.max_image_bytes:
            raise ValueError(
                f"max_request_bytes ({self.max_request_bytes}) must be at least "
                f"max_image_bytes ({self.max_image_bytes})"
            )
        if self.max_bytes_in_flight < self.max_request_bytes:
            raise ValueError(
                f"max_bytes_in_flight ({self.max_bytes_in_flight}) must be at least "
                f"max_request_bytes ({self.max_request_bytes})"
            )
        return self

    def request_bytes(self, image_pixels: int) -> int:
        """Bytes that requests can take at their worst: an image of so many pixels in every decoder, and all bodies."""
        return self.decode_threads * _PIXEL_BYTES * image_pixels + _PARSED_COPIES * self.max_bytes_in_flight

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the service."""
        if self.host.lower() == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False
