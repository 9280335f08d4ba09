"""The engine: loads, converts and warms up networks, runs batches; synchronous; owns torch's threads."""

import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.metadata import PackageNotFoundError, version
from typing import Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

import haste
from app.calibrator import Calibrator
from app.contract import (
    BatchResult,
    Calibration,
    ImageFlops,
    ImageResult,
    Item,
    Level,
    LevelRange,
    Method,
    ModelInfo,
    Picture,
    Prediction,
    Prepared,
    Shown,
)
from app.errors import InvalidParameter
from app.memory import return_free
from app.schemas import Explained, Form, LayerTotalAnswer, PatchAnswer, RatioMapAnswer, ShownLayerAnswer
from haste.config import MAX_HYPERPLANES, MIN_HYPERPLANES, Merge
from haste.explain import NoSuchPatch
from haste.explanation import LayerTotal
from haste.images import preprocess_array
from haste.kernel import implementation
from haste.models import DEFAULT, WeightsRecord, list_pretrained, load_pretrained
from haste.program import CompiledModel, infer

_Array = NDArray[np.float32]


@dataclass
class _Loaded:
    network: nn.Module  # compiled, where this machine can
    converted: nn.Module
    config: haste.HasteConfig
    calibration: Calibration | None


class TorchEngine:
    """The `Engine` of the contract, on haste's compiled programs."""

    levels = LevelRange(MIN_HYPERPLANES, MAX_HYPERPLANES)

    def __init__(
        self,
        models: Sequence[str],
        preset: Literal["default", "paper"],
        level: Level | None,
        threads: int,
        calibrator: Calibrator,
    ) -> None:
        """`models`: names, the default first; empty: the embedded one. ValueError for an unknown name or level."""
        config = haste.HasteConfig.preset(preset)
        self._config = config if level is None else replace(config, num_hyperplanes=level)
        known = {record.name: record for record in list_pretrained()}
        names = tuple(dict.fromkeys(models)) or (DEFAULT,)
        for name in names:
            if name not in known:
                raise ValueError(f"unknown model {name!r}; known: {', '.join(known)}")
        self._records = {name: known[name] for name in names}
        self._threads, self._calibrator = threads, calibrator
        self._loaded: dict[str, _Loaded] = {}
        self.models = tuple(_info(record) for record in self._records.values())
        self.method = Method(self._config.num_hyperplanes, config.merge, config.tolerance, get_args(Merge))

    @property
    def build(self) -> Mapping[str, str]:
        return {
            "version": _version(),
            "torch": torch.__version__,
            "python": platform.python_version(),
            "arch": platform.machine(),
            "implementation": implementation(),
        }

    @property
    def refused(self) -> Mapping[str, str]:
        """By model that was loaded, why the calibration file does not fit it."""
        return self._calibrator.refused

    def load(self, model: str, merge: str, tolerance: float | None) -> None:
        config = replace(self._config, merge=cast(Merge, merge), tolerance=tolerance)
        torch.set_num_threads(self._threads)  # OpenMP keeps this for each thread, and this is the one that computes
        network, record = load_pretrained(model)
        haste.convert_(network, config)
        compiled = haste.compile(network, threads=self._threads)
        self._loaded[model] = _Loaded(compiled, network, config, self._calibrator.apply(compiled, record))
        for level in (self._config.num_hyperplanes, cast(Level, "exact"), cast(Level, "dense")):
            self._warm_up(model, level)

    def _warm_up(self, model: str, level: Level) -> None:
        """Compute a blank image, so that no client waits for what the first forward prepares."""
        side = self._records[model].input_size
        self.forward(model, [Item(np.zeros((3, side, side), np.float32), level, 1)])

    def hurry(self) -> None:
        self._calibrator.hurry()

    def unload(self, model: str) -> None:
        self._loaded.pop(model, None)
        return_free()

    def calibration(self, model: str) -> Calibration | None:
        return self._loaded[model].calibration if model in self._loaded else None

    def configure(self, model: str, merge: str, tolerance: float | None) -> None:
        loaded = self._loaded.get(model)
        if loaded is None:  # its load is given the rule
            return
        config = replace(loaded.config, merge=cast(Merge, merge), tolerance=tolerance)
        if config != loaded.config:
            haste.reconfigure_(loaded.converted, config)
            loaded.config = config
            loaded.calibration = self._calibrator.still_holds(loaded.network, model)
            self._warm_up(model, self._config.num_hyperplanes)
            return_free()

    def prepare(self, model: str, image: Picture) -> Prepared:
        return preprocess_array(image, self._records[model])

    def prepare_array(self, array: NDArray[np.float32]) -> Prepared:
        return array.copy()

    def explain(self, model: str, shown: Shown) -> Explained:
        loaded, image = self._loaded[model], torch.from_numpy(cast(_Array, shown.prepared))
        try:
            with _one_thread(), haste.num_hyperplanes(shown.level):
                found = haste.explain(
                    loaded.converted,
                    image,
                    layer=shown.layer,
                    row=shown.row,
                    column=shown.column,
                    config=loaded.config,
                )
        except NoSuchPatch as error:
            raise InvalidParameter(str(error)) from None
        forms = loaded.network.forms if isinstance(loaded.network, CompiledModel) else None
        layers = [_total(one, one.form if forms is None else forms(one.name, found.level, 1)) for one in found.layers]
        return Explained(
            layer=ShownLayerAnswer.model_validate(found.layer),
            patch=PatchAnswer.model_validate(found.patch),
            map=RatioMapAnswer.model_validate(found.map),
            layers=layers,
        )

    def forward(self, model: str, items: Sequence[Item]) -> BatchResult:
        images = np.stack([cast(_Array, item.prepared) for item in items])
        with haste.num_hyperplanes([item.level for item in items]), haste.recording() as record:
            logits = infer(self._loaded[model].network, images)
        report = haste.FlopReport.from_record(record)
        probabilities = _softmax(logits)
        classes = self._records[model].classes
        results = tuple(
            ImageResult(
                _best(row, item.top_k, classes),
                ImageFlops(flops.dense, flops.executed, flops.skipped, flops.merged, flops.overhead),
            )
            for row, item, flops in zip(probabilities, items, report.images, strict=True)
        )
        return BatchResult(results, report.compression_ratios)


def _softmax(logits: _Array) -> _Array:
    powers: _Array = np.exp(logits - logits.max(1, keepdims=True))
    powers /= powers.sum(1, keepdims=True)
    return powers


def _best(probabilities: _Array, top_k: int, classes: Sequence[str]) -> tuple[Prediction, ...]:
    """The most probable classes; of equal ones the first."""
    indices = np.argsort(-probabilities, kind="stable")[:top_k]
    pairs = zip(indices.tolist(), probabilities[indices].tolist(), strict=True)
    return tuple(Prediction(classes[index], index, value) for index, value in pairs)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Let torch compute on the calling thread alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _total(layer: LayerTotal, calibrated: Form) -> LayerTotalAnswer:
    """A layer as the method runs it, and as it is served: a calibration leaves out, and never adds."""
    served = calibrated if layer.form == "merge" or calibrated == "dense" else layer.form
    return LayerTotalAnswer(
        name=layer.name,
        compression_ratio=layer.compression_ratio,
        dense_flops=layer.dense_flops,
        executed_flops=layer.executed_flops,
        reduction=layer.reduction,
        converted=layer.converted,
        form=layer.form,
        served_form=served,
    )


def _info(record: WeightsRecord) -> ModelInfo:
    return ModelInfo(
        record.name,
        record.classes,
        record.input_size,
        record.parameters,
        record.dense_top1,
        record.sha256,
        record.licence,
        record.source,
    )


def _version() -> str:
    try:
        return version("haste-edge")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"
