"""Plain CNNs with torchvision's state-dict keys, and their weights; they know nothing of HASTE."""

from haste.models.checkpoint import CheckpointError, load_checkpoint, model_from_checkpoint
from haste.models.registry import create_model, list_models
from haste.models.weights import DEFAULT, WeightsRecord, list_pretrained, load_pretrained

__all__ = [
    "DEFAULT",
    "CheckpointError",
    "WeightsRecord",
    "create_model",
    "list_models",
    "list_pretrained",
    "load_checkpoint",
    "load_pretrained",
    "model_from_checkpoint",
]
