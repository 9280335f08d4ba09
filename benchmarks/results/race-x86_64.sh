#!/usr/bin/env bash
# 2,000 of the 10,000 test images tell what a level costs; on a machine that does nothing else (make bench installs the rivals).
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
haste bench --threads 1,2 --batch 1,8 --L dense,exact,14,12,10,8 --peers --data state/test.npz --limit 2000 --json benchmarks/results/race-x86_64.json
