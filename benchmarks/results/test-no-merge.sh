#!/usr/bin/env bash
# As test-default, without merging: what a calibrated engine computes where no merge repays its time.
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
haste eval --model resnet18_cifar10 --data state/test.npz --limit 2000 --L dense,exact,6,7,8,10,12,14,16,20 --merge none --json benchmarks/results/test-no-merge.json
