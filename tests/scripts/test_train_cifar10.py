"""Laws of the training script: an interruption changes nothing, and another configuration is no continuation."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import train_cifar10
from cifar10 import Split
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


@pytest.mark.parametrize("step", [1, 4, 9, 11])
def test_an_interrupted_run_ends_with_the_weights_of_an_uninterrupted_one(run: Run, tmp_path: Path, step: int) -> None:
    whole = run(tmp_path / "whole")
    assert run(tmp_path / "cut", "--stop-after", str(step)).step == step
    resumed = run(tmp_path / "cut")
    assert resumed.step == whole.step == 15
    for name in ("model", "average"):
        expected, found = (getattr(r, name).state_dict() for r in (whole, resumed))
        assert all(torch.equal(found[key], value) for key, value in expected.items())


@pytest.mark.parametrize(("option", "value"), [("--seed", "2"), ("--peak-lr", "0.3"), ("--phases", "32:3")])
def test_another_configuration_does_not_resume(run: Run, tmp_path: Path, option: str, value: str) -> None:
    run(tmp_path / "run", "--stop-after", "2")
    with pytest.raises(SystemExit, match=option[2:].replace("-", "_")):
        run(tmp_path / "run", option, value)


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
