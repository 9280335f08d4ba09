# Every image of the test split, dense and without zeros: the accuracy that the record states.
set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
haste eval --model resnet18_cifar10 --data state/test.npz --L dense,exact --json benchmarks/results/accuracy-test.json
