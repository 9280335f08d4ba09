"""What the figures show of a layer is what the method itself counts."""

from pathlib import Path

import numpy as np
import torch
from patch_buckets import look

import haste
from haste.config import HasteConfig
from haste.images import open_image, preprocess

SHIP = Path(haste.__file__).parent / "samples" / "ship.jpg"
LAYER = "layer1.0.conv1"


def test_the_buckets_of_whole_patches_are_those_that_the_layer_counts() -> None:
    config = HasteConfig.preset("paper", patch_outputs=4)  # divides the map, so there are no other patches
    found = look(SHIP, LAYER, config)
    model, record = haste.models.load_pretrained()
    haste.convert_(model, config, lambda _conv, name: name == LAYER)
    with torch.inference_mode(), haste.recording() as taken:
        model(preprocess(open_image(SHIP), record)[None])
    buckets = int(taken.layers[LAYER].buckets)
    assert found.ratios.shape == (8, 8)
    assert round(float((1 - found.ratios).sum() * found.leader.shape[-1])) == buckets
    assert np.all(found.leader <= np.arange(found.leader.shape[-1]))
