#!/usr/bin/env bash
# A fleet on Ray Serve, killed, scaled, steered and updated under load; on two cores that a training run used as well.
set -euo pipefail
python scripts/prove_ray.py --requests 5000 --each 100 --json benchmarks/results/ray-x86_64.json
