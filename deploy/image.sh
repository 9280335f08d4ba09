#!/usr/bin/env bash
# Builds the image with buildah and says how large it is.
#   [BASE_IMAGE=...] [TORCH_INDEX_URL=...] deploy/image.sh [TAG] [arguments of buildah ...]
# Arguments of buildah are for what this machine needs, such as `--platform linux/arm64` or `--volume` of wheels.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
tag=${1:-haste-edge:0.1.0}
shift || true

arguments=(--isolation chroot --network host --layers --tag "$tag" --format docker)
for name in BASE_IMAGE TORCH_INDEX_URL; do
    [ -n "${!name:-}" ] && arguments+=(--build-arg "$name=${!name}")
done
buildah bud "${arguments[@]}" "$@" .
buildah images --format "{{.Name}}:{{.Tag}} {{.Size}}" "$tag"
