set -euo pipefail
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
haste eval --model vgg13_bn_half_cifar10 --checkpoint state/vgg13-half/weights.safetensors --data state/test.npz --limit 2000 --L dense,exact,8,10,12,14,16,20 --preset paper --json benchmarks/results/zoo-vgg13-half-paper.json
