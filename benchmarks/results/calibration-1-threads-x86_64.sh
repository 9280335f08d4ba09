#!/usr/bin/env bash
# A calibration for 1 threads, measured again by another process; on a machine that does nothing else.
set -euo pipefail
haste calibrate --threads 1 --minutes 0.75 --batch 1,4 --out state/calibration-1.json
python scripts/check_calibration.py state/calibration-1.json --rounds 30 --json benchmarks/results/calibration-1-threads-x86_64.json
