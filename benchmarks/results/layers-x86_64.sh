#!/usr/bin/env bash
# Every layer of the embedded network in every form, one thread; run on a machine that does nothing else.
set -euo pipefail
haste bench --threads 1 --batch 1 --L dense,exact,12 --calibration none --rounds 2 --layers benchmarks/results/layers-x86_64.json
