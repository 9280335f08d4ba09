#!/usr/bin/env bash
# A calibration for 2 threads, measured again by another process; on a machine that does nothing else.
set -euo pipefail
haste calibrate --threads 2 --minutes 0.5 --batch 1,4 --out state/calibration-2.json
python scripts/check_calibration.py state/calibration-2.json --rounds 30 --json benchmarks/results/calibration-2-threads-x86_64.json
