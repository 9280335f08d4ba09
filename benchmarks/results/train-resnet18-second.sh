# Goes on from the weights of the first run; what comes out is the embedded network.
set -euo pipefail
python scripts/train_cifar10.py --archive cifar10-jpeg.tar.xz --state state/second --init state/first/weights.safetensors --phases 32:14 --peak-lr 0.15 --precision bfloat16
cp state/second/run.json benchmarks/results/train-resnet18-second.json
python scripts/cifar10.py cifar10-jpeg.tar.xz --split test --out state/test.npz
python scripts/embed_weights.py state/second --test state/test.npz --lossless cifar10-lossless-500.npz --source "trained from scratch by this project with scripts/train_cifar10.py on CIFAR-10 (JPEG): 6 epochs at 16x16 and 8 at 32x32, then 14 at 32x32 from there"
