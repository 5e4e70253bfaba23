#!/usr/bin/env bash
# Builds all versions of the broker that the file "versions" lists, with CC=kcc, and the transformer libraries between them.
#
#   build.sh [FOLDER]
#
# FOLDER (default: build/examples/mosquitto in the project, or $KITSUNE_EXAMPLES_DIR/mosquitto) gets a folder for each version;
# the broker is VERSION/src/mosquitto. A second call builds only what changed. $KCC and $KITSUNE_XFGEN name other tools than the project's.
# Exit status: 0 built, 75 the source can't be had here (the last line on stderr says why), anything else: a failure.
. "$(dirname "$0")/../building.sh" mosquitto "$@"

"$here/get-source.sh" "$work/source"
needPatches - all ours

# The files to apply for a version, in order.
patchesOf() { # LAST
  case $1 in
    -) ;;
    all | ours) patchesOfSeries ;;
    *) patchesUpTo "$1" ;;
  esac
  [ "$1" != ours ] || echo "$here/ours.patch"
  echo "$here/kitsune.patch"
}

# WITH_SYSTEMD, WITH_WEBSOCKETS and others stay off, as upstream has them.
options=(CC="$kcc" CFLAGS="-Wall -Wno-deprecated-declarations -O2 -g")
echo '#include <openssl/ssl.h>' | ${KCC_CC-cc} -E - >/dev/null 2>&1 || options+=(WITH_TLS=no)

# The objects of the version before serve where neither the source nor any header differs.
reuseObjects() { # OLD NEW
  if (cd "$1" && find . -name '*.h' -o -name config.mk) | while read -r header; do cmp -s "$1/$header" "$2/$header" || echo differs; done | grep -q .; then
    return
  fi
  for object in "$1"/src/*.o; do
    source=src/$(basename "$object" .o).c
    [ -e "$1/$source" ] || source=lib/${source#src/}
    if cmp -s "$1/$source" "$2/$source"; then cp "$object" "$2/src/"; fi
  done
}

# A tree is made anew when one of its patches changes, its objects when the compiler does, the broker when the runtime does.
before=
versions | while read -r version last what; do
  tree=$work/$version
  files=$(patchesOf "$last")
  stamp=$(cat $files | sha256sum)
  if differs "$tree/.patches" "$stamp"; then
    unpack "$tree" $files
    remember "$tree/.patches" "$stamp"
  fi
  if differs "$tree/.compiler" "$compiler"; then
    make -s -C "$tree/src" clean >/dev/null 2>&1
    [ -z "$before" ] || reuseObjects "$before" "$tree"
    remember "$tree/.compiler" "$compiler"
  fi
  linkAgain "$tree" src/mosquitto
  echo "mosquitto $version: $what"
  make -s -C "$tree/src" -j"$(nproc)" "${options[@]}" mosquitto
  before=$tree
done

makeTransformers src/mosquitto
