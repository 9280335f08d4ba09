"""The dense network behind LitServe, as its users would run it: ONNX Runtime, and LitServe's own batches of up to 8.

Runs in an environment with litserve, numpy, onnxruntime and pillow; `against_litserve.py` starts it.
"""

import argparse
import json
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import Annotated, Any

import litserve
import numpy as np
import onnxruntime
from fastapi import Body
from numpy.typing import NDArray
from PIL import Image

_MAX_BATCH, _BATCH_TIMEOUT_SECONDS = 8, 0.002
Floats = NDArray[np.float32]


class Classify(litserve.LitAPI):
    """folder: holds network.onnx, and network.json with classes, side, mean and std."""

    def __init__(self, folder: Path, threads: int) -> None:
        super().__init__(max_batch_size=_MAX_BATCH, batch_timeout=_BATCH_TIMEOUT_SECONDS)
        self._folder, self._threads = folder, threads

    def setup(self, device: str) -> None:  # noqa: ARG002  LitServe names it
        about = json.loads((self._folder / "network.json").read_text(encoding="utf-8"))
        self._classes, self._side = about["classes"], about["side"]
        self._mean, self._std = (np.array(about[name], np.float32) for name in ("mean", "std"))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._threads, 1
        file = str(self._folder / "network.onnx")
        self._session = onnxruntime.InferenceSession(file, options, providers=["CPUExecutionProvider"])

    def decode_request(self, request: Annotated[bytes, Body()]) -> Floats:
        """Encoded image -> (3, S, S) float32: the largest centred square, resized and normalised as in haste.images."""
        with Image.open(BytesIO(request)) as encoded:
            image = encoded.convert("RGB")
        if image.size != (self._side, self._side):
            square = min(image.size)
            left, top = (image.width - square) / 2, (image.height - square) / 2
            box = (left, top, left + square, top + square)
            image = image.resize((self._side, self._side), Image.Resampling.BILINEAR, box=box)
        pixels = (np.asarray(image, np.float32) / 255 - self._mean) / self._std
        return np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)

    def batch(self, inputs: Sequence[Floats]) -> Floats:
        return np.stack(inputs)

    def predict(self, x: Floats) -> Any:
        return self._session.run(None, {"x": x})[0].argmax(axis=1)

    def unbatch(self, output: Any) -> list[int]:
        return [int(index) for index in output]

    def encode_response(self, output: int) -> dict[str, str]:
        return {"label": self._classes[output]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, default=1, help="processes with a network each")
    parser.add_argument("--threads", type=int, default=2, help="threads of each network")
    args = parser.parse_args()
    server = litserve.LitServer(Classify(args.folder, args.threads), accelerator="cpu", workers_per_device=args.workers)
    server.run(host="127.0.0.1", port=args.port, num_api_servers=1, log_level="warning", generate_client_file=False)


if __name__ == "__main__":
    main()
