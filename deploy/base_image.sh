#!/usr/bin/env bash
# Makes a base for the Dockerfile where no image registry is reachable: Debian 12 with Python, by debootstrap, as root.
#   deploy/base_image.sh [NAME] [MIRROR]    NAME: localhost/haste-base; MIRROR: debootstrap's own
set -euo pipefail
name=${1:-localhost/haste-base}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

debootstrap --variant=minbase --include=ca-certificates,python3,python3-venv bookworm "$root" ${2:+"$2"}
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* "$root"/var/log/* "$root"/usr/share/{doc,man,locale}/*
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"

container=$(buildah from scratch)
buildah copy --quiet "$container" "$root" / >/dev/null
buildah commit --quiet --rm "$container" "$name"
