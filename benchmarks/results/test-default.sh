#!/usr/bin/env bash
# 2,000 of the 10,000 test images, 200 a class; test.npz is written by the first line from the CIFAR-10 JPEG archive.
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
haste eval --model resnet18_cifar10 --data state/test.npz --limit 2000 --L dense,exact,6,7,8,10,12,14,16,20 --preset default --json benchmarks/results/test-default.json
