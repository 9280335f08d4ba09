#!/usr/bin/env bash
# As validation-default, with merging alone: only zeros count as zero.
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split validation --out state/validation.npz
haste eval --model resnet18_cifar10 --data state/validation.npz --L 6,8,10,12,14,16,20 --threshold 0 --json benchmarks/results/validation-no-threshold.json
