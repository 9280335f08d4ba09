"""The wire format, once."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

Level = Annotated[int | Literal["exact", "dense"], Field(description="Number of hyperplanes, `exact` or `dense`")]
Tolerance = Annotated[float, Field(ge=0, allow_inf_nan=False)]


# Typed dictionaries: the answer of every request, made by us, so pydantic need not validate it.


class LevelAnswer(TypedDict):
    """The level that was asked for, null when none was, and the one that was used."""

    requested: Level | None
    used: Level


class PredictionAnswer(TypedDict):
    """A class; `probability` is in 0..1."""

    label: str
    index: int
    probability: float


class FlopsAnswer(TypedDict):
    """FLOPs of this image; executed = dense - skipped - merged + overhead, reduction = 1 - executed / dense."""

    dense: int
    executed: int
    skipped: Annotated[int, Field(description="not executed because the inputs are zero")]
    merged: Annotated[int, Field(description="not executed because channels were merged")]
    overhead: Annotated[int, Field(description="executed for hashing and merging")]
    reduction: float


class TimingAnswer(TypedDict):
    """Milliseconds: decoding this image, waiting for the engine, its batch in the network, all since the request."""

    decode: float
    queue: float
    forward: float
    total: float


class Classification(TypedDict):
    """What is answered for one image."""

    model: str
    L: LevelAnswer
    predictions: list[PredictionAnswer]
    flops: FlopsAnswer
    timing_ms: TimingAnswer
    degraded: Annotated[bool, Field(description="the controller used a lower L than configured, to be in time")]
    request_id: str


class Classifications(TypedDict):
    """What is answered for several images, in their order."""

    results: list[Classification]


class _Read(BaseModel):
    """Read from the attributes of what the engine found."""

    model_config = ConfigDict(from_attributes=True)


class BoxAnswer(_Read):
    """A window of a layer's input, laid over what the network sees of the image (its largest centred square); 0..1."""

    left: float
    top: float
    width: float
    height: float


class ChannelAnswer(_Read):
    """A channel of a patch."""

    index: int
    code: str | None = Field(description="a bit a hyperplane; null where it is dropped or the layer does not hash")
    bucket: int | None = Field(description="null where it is dropped")
    state: Literal["kept", "merged", "dropped"] = Field(
        description="alone in its bucket, sharing it with others, or skipped because its window is (near) zero"
    )
    rms: float = Field(description="root mean square over the patch, before anything counts as zero")


class BucketAnswer(_Read):
    """Channels that are convolved as one, after verification: of one code, but not all that have it."""

    id: int
    channels: list[int]
    size: int


class PatchAnswer(_Read):
    """One patch: what it reads of the image, and its final buckets."""

    row: int
    column: int
    box: BoxAnswer
    channels: list[ChannelAnswer]
    buckets: list[BucketAnswer]
    channels_before: int
    channels_after: int
    compression_ratio: float = Field(description="1 - channels_after / channels_before")


class GridAnswer(_Read):
    """How many patches a layer has."""

    rows: int
    columns: int


class FeatureMapAnswer(_Read):
    """The size of a layer's input."""

    height: int
    width: int


class ShownLayerAnswer(_Read):
    """The layer that is shown; `index` is its place in `layers`."""

    name: str
    index: int
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    grid: GridAnswer
    feature_map: FeatureMapAnswer


class RatioMapAnswer(_Read):
    """The compression ratio of every patch of the layer, row by row."""

    rows: int
    columns: int
    compression_ratio: list[list[float]]


Form = Literal["dense", "zeros", "merge"]


class LayerTotalAnswer(_Read):
    """A layer over the whole image, as the method runs it at this L."""

    name: str
    compression_ratio: float = Field(description="share of the channels that is not convolved, over its patches")
    dense_flops: int
    executed_flops: int
    reduction: float
    converted: bool = Field(description="whether it can be asked for as `layer`")
    form: Form = Field(description="what it does at this L: merges, only skips zeros, or every MAC")
    served_form: Form = Field(
        description="what it does in /classify, which leaves out merges that cost more time here than they save"
    )


class Explained(BaseModel):
    """What the engine found of one image."""

    layer: ShownLayerAnswer
    patch: PatchAnswer
    map: RatioMapAnswer
    layers: list[LayerTotalAnswer]


class TotalTimingAnswer(BaseModel):
    """Milliseconds since the request."""

    total: float


class ExplainAnswer(Explained):
    """One image, one layer, one patch."""

    model: str
    L: LevelAnswer
    request_id: str
    timing_ms: TotalTimingAnswer


class ModelConfig(BaseModel):
    """What a model does differently; null: as all."""

    model_config = ConfigDict(extra="forbid", strict=True)

    L: Level | None = None
    merge: str | None = None
    tolerance: Tolerance | None = None


class ControllerConfig(BaseModel):
    """The latency objective in milliseconds, and how far the controller may lower L to hold it."""

    model_config = ConfigDict(extra="forbid", strict=True)

    enabled: bool | None = None
    slo_ms: Annotated[int, Field(ge=1, le=600_000)] | None = None
    L_min: Level | None = None


class ConfigPatch(BaseModel):
    """Any part of the state. A tolerance of null merges without verification; a model's null clears its own value."""

    model_config = ConfigDict(extra="forbid", strict=True)

    L: Level | None = None
    merge: str | None = None
    tolerance: Tolerance | None = None
    controller: ControllerConfig = ControllerConfig()
    models: dict[str, ModelConfig] = {}


class Bounds(BaseModel):
    """What the values may be."""

    L: tuple[int, int]
    levels: tuple[str, ...] = ("exact", "dense")
    merge: tuple[str, ...]
    tolerance: tuple[float, None] = (0.0, None)


class StandingAnswer(BaseModel):
    """How the controller steers a model now. `off` says why it does nothing, null while it may.

    warning: why the objective cannot be held at the levels it may use now, null where an idle box holds it.
    pressure: share of the engine's time that the load would need at the configured L; above 1 the box is too small.
    """

    L: Level
    configured: Level
    lowest: Level
    degraded: bool
    off: str | None
    warning: str | None
    pressure: float


class ControllerAnswer(BaseModel):
    """The objective, and the models under it."""

    enabled: bool
    slo_ms: int
    L_min: Level
    models: dict[str, StandingAnswer]


class ConfigAnswer(BaseModel):
    """The state of the service."""

    version: int
    L: Level
    merge: str
    tolerance: float | None
    controller: ControllerAnswer
    bounds: Bounds
    models: dict[str, ModelConfig]


class PointAnswer(BaseModel):
    """A level and batch size as measured here: milliseconds a batch; fractions; KL to the dense network in nats."""

    level: Level
    batch: int
    median_ms: float
    reduction: float
    agreement: float
    kl: float


class CalibrationAnswer(BaseModel):
    """What was measured on this machine. The frontier leaves out levels that are no faster than a closer one."""

    source: Literal["file", "start"]
    made: str
    threads: int
    frontier: list[PointAnswer]


class ModelAnswer(BaseModel):
    """A model that is served; `dense_top1` is in 0..1, `input_size` in pixels."""

    name: str
    default: bool
    ready: bool
    classes: list[str]
    input_size: int
    parameters: int
    dense_top1: float | None
    sha256: str
    licence: str
    source: str
    L: tuple[int, int]
    calibration: CalibrationAnswer | None = Field(description="null where nothing was measured")


class ModelsAnswer(BaseModel):
    """All models, the default first."""

    models: list[ModelAnswer]


class ModelState(BaseModel):
    """Whether a model is loaded."""

    model: str
    state: Literal["READY", "LOADING", "UNLOADING", "UNAVAILABLE"]


class ProblemAnswer(BaseModel):
    """An error (RFC 9457)."""

    type: str
    title: str
    detail: str
    request_id: str


class ProtocolError(BaseModel):
    """An error as the Open Inference Protocol has it."""

    error: str


PROTOCOL_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ProtocolError} for status in (400, 401, 403, 404, 408, 413, 415, 429, 500, 503)
}
