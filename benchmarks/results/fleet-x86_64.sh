#!/usr/bin/env bash
# Boxes that a load needs, from the committed times and quality of one box; simulated, nothing is loaded.
set -euo pipefail
python scripts/fleet_results.py --json benchmarks/results/fleet-x86_64.json
