"""What the hash finds in one layer of the embedded network for one picture."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from haste.config import HasteConfig
from haste.hashing import codes, hyperplanes
from haste.images import open_image, preprocess
from haste.merging import leaders
from haste.models.weights import load_pretrained


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
    """Hash the input that a stride-1 3x3 layer of the dense network has for this picture, as `config` says."""
    model, record = load_pretrained()
    seen: list[Tensor] = []
    model.get_submodule(layer).register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
    image = open_image(path)
    model(preprocess(image, record)[None])
    padded, window = F.pad(seen[0][0], (1, 1, 1, 1)), config.patch_outputs + 2
    patches = padded.unfold(1, window, config.patch_outputs).unfold(2, window, config.patch_outputs)
    patches = patches.permute(1, 2, 0, 3, 4).contiguous()
    flat = patches.flatten(0, 1).flatten(2)
    planes = hyperplanes(config, layer, (window, window), (window, window))
    level = config.num_hyperplanes
    assert isinstance(level, int)
    found = leaders(codes(flat, planes[:level], centre=config.centre))
    shown = np.asarray(image.convert("RGB").resize((record.input_size,) * 2))
    return Found(np.asarray(shown / 255, np.float32), patches.numpy(), found.unflatten(0, patches.shape[:2]).numpy())
