# The weights stay outside the repository; the same command makes them again, bit for bit on the same machine.
set -euo pipefail
python scripts/train_cifar10.py --archive cifar10-jpeg.tar.xz --model vgg13_bn_half_cifar10 --state state/vgg13-half --phases 32:20 --precision bfloat16
cp state/vgg13-half/run.json benchmarks/results/zoo-vgg13-half-run.json
