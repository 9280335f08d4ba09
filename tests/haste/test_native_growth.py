"""Laws of the native engine over time: calls and programs leave nothing behind, two callers get what one gets."""

import gc
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch
from torch import Tensor, nn

from haste import kernel
from haste.config import HasteConfig, Level
from haste.convert import convert_
from haste.flops import FlopReport
from haste.program import CompiledModel
from haste.program import compile as compiled_of
from haste.steering import num_hyperplanes, recording

pytestmark = [
    pytest.mark.skipif(kernel.implementations() == [kernel.REFERENCE], reason="built without the native module"),
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="without /proc nothing tells what is resident"),
]
MOST_GROWTH = 0.02  # of what is resident, which allocators move a little
LEVELS: tuple[Level, ...] = ("dense", "exact", 1, 4, 12, 32)


def resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def threads_of_process() -> int:
    return len(list(Path("/proc/self/task").iterdir()))


def compiled(seed: int = 0, threads: int = 2) -> CompiledModel:
    """Two convolutions, the second of which merges."""
    torch.manual_seed(seed)
    layers = [nn.Conv2d(2, 16, 1), nn.ReLU(), nn.Conv2d(16, 20, 3, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(20, 3)).eval()
    convert_(model, HasteConfig(merge_channels=1))
    made = compiled_of(model, threads=threads)
    assert isinstance(made, CompiledModel)
    return made


def call(model: nn.Module, images: Tensor, level: Level | list[Level]) -> tuple[Tensor, FlopReport]:
    with torch.no_grad(), num_hyperplanes(level), recording() as record:
        return model(images), FlopReport.from_record(record)


def levels_of_call(i: int, n: int) -> list[Level]:
    return [LEVELS[(i + 5 * k) % len(LEVELS)] for k in range(n)]


def test_ten_thousand_calls_do_not_grow() -> None:
    model, images = compiled(threads=1), torch.randn(4, 2, 6, 6)  # two wait for each other on busy cores

    def calls(number: int) -> None:
        for i in range(number):
            n = i % 4 + 1
            with torch.no_grad(), num_hyperplanes(levels_of_call(i // 4, n)):
                model(images[:n])

    calls(1_000)
    before = resident()
    calls(10_000)
    assert resident() <= before * (1 + MOST_GROWTH)


def test_programs_of_many_image_sizes_come_and_go_without_growth() -> None:
    def programs(rounds: int) -> None:
        for i in range(rounds):
            model = compiled(i)
            for side in range(3 + i % 3, 19, 3):
                call(model, torch.randn(2, 2, side, side), [1, 12])
            assert all(program for _, program in model._programs.values())

    programs(3)
    before, threads = resident(), threads_of_process()
    programs(12)
    assert resident() <= before * (1 + MOST_GROWTH)
    assert threads_of_process() == threads


def test_two_callers_at_once_get_what_they_get_alone_and_no_more_threads() -> None:
    model, images = compiled(), torch.randn(4, 2, 12, 12)
    alone = [[call(model, images[: n + 1], levels_of_call(i, n + 1)) for i in range(60)] for n in (0, 3)]
    begin = Barrier(2)

    def caller(n: int) -> tuple[list[tuple[Tensor, FlopReport]], int]:
        begin.wait(10)
        results = [call(model, images[: n + 1], levels_of_call(i, n + 1)) for i in range(60)]
        return results, threads_of_process()

    with ThreadPoolExecutor(2) as callers:
        list(callers.map(lambda _: begin.wait(10), range(2)))  # both threads exist by now
        threads = threads_of_process()
        together = list(callers.map(caller, (0, 3)))
    for expected, (given, counted) in zip(alone, together, strict=True):
        assert counted <= threads
        for (logits, report), (own, other) in zip(expected, given, strict=True):
            assert torch.equal(logits, own)
            assert report == other
