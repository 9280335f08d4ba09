"""The gate before the race: a contender whose logits are not the reference's at the same L is wrong, however fast."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from haste.calibration import Calibration
from haste.config import LayerConfig, Level
from haste.conv import HasteConv2d
from haste.convert import reconfigure_
from haste.layer import Form
from haste.steering import num_hyperplanes

_SAME = 1e-3
_TIES = 0.25
_MODES: dict[Form, Literal["dense", "zeros"] | None] = {"dense": "dense", "zeros": "zeros", "merge": None}


@dataclass(frozen=True)
class Verdict:
    """max_abs_error: of any logit."""

    max_abs_error: float
    wrong: bool


class Gate:
    """Expected logits at each level: the reference of a converted model, computed once; dense for `exact` too.

    Errors are compared as root mean squares over all logits. dense and exact, and every rival, may be 0.001 of the
    logits off: another order of sums. At an integer L that order may also tip a tie in a hash or a zero on the
    threshold, after which a patch is merged otherwise: a quarter of what the level itself moves the logits is allowed.
    """

    def __init__(
        self,
        model: nn.Module,
        images: Tensor,
        levels: Sequence[Level],
        found: Calibration | None = None,
        batch: int = 1,
    ) -> None:
        """`found`: the calibration under which the contenders run, in batches of `batch`."""
        layers = [module for module in model.modules() if isinstance(module, HasteConv2d)]
        settings = layers[0].network_config if layers else None
        self._expected = {}
        for level in {"dense", *levels} - {"exact"}:
            if found and settings and level != "dense":
                modes = {m.layer: _MODES[found.form(m.layer, level, batch)] for m in layers}
                own = {
                    name: replace(settings.layers.get(name, LayerConfig()), mode=mode) for name, mode in modes.items()
                }
                reconfigure_(model, replace(settings, layers=own))
            self._expected[level] = _logits(model, images, level)
        if found and settings:
            reconfigure_(model, settings)
        self._expected["exact"] = self._expected["dense"]

    def judge(self, level: Level, logits: Sequence[Sequence[float]]) -> Verdict:
        """Whether these logits, of the gate's images, are those of the level."""
        expected, dense, found = self._expected[level], self._expected["dense"], np.asarray(logits, np.float64)
        if found.shape != expected.shape:
            return Verdict(float("inf"), wrong=True)
        allowed = max(_SAME * _rms(expected), _TIES * _rms(expected - dense))
        error = float(np.abs(found - expected).max())
        return Verdict(error if np.isfinite(error) else float("inf"), wrong=not _rms(found - expected) <= allowed)


@torch.inference_mode()
def _logits(model: nn.Module, images: Tensor, level: Level) -> NDArray[np.float64]:
    with num_hyperplanes(level):
        logits: Tensor = model(images)
    return logits.double().numpy()


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.square(values).mean()))
