"""What the service expects of an engine, and the values that pass between them; no torch, no HTTP."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from app.schemas import Explained

Level = int | Literal["exact", "dense"]
"""What one image asks of the network: a number of hyperplanes L, zeros skipped only, or every MAC."""


def order(level: Level) -> int:
    """Sorts levels by what they keep: L by its number, then exact, then dense."""
    return level if isinstance(level, int) else {"exact": 1 << 20, "dense": 1 << 21}[level]


def at_least(level: Level, least: Level | None) -> Level:
    """The level, or `least` where that keeps more."""
    return level if least is None or order(level) >= order(least) else least


Picture = Image.Image | NDArray[np.uint8]
"""An RGB image; as an array (H, W, 3)."""

Prepared = object
"""What `prepare` makes of an image and `forward` takes; only the engine knows what it is."""


@dataclass(frozen=True)
class LevelRange:
    """The levels that an engine takes: whole numbers from `minimum` to `maximum`, "exact" and "dense"."""

    minimum: int
    maximum: int

    def check(self, value: object) -> Level:
        """Return `value` if it is a level; ValueError says what a level is otherwise."""
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value in ("exact", "dense") or (whole and self.minimum <= cast(int, value) <= self.maximum):
            return cast(Level, value)
        raise ValueError(f"must be a whole number in {self.minimum}..{self.maximum}, 'exact' or 'dense'")


@dataclass(frozen=True)
class Method:
    """How networks merge: the defaults at start, and the merge rules that can be chosen."""

    level: Level
    merge: str
    tolerance: float | None
    merges: tuple[str, ...]


@dataclass(frozen=True)
class ModelInfo:
    """What is served under a name; `dense_top1` is in 0..1, None where nobody has measured it."""

    name: str
    classes: tuple[str, ...]
    input_size: int
    parameters: int
    dense_top1: float | None
    sha256: str
    licence: str
    source: str


@dataclass(frozen=True)
class Point:
    """A network at one level and batch size, as measured on this machine; only what pays is on the frontier."""

    level: Level
    batch: int
    median_ms: float
    reduction: float
    agreement: float
    kl: float
    frontier: bool = True


@dataclass(frozen=True)
class Calibration:
    """Where a network's calibration came from ("file" or "start"), when it was made, and what was measured."""

    source: str
    made: str
    threads: int
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Item:
    """One image in a batch: its prepared input, the level to run it at, how many classes to name."""

    prepared: Prepared
    level: Level
    top_k: int


@dataclass(frozen=True)
class Prediction:
    """A class with its probability in 0..1."""

    label: str
    index: int
    probability: float


@dataclass(frozen=True)
class ImageFlops:
    """FLOPs of one image: dense = skipped + merged + convolution, executed = convolution + overhead."""

    dense: int
    executed: int
    skipped: int
    merged: int
    overhead: int

    @property
    def reduction(self) -> float:
        """Share of the dense FLOPs that was not executed; negative where the overhead outweighs it."""
        return 1 - self.executed / self.dense if self.dense else 0.0


@dataclass(frozen=True)
class ImageResult:
    """What the network said about one image, best class first, and what that took."""

    predictions: tuple[Prediction, ...]
    flops: ImageFlops


@dataclass(frozen=True)
class BatchResult:
    """Results in the order of the items, and the compression ratio over the batch of each layer that merged."""

    images: tuple[ImageResult, ...]
    compression: Mapping[str, float]


@dataclass(frozen=True)
class Shown:
    """What is to be explained: a prepared input at a level, a layer and a patch of it; None: the engine's choice."""

    prepared: Prepared
    level: Level
    layer: str | None
    row: int | None
    column: int | None


class Engine(Protocol):
    """Loads models and runs them. `load`, `unload`, `configure`, `forward`: one call at a time.

    They come from one thread, but for a short `forward` of one image, which may come from the event loop's.
    """

    @property
    def models(self) -> tuple[ModelInfo, ...]:
        """What is or will be served, the default first; known before anything is loaded."""

    @property
    def levels(self) -> LevelRange: ...

    @property
    def method(self) -> Method: ...

    @property
    def build(self) -> Mapping[str, str]:
        """Labels for `haste_build_info`: version, torch, python, arch, implementation."""

    def load(self, model: str, merge: str, tolerance: float | None) -> None:
        """Make the model ready to answer at full speed, merging by this rule; raises when that is not possible."""

    def hurry(self) -> None:
        """The service ends: a `load` need not be at full speed any more.

        Called from another thread, or by a signal's handler.
        """

    def unload(self, model: str) -> None:
        """Free what `load` made; nothing happens where nothing is loaded."""

    def calibration(self, model: str) -> Calibration | None:
        """What was measured of a model that is loaded; None where nothing was."""

    def configure(self, model: str, merge: str, tolerance: float | None) -> None:
        """Merge by this rule from the next batch on; nothing happens to a model that is not loaded."""

    def prepare(self, model: str, image: Picture) -> Prepared:
        """Image -> network input; may be called from several threads at once, before `load` too."""

    def prepare_array(self, array: NDArray[np.float32]) -> Prepared:
        """Normalised image (3, input_size, input_size) float32 -> network input, a copy; called as `prepare` is."""

    def explain(self, model: str, shown: Shown) -> Explained:
        """What the method does to one image, on one thread; called from a thread of its own, also during `forward`.

        InvalidParameter names a layer or a patch that there is not.
        """

    def forward(self, model: str, items: Sequence[Item]) -> BatchResult:
        """Classify a batch; one result an item, independent of the others in the batch."""
