"""What the hash finds in one layer of the embedded network for one picture."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import haste
from haste import patches
from haste.config import HasteConfig
from haste.conv import HasteConv2d
from haste.images import open_image, preprocess
from haste.models.weights import load_pretrained
from haste.patches import Patches


@dataclass(frozen=True)
class Found:
    """The whole patches of a layer, row by row: their channels, and the leader of each channel's bucket.

    channels: (rows, columns, C, window, window); leader: (rows, columns, C); picture: (H, W, 3) in 0..1.
    """

    picture: NDArray[np.float32]
    channels: NDArray[np.float32]
    leader: NDArray[np.int64]

    @property
    def ratios(self) -> NDArray[np.float32]:
        """The compression ratio of every patch: (rows, columns)."""
        buckets = (self.leader == np.arange(self.leader.shape[-1])).sum(-1)
        return np.asarray(1 - buckets / self.leader.shape[-1], np.float32)


@torch.inference_mode()
def look(path: Path, layer: str, config: HasteConfig) -> Found:
    """What `config` does to the input that a layer of the dense network has for this picture."""
    model, record = load_pretrained()
    haste.convert_(model, config, lambda _conv, name: name == layer)
    seen: list[list[Patches]] = []

    def watch(conv: nn.Module, inputs: tuple[Tensor]) -> None:
        assert isinstance(conv, HasteConv2d)
        seen.append(patches.look(conv, inputs[0], config.num_hyperplanes)[1])

    model.get_submodule(layer).register_forward_pre_hook(watch)
    image = open_image(path)
    model(preprocess(image, record)[None])
    whole = max(seen[0], key=lambda group: len(group.leader))
    grid, side = (whole.rows.count, whole.columns.count), math.isqrt(whole.x.shape[-1])
    shown = np.asarray(image.convert("RGB").resize((record.input_size,) * 2))
    return Found(
        picture=np.asarray(shown / 255, np.float32),
        channels=whole.x.unflatten(0, grid).unflatten(-1, (side, side)).numpy(),
        leader=whole.leader.unflatten(0, grid).numpy(),
    )
