"""Laws of the settings."""

import copy
import pickle

import pytest

from haste.config import HasteConfig, LayerConfig, Level, parse_level


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_hyperplanes", 0), ("num_hyperplanes", 33), ("num_hyperplanes", "all"), ("num_hyperplanes", True),
        ("patch_outputs", 0), ("patch_outputs", 2.0), ("planes", "fourier"), ("sparsity", 1.0), ("seed", -1),
        ("merge", "median"), ("tolerance", -0.1), ("tolerance", float("nan")), ("tolerance", True),
        ("centre", "yes"), ("drop_zero", 3), ("skip_pixels", 0), ("min_channels", 0),
        ("layers", {"a": 3}),
    ],
)  # fmt: skip
def test_a_bad_value_is_named(name: str, value: object) -> None:
    shown = "3" if name == "layers" else repr(value)
    with pytest.raises(ValueError, match=shown.replace(".", r"\.")):
        HasteConfig(**{name: value})  # type: ignore[arg-type]


def test_the_paper_preset_is_as_published() -> None:
    cifar, imagenet = (HasteConfig.preset("paper", dataset=d) for d in ("cifar10", "imagenet"))
    assert (cifar.num_hyperplanes, cifar.sparsity) == (14, 2 / 3)
    assert (imagenet.num_hyperplanes, imagenet.sparsity) == (16, 1 / 2)
    assert (cifar.planes, cifar.centre, cifar.merge, cifar.tolerance) == ("random", True, "mean", None)
    assert (cifar.patch_outputs, cifar.drop_zero, cifar.skip_pixels) == (3, False, None)


def test_an_unknown_preset_is_named() -> None:
    with pytest.raises(ValueError, match="'fast'"):
        HasteConfig.preset("fast")


@pytest.mark.parametrize(("text", "level"), [("12", 12), ("exact", "exact"), ("dense", "dense")])
def test_levels_are_read_from_text(text: str, level: Level) -> None:
    assert parse_level(text) == level


@pytest.mark.parametrize("text", ["0", "33", "-1", "1.5", "", "EXACT", "9" * 5000, "\u0665"])
def test_a_text_that_is_no_level_is_named(text: str) -> None:
    with pytest.raises(ValueError, match="L must be"):
        parse_level(text)


def test_a_layer_runs_at_its_offset_clamped_or_in_its_mode() -> None:
    config = HasteConfig(
        layers={"a": LayerConfig(offset=-4), "b": LayerConfig(mode="exact"), "c": LayerConfig(mode="dense")}
    )
    assert [config.level_of(name, 6) for name in "abcd"] == [2, "exact", "dense", 6]
    assert [config.level_of("a", level) for level in (3, 32, "exact", "dense")] == [1, 28, "exact", "dense"]
    assert config.level_of("b", "dense") == "dense"


def test_a_layers_tolerance_is_the_networks_its_own_or_none() -> None:
    config = HasteConfig(tolerance=0.05, layers={"a": LayerConfig(tolerance=None), "b": LayerConfig(tolerance=0.2)})
    assert [config.of(name).tolerance for name in "abc"] == [None, 0.2, 0.05]
    with pytest.raises(ValueError, match="'lots'"):
        LayerConfig(tolerance="lots")  # type: ignore[arg-type]


def test_a_config_cannot_be_changed() -> None:
    config = HasteConfig(layers={"a": LayerConfig()})
    with pytest.raises(AttributeError):
        config.merge = "mean"  # type: ignore[misc]
    with pytest.raises(TypeError):
        config.layers["b"] = LayerConfig()  # type: ignore[index]


def test_equal_configs_are_one_key_and_others_are_not() -> None:
    def made(offset: int) -> HasteConfig:
        return HasteConfig(layers={"a": LayerConfig(offset=offset)})

    assert {made(1): "found"}[made(1)] == "found"
    assert len({made(1), made(1), made(2), HasteConfig(), HasteConfig.preset("paper")}) == 4


def test_a_config_is_copied_and_pickled_by_value() -> None:
    config = HasteConfig(merge="mean", layers={"a": LayerConfig(offset=1)})
    assert copy.deepcopy(config) == config == pickle.loads(pickle.dumps(config))
