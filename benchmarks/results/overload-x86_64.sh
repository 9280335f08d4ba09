set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
python -m benchmarks.overload --images state/test.npz --json benchmarks/results/overload-x86_64.json
