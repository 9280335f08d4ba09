"""Absent rivals are named; an engine without a native program is not timed under its name; batches hold every image."""

import sys
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from haste import kernel, program
from haste.bench import contenders
from haste.bench.contenders import CONTENDERS, Contender, Job, able
from haste.bench.worker import batches_of, timed
from haste.trace import NotTraceable


def test_absent_rivals_are_named_with_what_they_lack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    lacking = Contender("torch", lambda job: lambda images: images, ("no_such_runtime", "numpy"))
    monkeypatch.setitem(contenders.PEERS, "mnn", lacking)
    starting, notes = able(["pytorch-eager", "mnn"], nn.Identity(), 32, [1], tmp_path)
    assert starting == ["pytorch-eager"]
    assert notes == ["mnn skipped: no_such_runtime not installed (pip install 'haste-edge[bench]')"]


def test_a_rival_whose_export_fails_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def fail(*args: object) -> None:
        raise ValueError("no batch1.mnn: operator missing\nmore")

    monkeypatch.setattr(contenders, "export", fail)
    monkeypatch.setitem(contenders.PEERS, "mnn", Contender("torch", lambda job: lambda images: images, (), ".mnn"))
    assert able(["mnn"], nn.Identity(), 32, [1], tmp_path) == ([], ["mnn skipped: no batch1.mnn: operator missing"])


@pytest.mark.skipif(kernel.implementation() == kernel.REFERENCE, reason="built without a compiler")
def test_the_reference_is_not_timed_under_the_engines_name(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def refuse(*args: object) -> None:
        raise NotTraceable("no native form")

    monkeypatch.setattr(program, "trace", refuse)
    job = Job("haste", "resnet18_cifar10", None, "cifar10", "default", 12, 1, 1, 32, str(tmp_path))
    with pytest.raises(ValueError, match="no native program"):
        CONTENDERS["haste"].build(job)


def test_batches_hold_every_image_in_order_and_wrap_around() -> None:
    images = np.arange(5, dtype=np.float32).reshape(5, 1, 1, 1)
    assert [batch.ravel().tolist() for batch in batches_of(images, 2)] == [[0, 1], [2, 3], [4, 0]]
    assert [batch.ravel().tolist() for batch in batches_of(images[:1], 3)] == [[0, 0, 0]]


def test_a_turn_times_its_runs_after_two_that_do_not_count() -> None:
    seen: list[float] = []
    batches = batches_of(np.arange(3, dtype=np.float32).reshape(3, 1, 1, 1), 1)

    def run(batch: contenders.Floats) -> contenders.Floats:
        seen.append(float(batch.ravel()[0]))
        return batch

    assert len(timed(run, batches, 1, 3)) == 3
    assert seen == [1, 2, 0, 1, 2]
    assert sys.float_info.min < sum(timed(run, batches, 0, 2))
