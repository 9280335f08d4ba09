"""Classifies an image with Triton's own client, through the Open Inference Protocol, in binary and in JSON.

pip install "tritonclient[http]"
python examples/triton.py haste/samples/cat.jpg --L 10
"""

import argparse
import base64
import random
import sys
import time
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

AGAIN = frozenset({"429", "500", "502", "503", "504"})
ATTEMPTS = 8


def image_tensor(encoded: bytes, *, binary: bool) -> Any:
    """A JPEG, PNG, WebP or BMP file as the input `image`; JSON cannot hold its bytes, so there it is base64."""
    data = encoded if binary else base64.b64encode(encoded)
    tensor = triton.InferInput("image", [1], "BYTES")
    tensor.set_data_from_numpy(np.array([data], np.object_), binary_data=binary)
    return tensor


def infer(client: Any, model: str, tensor: Any, level: int | str | None) -> Any:
    """The result with the three best classes; asked again, ever more slowly, where it was lost or refused for load."""
    best = triton.InferRequestedOutput("probabilities", binary_data=False, class_count=3)
    parameters = None if level is None else {"haste_l": level}
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return client.infer(model, [tensor], outputs=[best], parameters=parameters)
        except InferenceServerException as error:
            if error.status() not in AGAIN or attempt == ATTEMPTS:
                raise
        except (OSError, HTTPException):  # the connection was lost; geventhttpclient has a name of its own for that
            if attempt == ATTEMPTS:
                raise
        time.sleep(random.uniform(0, min(2.0, 0.05 * 2**attempt)))
    raise AssertionError("unreachable")


def main() -> int:
    """Two lines: the same image in binary and in JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("image", type=Path)
    parser.add_argument("--address", default="localhost:8000", help="HOST:PORT (default: %(default)s)")
    parser.add_argument("--model", default="resnet18_cifar10")
    parser.add_argument("--L", help="number of hyperplanes, exact or dense (default: what the service has)")
    args = parser.parse_args()
    level = int(args.L) if args.L is not None and args.L.isdecimal() else args.L
    with triton.InferenceServerClient(args.address) as client:
        for binary in (True, False):
            result = infer(client, args.model, image_tensor(args.image.read_bytes(), binary=binary), level)
            _, _, label = result.as_numpy("probabilities")[0][0].split(":")  # value:index:label, first the best
            used = result.get_response()["parameters"]["haste_l"]
            print(f"{'binary' if binary else 'JSON'}\t{label}\tL={used}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
