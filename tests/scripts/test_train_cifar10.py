"""Laws of the training script: an interruption changes nothing, and another configuration is no continuation."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import train_cifar10
from cifar10 import Split
from safetensors.torch import load_file, save_file
from torch import nn

Run = Callable[..., train_cifar10.Run]


def tiny(name: str, num_classes: int) -> nn.Module:
    layers = (nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    return nn.Sequential(*layers, nn.Linear(4, num_classes))


@pytest.fixture
def splits() -> dict[str, Split]:
    draw = np.random.default_rng(0)
    images = draw.integers(0, 256, (40, 32, 32, 3), np.uint8)
    labels = np.arange(40) % 10
    return dict.fromkeys(("train", "validation", "test"), Split(images, labels))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, splits: dict[str, Split]) -> Run:
    monkeypatch.setattr(train_cifar10, "create_model", tiny)

    def train(state: Path, *options: str) -> train_cifar10.Run:
        argv = ["train", "--archive", "none", "--state", str(state), "--phases", "16:2,32:1", "--batch", "8", *options]
        monkeypatch.setattr(sys, "argv", argv)
        args: argparse.Namespace = train_cifar10.parse_args()
        state.mkdir(exist_ok=True)
        schedule = train_cifar10.Schedule(args.phases, 5, args.peak_lr)
        made = train_cifar10.Run(args, "cpu")
        train_cifar10.train(made, splits, schedule, args, "cpu")
        made.save()
        return made

    return train


@pytest.mark.parametrize(("step", "precision"), [(1, "float32"), (4, "bfloat16"), (9, "float32"), (11, "bfloat16")])
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(
    run: Run, tmp_path: Path, step: int, precision: str
) -> None:
    whole = run(tmp_path / "whole", "--precision", precision)
    assert run(tmp_path / "cut", "--stop-after", str(step), "--precision", precision).step == step
    resumed = run(tmp_path / "cut", "--precision", precision)
    assert resumed.step == whole.step == 15
    for name in ("model", "average"):
        expected, found = (getattr(r, name).state_dict() for r in (whole, resumed))
        assert all(torch.equal(found[key], value) for key, value in expected.items())


OTHER = {
    "model": "resnet34_cifar10", "init": "init.safetensors", "phases": "32:3", "batch": "4", "peak_lr": "0.3",
    "weight_decay": "0", "average": "0.9", "seed": "2", "limit": "20",
    "precision": "bfloat16",
}  # fmt: skip


@pytest.mark.parametrize("name", train_cifar10.SETTINGS)
def test_another_configuration_does_not_resume(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    save_file(tiny("any", 10).state_dict(), "init.safetensors")
    run(tmp_path / "run", "--stop-after", "2")
    before = (tmp_path / "run" / "checkpoint.safetensors").read_bytes()
    with pytest.raises(SystemExit, match=f"begun with {name} .*; use another --state"):
        run(tmp_path / "run", f"--{name.replace('_', '-')}", OTHER[name])
    assert (tmp_path / "run" / "checkpoint.safetensors").read_bytes() == before


def test_of_several_changed_settings_the_first_is_named(run: Run, tmp_path: Path) -> None:
    run(tmp_path / "run", "--stop-after", "2")
    with pytest.raises(SystemExit, match="begun with batch 8, not 4"):
        run(tmp_path / "run", "--seed", "2", "--batch", "4")


def test_a_checkpoint_that_does_not_know_its_settings_does_not_resume(run: Run, tmp_path: Path) -> None:
    made = run(tmp_path / "run", "--stop-after", "2")
    save_file(load_file(made.file), made.file, {"run": json.dumps({"step": 2, "seconds": 1.0, "log": []})})
    with pytest.raises(SystemExit, match="does not say with which settings"):
        run(tmp_path / "run")


def test_training_lowers_the_loss_and_logs_it(run: Run, tmp_path: Path) -> None:
    log = run(tmp_path / "run", "--phases", "16:20", "--checkpoint-steps", "10").log
    assert [row["step"] for row in log] == list(range(10, 101, 10))
    assert log[-1]["loss"] < log[0]["loss"]
    assert 0 <= log[-1]["validation"] <= 1


def test_the_rate_rises_then_falls_to_nothing_over_all_phases() -> None:
    schedule = train_cifar10.Schedule("16:2,32:1", 100, 0.4)
    rates = [schedule.rate(step) for step in range(len(schedule))]
    assert len(schedule) == 300
    assert (schedule.sizes[199], schedule.sizes[200]) == (16, 32)
    assert max(rates) == pytest.approx(0.4, rel=1e-3)
    assert rates.index(max(rates)) == pytest.approx(30, abs=1)
    assert rates[-1] < 1e-3


def test_augmentation_moves_each_image_by_its_own_amount_and_keeps_its_colours() -> None:
    x = torch.arange(2 * 3 * 16 * 16).float().view(2, 3, 16, 16)
    moved = train_cifar10.augment(x, torch.Generator().manual_seed(3))
    assert moved.shape == x.shape
    assert not torch.equal(moved, x)
    assert all(set(m.unique().tolist()) <= set(o.unique().tolist()) for m, o in zip(moved, x, strict=True))
