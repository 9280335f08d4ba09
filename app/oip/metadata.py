"""What the protocol tells of the server and of a model."""

from app.contract import Engine, ModelInfo
from app.oip.request import IMAGE, OUTPUT, TENSOR

VERSION = "1"
"""Every model has this version alone."""

_EXTENSIONS = (
    *("binary_tensor_data", "classification", "model_configuration"),
    *("model_repository", "parameters", "statistics"),
)


def describe_server(engine: Engine) -> dict[str, object]:
    return {"name": "haste", "version": engine.build["version"], "extensions": list(_EXTENSIONS)}


def describe_model(info: ModelInfo) -> dict[str, object]:
    """Names, types and shapes; -1 is the number of images. A request sends one of the two inputs."""
    size = info.input_size
    return {
        "name": info.name,
        "versions": [VERSION],
        "platform": "haste_safetensors",
        "inputs": [
            {"name": TENSOR, "datatype": "FP32", "shape": [-1, 3, size, size]},
            {"name": IMAGE, "datatype": "BYTES", "shape": [-1, 1]},
        ],
        "outputs": [{"name": OUTPUT, "datatype": "FP32", "shape": [-1, len(info.classes)]}],
    }


def describe_configuration(info: ModelInfo, max_images: int) -> dict[str, object]:
    """As Triton shapes it, whose clients read it: dimensions without the number of images, of which there are most."""
    size = info.input_size
    return {
        "name": info.name,
        "backend": "haste",
        "max_batch_size": max_images,
        "input": [
            {"name": TENSOR, "data_type": "TYPE_FP32", "dims": [3, size, size], "optional": True},
            {"name": IMAGE, "data_type": "TYPE_STRING", "dims": [1], "optional": True},
        ],
        "output": [{"name": OUTPUT, "data_type": "TYPE_FP32", "dims": [len(info.classes)]}],
    }
