#!/usr/bin/env bash
# 1,000 images of the validation split; validation.npz is written by the first line from the CIFAR-10 JPEG archive.
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split validation --out state/validation.npz
haste eval --model resnet18_cifar10 --data state/validation.npz --limit 1000 --L 8,10,12 --tolerance 0.03 --json benchmarks/results/validation-tolerance-03.json
