"""What the tests of `haste` share; one thread, for small tensors gain nothing from a second and wait for it."""

from collections.abc import Iterator

import pytest
import torch
from torch import nn

import haste
from haste.models import WeightsRecord


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def merging_network() -> nn.Module:
    """Two convolutions on 3 channels, 4 classes; the second one merges without verification."""
    torch.manual_seed(3)
    stem = [nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 8, 3, padding=1), nn.ReLU()]
    network = nn.Sequential(*stem, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4)).eval()
    haste.convert_(network, haste.HasteConfig.preset("default", tolerance=None, merge_channels=1))
    return network


@pytest.fixture
def record() -> WeightsRecord:
    """Three classes, images of 8x8, statistics that are easy to invert."""
    return WeightsRecord(
        name="small", model="small", file="small.safetensors", sha256="0" * 64, source="a test", licence="MIT",
        input_size=8, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0), classes=("ant", "bee", "cow"), dense_top1=None,
        parameters=1, embedded=False, training={},
    )  # fmt: skip
