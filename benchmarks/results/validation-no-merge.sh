#!/usr/bin/env bash
# As validation-default, without merging: what counts as zero alone.
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split validation --out state/validation.npz
haste eval --model resnet18_cifar10 --data state/validation.npz --L 6,7,8,10,12,14,16,20 --merge none --json benchmarks/results/validation-no-merge.json
