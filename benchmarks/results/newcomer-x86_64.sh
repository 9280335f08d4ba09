# The README's path in a fresh clone, on a machine that does nothing else; pip has torch's wheel near at hand here.
set -euo pipefail
python scripts/time_newcomer.py --json benchmarks/results/newcomer-x86_64.json
