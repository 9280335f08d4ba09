"""A record without a file, and one thread: small tensors gain nothing from a second, and wait for it on busy cores."""

from collections.abc import Iterator

import pytest
import torch

from haste.models import WeightsRecord


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def record() -> WeightsRecord:
    """Three classes, images of 8x8, statistics that are easy to invert."""
    return WeightsRecord(
        name="small", model="small", file="small.safetensors", sha256="0" * 64, source="a test", licence="MIT",
        input_size=8, mean=(0.5, 0.25, 0.0), std=(0.5, 1.0, 2.0), classes=("ant", "bee", "cow"), dense_top1=None,
        parameters=1, embedded=False, training={},
    )  # fmt: skip
