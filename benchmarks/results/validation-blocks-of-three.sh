#!/usr/bin/env bash
# At commit a00a065, before zeros were skipped pixel by pixel: the default preset of then (skip_pixels 3, T 3, all layers merge).
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split validation --out state/validation.npz
haste eval --model resnet18_cifar10 --data state/validation.npz --L exact,8,9,10,11,12,13,14 --json benchmarks/results/validation-blocks-of-three.json
