set -euo pipefail
python scripts/train_cifar10.py --archive cifar10-jpeg.tar.xz --state state/first --phases 16:6,32:8 --precision bfloat16
cp state/first/run.json benchmarks/results/train-resnet18-first.json
