"""HASTE: hash-based merging of look-alike channels of a pretrained CNN at inference."""

from haste import models
from haste.config import HasteConfig, LayerConfig, Level, parse_level
from haste.convert import ConversionReport, convert_, reconfigure_, revert_
from haste.evaluate import evaluate
from haste.explain import explain
from haste.flops import FlopReport
from haste.program import compile
from haste.steering import num_hyperplanes, recording

__all__ = [
    "ConversionReport",
    "FlopReport",
    "HasteConfig",
    "LayerConfig",
    "Level",
    "compile",
    "convert_",
    "evaluate",
    "explain",
    "models",
    "num_hyperplanes",
    "parse_level",
    "reconfigure_",
    "recording",
    "revert_",
]
