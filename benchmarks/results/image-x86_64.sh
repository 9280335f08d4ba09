set -euo pipefail
deploy/base_image.sh localhost/haste-base
BASE_IMAGE=localhost/haste-base deploy/image.sh haste-edge:0.1.0
python scripts/prove_image.py haste-edge:0.1.0 --json benchmarks/results/image-x86_64.json
