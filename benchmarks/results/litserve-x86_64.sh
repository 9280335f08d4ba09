#!/usr/bin/env bash
# make bench installs what writes ONNX.
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
python -m venv build/litserve && build/litserve/bin/pip install litserve onnxruntime pillow numpy
python -m benchmarks.against_litserve --python build/litserve/bin/python --images state/test.npz --rate 60:220:20 --seconds 15 --rounds 3 --json benchmarks/results/litserve-x86_64.json
