"""What a conversion does: validated, frozen settings, with the paper's symbol beside each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from types import MappingProxyType
from typing import Any, Literal, cast, get_args

Level = int | Literal["exact", "dense"]
"""What one image asks of the network: a number of hyperplanes L, zeros skipped only, or every MAC."""
Merge = Literal["mean", "projection", "none"]
Planes = Literal["random", "dct"]
Preset = Literal["paper", "default"]

MIN_HYPERPLANES, MAX_HYPERPLANES = 1, 32


def check_level(level: object) -> Level:
    """Return `level` if it is an int in 1..32, "exact" or "dense"; ValueError names it otherwise."""
    whole = isinstance(level, int) and not isinstance(level, bool)
    named = isinstance(level, str) and level in ("exact", "dense")
    if named or (whole and MIN_HYPERPLANES <= cast(int, level) <= MAX_HYPERPLANES):
        return cast(Level, level)
    raise ValueError(f"L must be {MIN_HYPERPLANES}..{MAX_HYPERPLANES}, 'exact' or 'dense', not {level!r}")


def parse_level(text: str) -> Level:
    """`"12"`, `"exact"`, `"dense"` -> a checked level; ValueError names the text otherwise."""
    whole = text.isascii() and text.isdecimal() and len(text) < 4
    return check_level(int(text) if whole else text)


def _check_choice(name: str, value: object, choices: tuple[object, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")


def _check_int(name: str, value: object, low: int, high: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise ValueError(f"{name} must be a whole number in {low}..{high}, not {value!r}")


def _is_real(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_sparsity(value: object) -> None:
    if not (_is_real(value) and 0 <= cast(float, value) < 1):
        raise ValueError(f"sparsity must be in 0 <= s < 1, not {value!r}")


def _check_tolerance(value: object) -> None:
    if value is not None and not (_is_real(value) and 0 <= cast(float, value) < float("inf")):
        raise ValueError(f"tolerance must be None or a finite number of at least 0, not {value!r}")


def _check_threshold(value: object) -> None:
    if not (_is_real(value) and 0 <= cast(float, value) < float("inf")):
        raise ValueError(f"threshold must be a finite number of at least 0, not {value!r}")


@dataclass(frozen=True)
class LayerConfig:
    """What one layer does differently: its L is `clamp(L + offset)`; None keeps the network's value.

    `mode` fixes the layer whatever integer L an image asks for: "dense", "exact", or "zeros", which skips what counts
    as zero at L and merges nothing. `tolerance` is the network's, None (not verified) or the layer's own bound.
    """

    offset: int = 0
    patch_outputs: int | None = None
    tolerance: float | Literal["network"] | None = "network"
    mode: Literal["exact", "dense", "zeros"] | None = None

    def __post_init__(self) -> None:
        _check_int("offset", self.offset, -MAX_HYPERPLANES, MAX_HYPERPLANES)
        if self.patch_outputs is not None:
            _check_int("patch_outputs", self.patch_outputs, 1, 64)
        if self.tolerance != "network":
            _check_tolerance(self.tolerance)
        _check_choice("mode", self.mode, (None, "exact", "dense", "zeros"))


@dataclass(frozen=True)
class HasteConfig:
    """Settings of a conversion. Symbols: ALGORITHM section 1 (paper section 3).

    num_hyperplanes: L, the default level of an image that asks for none.
    patch_outputs:   T, outputs a side of a patch; the window is (T - 1) stride + K wide.
    planes:          "random" ternary planes of `sparsity` s (share of zeros), seeded; "dct" without the constant plane.
    centre:          subtract the mean over the channels before hashing.
    merge:           "mean" (the paper), "projection" on the sum of the members, or "none".
    tolerance:       None, or the verified bound on what merging a channel may cost, relative to the patch.
    drop_zero:       channels that are zero in the window are neither merged nor convolved.
    skip_pixels:     neighbouring outputs of a row that share one decision to skip a tap that reads zeros; None: off.
    threshold:       at an integer L, an input x_c counts as zero where |x_c| |W_c|_F is at most threshold / L of the
                     root mean square of those products over the layer's input; 0: off. Without `skip_pixels`: off.
    min_channels:    layers with fewer input channels are not converted.
    merge_channels:  converted layers with fewer input channels merge nothing: their patches do not repay it.
    layers:          exceptions by layer name.
    """

    num_hyperplanes: Level = 12
    patch_outputs: int = 4
    planes: Planes = "dct"
    sparsity: float = 2 / 3
    seed: int = 0
    centre: bool = False
    merge: Merge = "projection"
    tolerance: float | None = 0.05
    drop_zero: bool = True
    skip_pixels: int | None = 1
    threshold: float = 3.5
    min_channels: int = 16
    merge_channels: int = 256
    layers: Mapping[str, LayerConfig] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        check_level(self.num_hyperplanes)
        _check_int("patch_outputs", self.patch_outputs, 1, 64)
        _check_choice("planes", self.planes, get_args(Planes))
        _check_sparsity(self.sparsity)
        _check_int("seed", self.seed, 0, 2**31 - 1)
        _check_choice("merge", self.merge, get_args(Merge))
        for name in ("centre", "drop_zero"):
            if not isinstance(getattr(self, name), bool):
                raise ValueError(f"{name} must be True or False, not {getattr(self, name)!r}")
        _check_tolerance(self.tolerance)
        if self.skip_pixels is not None:
            _check_int("skip_pixels", self.skip_pixels, 1, 64)
        _check_threshold(self.threshold)
        _check_int("min_channels", self.min_channels, 1, 2**31 - 1)
        _check_int("merge_channels", self.merge_channels, 1, 2**31 - 1)
        for name, layer in self.layers.items():
            if not isinstance(layer, LayerConfig):
                raise ValueError(f"layers[{name!r}] must be a LayerConfig, not {layer!r}")
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))

    def __reduce__(self) -> tuple[Any, ...]:
        """Copy and pickle by value: a mapping proxy does neither."""
        values = {f.name: getattr(self, f.name) for f in fields(self)} | {"layers": dict(self.layers)}
        return partial(HasteConfig, **values), ()

    @classmethod
    def preset(cls, name: str, *, dataset: Literal["cifar10", "imagenet"] = "cifar10", **changes: Any) -> "HasteConfig":
        """The settings of a preset, with `changes` applied.

        "paper": as published for the basic ResNets (section 4): L = 14, s = 2/3 on CIFAR-10, L = 16, s = 1/2 on
        ImageNet.
        "default": the best we know.
        """
        _check_choice("preset", name, get_args(Preset))
        _check_choice("dataset", dataset, ("cifar10", "imagenet"))
        values: dict[str, Any] = {}
        if name == "paper":
            level, sparsity = (14, 2 / 3) if dataset == "cifar10" else (16, 1 / 2)
            values = dict(num_hyperplanes=level, planes="random", sparsity=sparsity, centre=True, merge="mean")
            values |= dict(tolerance=None, drop_zero=False, skip_pixels=None, threshold=0.0, merge_channels=1)
            values |= dict(patch_outputs=3)
        return cls(**(values | changes))

    def level_of(self, layer: str, level: Level) -> Level:
        """The level at which `layer` runs for an image of `level`: offset applied and clamped, or the layer's mode."""
        own = self.layers.get(layer, LayerConfig())
        if level == "dense" or own.mode == "dense":
            return "dense"
        if level == "exact" or own.mode == "exact":
            return "exact"
        return max(MIN_HYPERPLANES, min(MAX_HYPERPLANES, level + own.offset))

    def of(self, layer: str) -> "HasteConfig":
        """These settings with the exceptions of `layer` applied to T, tolerance and merge."""
        own = self.layers.get(layer, LayerConfig())
        return replace(
            self,
            patch_outputs=own.patch_outputs or self.patch_outputs,
            tolerance=self.tolerance if own.tolerance == "network" else own.tolerance,
            merge="none" if own.mode == "zeros" else self.merge,
            layers={},
        )

    def merge_of(self, channels: int) -> Merge:
        """How a layer of that many input channels merges."""
        return self.merge if channels >= self.merge_channels else "none"
