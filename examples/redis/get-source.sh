#!/usr/bin/env bash
# Gets upstream's Redis 7.0.15, with the distribution's patch series beside it in debian/patches.
#
#   get-source.sh FOLDER
#
# Exit status: 0 there, 75 it can't be had here (the last line on stderr says why).
set -eu
folder=$1
"$(dirname "$0")/../get-source.sh" --unpatched redis "$folder"
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$folder/debian/changelog")
case $version in
  5:7.0.15-*) ;;
  *) echo "redis: this distribution has $version, the example is about 7.0.15 (Debian 12)" >&2; exit 75 ;;
esac
