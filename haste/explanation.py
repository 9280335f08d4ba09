"""What `haste.explain` finds: one image in every layer, one layer in every patch, one patch in every channel."""

from dataclasses import dataclass
from typing import Literal

from haste.config import Level
from haste.layer import Form

State = Literal["kept", "merged", "dropped"]


@dataclass(frozen=True)
class Box:
    """A window of a layer's input, laid over the image that the network sees: shares of its width and height, 0..1."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True)
class Channel:
    """One channel of a patch.

    state:  "kept" alone in its bucket, "merged" with others of its bucket, "dropped" as (near) zero.
    code:   a "0" or "1" for each hyperplane, the first one first; None where it is dropped or the layer does not hash.
            Channels of one code may end in different buckets: verification refuses merges that cost too much.
    bucket: its bucket's id; None where it is dropped.
    rms: root mean square over the patch's window, padding included, before anything counts as zero.
    """

    index: int
    state: State
    code: str | None
    bucket: int | None
    rms: float


@dataclass(frozen=True)
class Bucket:
    """Channels that are convolved as one."""

    id: int
    channels: tuple[int, ...]

    @property
    def size(self) -> int:
        return len(self.channels)


@dataclass(frozen=True)
class Patch:
    """One patch of the final merge plan; `box` is its window without the padding."""

    row: int
    column: int
    box: Box
    channels: tuple[Channel, ...]
    buckets: tuple[Bucket, ...]

    @property
    def channels_before(self) -> int:
        return len(self.channels)

    @property
    def channels_after(self) -> int:
        return len(self.buckets)

    @property
    def compression_ratio(self) -> float:
        """r = 1 - buckets / channels (paper section 3)."""
        return 1 - self.channels_after / self.channels_before


@dataclass(frozen=True)
class Grid:
    """How many patches a layer's outputs are cut into."""

    rows: int
    columns: int


@dataclass(frozen=True)
class FeatureMap:
    """A layer's input, in entries of a channel, padding not counted."""

    height: int
    width: int


@dataclass(frozen=True)
class ShownLayer:
    """The layer that is shown; `index` is its place in `Explanation.layers`, kernel and stride go down, then right."""

    name: str
    index: int
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, int]
    stride: tuple[int, int]
    grid: Grid
    feature_map: FeatureMap


@dataclass(frozen=True)
class RatioMap:
    """The compression ratio of every patch of the layer, row by row."""

    rows: int
    columns: int
    compression_ratio: tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class LayerTotal:
    """One layer over the whole image.

    form: what it does at this level: "merge", "zeros" (skips what is (near) zero) or "dense".
    converted: whether it can be shown.
    compression_ratio: 1 - convolved channels / channels over its patches. Where it merges, as in `FlopReport`; where it
    only skips, a channel counts as not convolved in a patch if all of its window is (near) zero.
    """

    name: str
    converted: bool
    form: Form
    compression_ratio: float
    dense_flops: int
    executed_flops: int

    @property
    def reduction(self) -> float:
        """1 - executed / dense."""
        return 1 - self.executed_flops / self.dense_flops if self.dense_flops else 0.0


@dataclass(frozen=True)
class Explanation:
    """One image at `level`; `layers` holds all of the network in the order in which they run."""

    level: Level
    layer: ShownLayer
    patch: Patch
    map: RatioMap
    layers: tuple[LayerTotal, ...]
