#!/usr/bin/env bash
# All 2,000 images of the validation split; validation.npz is written by the first line from the CIFAR-10 JPEG archive.
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split validation --out state/validation.npz
haste eval --model resnet18_cifar10 --data state/validation.npz --L exact,6,7,8,10,12,14,16,20 --json benchmarks/results/validation-default.json
