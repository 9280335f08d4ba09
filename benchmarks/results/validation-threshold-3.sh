set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split validation --out state/validation.npz
haste eval --model resnet18_cifar10 --data state/validation.npz --L 12 --threshold 3 --json benchmarks/results/validation-threshold-3.json
