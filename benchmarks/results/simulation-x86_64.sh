set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
python -m benchmarks.against_simulation --images state/test.npz --slo-ms 50 100 --seconds 15 --json benchmarks/results/simulation-x86_64.json
