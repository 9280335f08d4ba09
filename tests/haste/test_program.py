"""Laws of the native engine: every implementation does what the reference does, on odd shapes and at every level."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from haste import kernel
from haste.config import HasteConfig, LayerConfig, Level, Merge
from haste.convert import convert_, reconfigure_
from haste.flops import FlopReport
from haste.models import create_model
from haste.program import CompiledModel, infer
from haste.program import compile as compiled_of
from haste.steering import num_hyperplanes, recording
from haste.trace import NotTraceable, trace
from tests.tolerances import RATE_OF_DIFFERING_PATCHES, SAME_LAYER_ANOTHER_PATH, SAME_NETWORK_ANOTHER_BATCH

NATIVE = [name for name in kernel.implementations() if name != kernel.REFERENCE]
pytestmark = pytest.mark.skipif(not NATIVE, reason="built without the native module")
LEVELS: tuple[Level, ...] = ("dense", "exact", 1, 7, 12, 32)


@pytest.fixture(params=NATIVE, autouse=True)
def implementation(request: pytest.FixtureRequest) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HASTE_IMPLEMENTATION", request.param)
        yield request.param


class Network(nn.Module):
    """A stem that makes whole numbers, one convolution of any shape behind a ReLU, and a head."""

    def __init__(self, channels: int, outputs: int, kernel_side: int, stride: int, padding: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(2, channels, 1)
        self.relu = nn.ReLU()
        self.conv = nn.Conv2d(channels, outputs, kernel_side, stride, padding)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Linear(outputs, outputs)
        with torch.no_grad():
            self.stem.weight.copy_(torch.randint(-2, 3, self.stem.weight.shape))
            self.stem.bias.copy_(torch.randint(-2, 3, (channels,)))  # type: ignore[union-attr]
            self.head.weight.copy_(torch.eye(outputs))
            self.head.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.pool(self.conv(self.relu(self.stem(x)))).flatten(1))  # type: ignore[no-any-return]


def both(model: nn.Module, x: Tensor, level: Level | list[Level]) -> tuple[Tensor, FlopReport, Tensor, FlopReport]:
    compiled = compiled_of(model, threads=2)
    assert isinstance(compiled, CompiledModel)
    with torch.no_grad(), num_hyperplanes(level):
        with recording() as expected:
            slow = model(x)
        with recording() as taken:
            fast = compiled(x)
    assert compiled._programs[tuple(x.shape[1:])][1] is not None
    return slow, FlopReport.from_record(expected), fast, FlopReport.from_record(taken)


def assert_same(slow: Tensor, fast: Tensor, tolerance: float) -> None:
    assert (slow - fast).abs().max() <= tolerance * slow.abs().max().clamp(min=1e-6)


shapes = st.fixed_dictionaries(
    {
        "channels": st.sampled_from([5, 8, 16, 17, 33, 70, 130]),
        "outputs": st.sampled_from([1, 3, 16, 20, 37, 80, 130]),
        "kernel_side": st.sampled_from([1, 3, 5, 7]),
        "stride": st.integers(1, 2),
        "padding": st.integers(0, 3),
    }
)
settings = st.fixed_dictionaries(
    {
        "patch_outputs": st.sampled_from([1, 2, 3, 4, 5, 6, 8]),
        "skip_pixels": st.sampled_from([None, 1]),
        "merge": st.sampled_from(["mean", "projection", "none"]),
        "planes": st.sampled_from(["dct", "random"]),
        "centre": st.booleans(),
        "drop_zero": st.booleans(),
        "tolerance": st.sampled_from([None, 0.02, 0.2]),
        "threshold": st.sampled_from([0.0, 3.0]),
    }
)


@given(shape=shapes, values=settings, side=st.integers(7, 12), level=st.sampled_from(LEVELS), seed=st.integers(0, 99))
def test_every_shape_and_setting_gives_the_references_result(
    shape: dict[str, Any], values: dict[str, Any], side: int, level: Level, seed: int
) -> None:
    torch.manual_seed(seed)
    model = Network(**shape).eval()
    x = torch.randint(-3, 4, (2, 2, side, side)).float()
    convert_(model, HasteConfig(min_channels=5, merge_channels=5, **values))
    slow, expected, fast, taken = both(model, x, level)
    if expected.images == taken.images:
        assert_same(slow, fast, SAME_LAYER_ANOTHER_PATH)
    else:  # whole numbers leave ternary planes no rounding; elsewhere a bit or a bound may sit on its edge
        assert values["planes"] == "dct" or values["centre"] or values["tolerance"] is not None
        assert isinstance(level, int)
        assert differing(expected, taken) <= RATE_OF_DIFFERING_PATCHES


def differing(expected: FlopReport, taken: FlopReport) -> float:
    """How far apart two plans of one layer are, as a share of its buckets and of its FLOPs, whichever is more."""
    own, other = expected.layers["conv"], taken.layers["conv"]
    executed = abs(own.executed - other.executed) / own.dense
    return max(executed, abs(own.compression_ratio - other.compression_ratio))


@pytest.mark.parametrize("merge", ["mean", "projection"])
def test_bucket_counts_are_exact_on_whole_numbers(merge: Merge) -> None:
    torch.manual_seed(0)
    model = Network(40, 8, 3, 1, 1).eval()
    x = torch.randint(-3, 4, (3, 2, 13, 13)).float()
    convert_(model, HasteConfig(planes="random", sparsity=0.5, merge=merge, tolerance=None, merge_channels=1))
    for level in LEVELS:
        _, expected, _, taken = both(model, x, level)
        assert expected.images == taken.images


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("level", ["dense", "exact"])
def test_what_is_not_finite_spreads_as_in_the_reference(level: Level, value: float) -> None:
    torch.manual_seed(6)
    model = Network(16, 20, 3, 1, 1).eval()
    with torch.no_grad():
        model.stem.weight.abs_()
    x = torch.ones(2, 2, 8, 8)
    x[0, 1, 4, 4] = value
    convert_(model)
    slow, _, fast, _ = both(model, x, level)
    assert torch.equal(torch.isfinite(slow), torch.isfinite(fast))
    assert torch.equal(slow.isnan(), fast.isnan())


def test_a_whole_network_agrees_and_counts_alike() -> None:
    torch.manual_seed(1)
    model = create_model("resnet18_cifar10").eval()
    x = torch.randn(3, 3, 20, 20)
    convert_(model, HasteConfig(merge="mean", tolerance=None))
    for level in ("dense", "exact"):
        slow, expected, fast, taken = both(model, x, level)
        assert_same(slow, fast, SAME_NETWORK_ANOTHER_BATCH)
        assert expected.images == taken.images
        assert expected.layers == taken.layers


@pytest.mark.parametrize("whole", [True, False], ids=["contiguous", "strided"])
def test_an_array_is_computed_and_counted_as_the_tensor_of_it(*, whole: bool) -> None:
    torch.manual_seed(1)
    model = create_model("resnet18_cifar10").eval()
    convert_(model)
    compiled = compiled_of(model)
    assert isinstance(compiled, CompiledModel)
    array = np.random.default_rng(1).standard_normal((3, 20, 20, 3), np.float32).transpose(0, 3, 1, 2)
    array = np.ascontiguousarray(array) if whole else array
    with recording() as by_tensor:
        expected = compiled(torch.from_numpy(array))
    with recording() as by_array:
        found = infer(compiled, array)
    assert (found == expected.detach().numpy()).all()
    assert FlopReport.from_record(by_array) == FlopReport.from_record(by_tensor)


def test_a_layer_that_a_network_uses_twice_adds_up_as_in_the_reference() -> None:
    torch.manual_seed(1)
    conv = nn.Conv2d(16, 16, 3, padding=1)
    model = nn.Sequential(conv, nn.ReLU(), conv, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2)).eval()
    convert_(model, HasteConfig(merge="mean", tolerance=None))
    _, expected, _, taken = both(model, torch.randn(2, 16, 8, 8), "exact")
    assert taken == expected
    assert sum(image.executed for image in taken.images) == taken.total.executed


def test_a_program_keeps_no_history_for_a_gradient() -> None:
    model = create_model("resnet18_cifar10").eval()
    convert_(model)
    compiled = compiled_of(model)
    assert isinstance(compiled, CompiledModel)
    infer(compiled, np.zeros((1, 3, 8, 8), np.float32))
    weights = [layer.operation.weight for layer in compiled.layers(torch.zeros(1, 3, 8, 8))]
    assert any(weight is not None for weight in weights)
    assert all(weight is None or weight.grad_fn is None for weight in weights)


def test_a_mixed_batch_equals_its_images_one_by_one_for_every_thread_count() -> None:
    torch.manual_seed(2)
    model = create_model("resnet18_cifar10").eval()
    x = torch.randn(4, 3, 16, 16)
    levels: list[Level] = ["dense", 6, "exact", 12]
    convert_(model)
    results = []
    for threads in (1, 2, 3):
        compiled = compiled_of(model, threads=threads)
        with torch.no_grad(), num_hyperplanes(levels), recording() as record:
            together = compiled(x)
        results.append((together, FlopReport.from_record(record).images))
        for i, level in enumerate(levels):
            with torch.no_grad(), num_hyperplanes(level):
                assert torch.equal(compiled(x[i : i + 1])[0], together[i])
    assert all(torch.equal(results[0][0], logits) and results[0][1] == flops for logits, flops in results[1:])


def test_imagenet_form_runs_natively() -> None:
    torch.manual_seed(3)
    model = create_model("resnet18", 7).eval()
    convert_(model)
    slow, expected, fast, taken = both(model, torch.randn(2, 3, 64, 64), "exact")
    assert_same(slow, fast, SAME_NETWORK_ANOTHER_BATCH)
    assert expected.images == taken.images


def test_new_settings_are_noticed() -> None:
    torch.manual_seed(4)
    model = Network(40, 8, 3, 1, 1).eval()
    convert_(model)
    compiled = compiled_of(model)
    x = torch.randn(1, 2, 9, 9)
    reconfigure_(model, HasteConfig(skip_pixels=7))  # which no kernel has: the reference computes
    with torch.no_grad():
        assert torch.equal(compiled(x), model(x))
    reconfigure_(model, HasteConfig(layers={"conv": LayerConfig(mode="dense")}))
    with torch.no_grad(), recording() as record:
        compiled(x)
    assert record.layers["conv"].convolution.tolist() == record.layers["conv"].dense.tolist()
    assert isinstance(compiled, CompiledModel)
    assert compiled._programs[2, 9, 9][1] is not None


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e-42])
def test_odd_floats_leave_nothing_behind_for_the_next_image(value: float) -> None:
    torch.manual_seed(5)
    model = create_model("resnet18_cifar10").eval()
    convert_(model)
    compiled = compiled_of(model)
    x = torch.randn(2, 3, 8, 8)
    odd = x.clone()
    odd[0, 0, 3, 3] = value
    with torch.no_grad():
        for level in LEVELS[:4]:
            with num_hyperplanes(level):
                before = compiled(x)
                compiled(odd)
                assert torch.equal(compiled(x), before)


def test_what_cannot_be_traced_computes_module_by_module(caplog: pytest.LogCaptureFixture) -> None:
    model = nn.Sequential(nn.Conv2d(16, 4, 3), nn.GELU(), nn.Flatten(), nn.Linear(4 * 16, 2)).eval()
    convert_(model)
    with torch.no_grad():
        expected = model(torch.ones(1, 16, 6, 6))
        assert torch.equal(compiled_of(model)(torch.ones(1, 16, 6, 6)), expected)
    compiled = compiled_of(model)
    assert (infer(compiled, np.ones((1, 16, 6, 6), np.float32)) == expected.numpy()).all()
    assert "GELU" in caplog.text


@pytest.mark.parametrize(
    "layer", [nn.Conv2d(16, 16, 3, groups=4), nn.Conv2d(16, 16, 3, dilation=2), nn.Conv2d(16, 16, (1, 3)), nn.Sigmoid()]
)
def test_the_reason_names_the_layer(layer: nn.Module) -> None:
    with pytest.raises(NotTraceable, match="1"):
        trace(nn.Sequential(nn.Identity(), layer, nn.Flatten(), nn.Linear(1, 1)).eval(), (16, 5, 5))


FORKED = """
import os, signal, threading, torch, haste
from haste.models import create_model
torch.set_num_threads(1)
torch.set_grad_enabled(False)
model = create_model("resnet18_cifar10").eval()
haste.convert_(model)
compiled, x = haste.compile(model, threads=2), torch.randn(1, 3, 8, 8)
expected, ended = compiled(x), threading.Event()

def busy():
    while not ended.is_set():
        compiled(x)

other = threading.Thread(target=busy)
other.start()
status = 0
for _ in range(30):
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        os._exit(0 if torch.equal(compiled(x), expected) else 1)
    status |= os.waitpid(child, 0)[1]
ended.set()
other.join()
raise SystemExit(status != 0)
"""


def test_a_forked_child_computes_even_while_its_parent_did() -> None:
    done = subprocess.run([sys.executable, "-c", FORKED], timeout=60, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_programs_that_run_at_once_take_turns_and_keep_their_results() -> None:
    torch.manual_seed(7)
    models = [Network(40, 8, 3, 1, 1).eval(), Network(17, 70, 5, 2, 2).eval()]
    x = torch.randn(2, 2, 16, 16)
    for model in models:
        convert_(model)
    compiled = [compiled_of(model, threads=2) for model in models]
    with torch.no_grad(), ThreadPoolExecutor(4) as pool:
        alone = [model(x) for model in compiled]
        together = list(pool.map(lambda i: compiled[i % 2](x), range(40)))
    assert all(torch.equal(y, alone[i % 2]) for i, y in enumerate(together))


def _seconds_and_core(thread: int) -> tuple[float, int]:
    """The processor time that a thread of this process has had, and the core where it ran last (proc(5))."""
    task = Path(f"/proc/self/task/{thread}")
    try:
        return int((task / "schedstat").read_text().split()[0]) / 1e9, int((task / "stat").read_text().split()[-14])
    except OSError:
        return 0.0, -1  # it has ended


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="only Linux wakes a thread on its waker's core")
def test_a_thread_of_a_program_wakes_off_its_callers_core_and_may_then_run_on_all() -> None:
    cores = os.sched_getaffinity(0)
    if len(cores) < 2:
        pytest.skip("one core is every thread's")
    model = Network(16, 8, 3, 1, 1).eval()
    convert_(model)
    x = torch.randn(1, 2, 64, 64)
    with torch.no_grad():
        compiled = compiled_of(model, threads=2)
        compiled(x)
        caller = threading.get_native_id()
        threads = {int(task.name) for task in Path("/proc/self/task").iterdir()}
        before = {thread: _seconds_and_core(thread)[0] for thread in threads}
        ran_at = []
        for _ in range(30):
            time.sleep(0.002)  # the worker falls asleep
            compiled(x)
            ran_at.append({thread: _seconds_and_core(thread)[1] for thread in threads})
    worker = max(threads - {caller}, key=lambda thread: _seconds_and_core(thread)[0] - before[thread])
    assert sum(core[worker] != core[caller] for core in ran_at) > 15
    deadline = time.monotonic() + 10
    while os.sched_getaffinity(worker) != cores and time.monotonic() < deadline:
        time.sleep(0.001)  # it has yet to wake from the last call
    assert os.sched_getaffinity(worker) == cores


def test_a_model_keeps_programs_of_the_newest_image_sizes_alone() -> None:
    model = Network(16, 8, 3, 1, 1).eval()
    convert_(model)
    compiled = compiled_of(model, threads=1)
    assert isinstance(compiled, CompiledModel)
    with torch.no_grad():
        for side in (5, 6, 7, 8, 9, 10):
            compiled(torch.randn(1, 2, side, side))
    assert list(compiled._programs) == [(2, side, side) for side in (7, 8, 9, 10)]
