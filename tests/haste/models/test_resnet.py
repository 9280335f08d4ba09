"""The networks have torchvision's keys and shapes, written here as the rule they follow."""

from collections.abc import Iterator

import pytest
import torch

from haste.models import create_model, list_models

BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
WIDTHS = (64, 128, 256, 512)
Shapes = Iterator[tuple[str, tuple[int, ...]]]


def batch_norm(name: str, width: int) -> Shapes:
    yield from ((f"{name}.{part}", (width,)) for part in ("weight", "bias", "running_mean", "running_var"))
    yield f"{name}.num_batches_tracked", ()


def expected(blocks: tuple[int, ...], stem: int, classes: int) -> Shapes:
    yield "conv1.weight", (64, 3, stem, stem)
    yield from batch_norm("bn1", 64)
    before = 64
    for stage, (count, width) in enumerate(zip(blocks, WIDTHS, strict=True), start=1):
        for block in range(count):
            name = f"layer{stage}.{block}"
            yield f"{name}.conv1.weight", (width, before, 3, 3)
            yield from batch_norm(f"{name}.bn1", width)
            yield f"{name}.conv2.weight", (width, width, 3, 3)
            yield from batch_norm(f"{name}.bn2", width)
            if before != width:
                yield f"{name}.downsample.0.weight", (width, before, 1, 1)
                yield from batch_norm(f"{name}.downsample.1", width)
            before = width
    yield from (("fc.weight", (classes, 512)), ("fc.bias", (classes,)))


@pytest.mark.parametrize("depth", ["resnet18", "resnet34"])
@pytest.mark.parametrize(("form", "stem", "classes"), [("", 7, 1000), ("_cifar10", 3, 10)])
def test_keys_and_shapes_are_torchvisions(depth: str, form: str, stem: int, classes: int) -> None:
    state = create_model(depth + form).state_dict()
    assert [(key, tuple(value.shape)) for key, value in state.items()] == list(expected(BLOCKS[depth], stem, classes))


@pytest.mark.parametrize(("name", "count"), [("resnet18", 11_689_512), ("resnet34", 21_797_672)])
def test_parameters_are_as_many_as_torchvisions(name: str, count: int) -> None:
    assert sum(p.numel() for p in create_model(name).parameters()) == count


@pytest.mark.parametrize(("name", "size"), [("resnet18", (65, 97)), ("resnet18_cifar10", (32, 32))])
def test_an_image_gives_one_logit_a_class(name: str, size: tuple[int, int]) -> None:
    with torch.inference_mode():
        assert create_model(name, num_classes=7).eval()(torch.zeros(2, 3, *size)).shape == (2, 7)


def test_the_first_stage_halves_nothing_and_the_others_halve_once() -> None:
    model = create_model("resnet18")
    strides = {name: m.stride[0] for name, m in model.named_modules() if isinstance(m, torch.nn.Conv2d)}
    assert sorted(name for name, stride in strides.items() if stride == 2) == sorted(
        ["conv1", *(f"layer{i}.0.{conv}" for i in (2, 3, 4) for conv in ("conv1", "downsample.0"))]
    )


def test_an_unknown_network_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"'resnet19'.*resnet18, resnet18_cifar10"):
        create_model("resnet19")
    assert list_models() == sorted(list_models())
