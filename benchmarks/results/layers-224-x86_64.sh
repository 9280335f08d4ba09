#!/usr/bin/env bash
# The dense kernels on ImageNet's shapes, one thread; weights do not matter to them: random ones.
set -euo pipefail
python -c "import torch; from safetensors.torch import save_file; from haste.models import create_model; save_file(create_model('resnet18').state_dict(), 'state/random-resnet18.safetensors')"
haste bench --model resnet18 --checkpoint state/random-resnet18.safetensors --threads 1 --batch 1 --L dense --calibration none --rounds 2 --layers benchmarks/results/layers-224-x86_64.json
