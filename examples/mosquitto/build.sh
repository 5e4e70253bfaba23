#!/usr/bin/env bash
# Builds all versions of the broker that the file "versions" lists, with CC=kcc, and the transformer libraries between them.
#
#   build.sh [FOLDER]
#
# FOLDER (default: build/examples/mosquitto in the project, or $KITSUNE_EXAMPLES_DIR/mosquitto) gets a folder for each version;
# the broker is VERSION/src/mosquitto. A second call builds only what changed. $KCC and $KITSUNE_XFGEN name other tools than the project's.
# Exit status: 0 built, 75 the source can't be had here (the last line on stderr says why), anything else: a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1-${KITSUNE_EXAMPLES_DIR-$root/build/examples}/mosquitto}
kcc=${KCC-$root/bin/kcc}
xfgen=${KITSUNE_XFGEN-$root/bin/kitsune-xfgen}
mkdir -p "$work"
work=$(cd "$work" && pwd)
unavailable() { echo "mosquitto: $1" >&2; exit 75; }

# --- The source, and which of the distribution's patches belong to which version ------------------------------------
"$here/get-source.sh" "$work/source"
series=$work/source/debian/patches
patches=$(sed -e 's/[[:space:]]*#.*//' -e '/^$/d' "$series/series")

versions() { sed -e '/^#/d' -e '/^$/d' "$here/versions"; }

# The files to apply for a version, in order.
patchesOf() { # LAST
  case $1 in
    -) ;;
    all | ours) for patch in $patches; do echo "$series/$patch"; done ;;
    *) for patch in $patches; do echo "$series/$patch"; [ "$patch" = "$1" ] && break; done ;;
  esac
  [ "$1" = ours ] && echo "$here/ours.patch"
  echo "$here/kitsune.patch"
}

versions | while read -r name last _; do
  case $last in
    - | all | ours) ;;
    *) [ -e "$series/$last" ] || unavailable "the distribution's source package has no $last (needed for $name)" ;;
  esac
done

# --- One tree for each version ------------------------------------------------------------------------------------------
# A tree is made anew when one of its patches changes, its objects when the compiler does, the broker when the runtime does.
compiler=$(cd "$root" && find lib/cli lib/frontend lib/model lib/rewrite lib/support lib/wrapper runtime/include -type f -print0 | sort -z | xargs -0 cat "$kcc" | sha256sum)
runtime=$(cat "$root/build/lib/libkitsune.a" 2>/dev/null | sha256sum)
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

before=
versions | while read -r name last what; do
  tree=$work/$name
  stamp=$(patchesOf "$last" | xargs cat | sha256sum)
  if [ "$(cat "$tree/.patches" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$tree"
    mkdir -p "$tree"
    tar cf - -C "$work/source" --exclude ./debian . | tar xf - -C "$tree"
    for patch in $(patchesOf "$last"); do
      patch -d "$tree" -p1 -s --no-backup-if-mismatch < "$patch"
    done
    echo "$stamp" > "$tree/.patches"
  fi
  if [ "$(cat "$tree/.compiler" 2>/dev/null)" != "$compiler" ]; then
    make -s -C "$tree/src" clean >/dev/null 2>&1
    [ -z "$before" ] || reuseObjects "$before" "$tree"
    echo "$compiler" > "$tree/.compiler"
  fi
  if [ "$(cat "$tree/.runtime" 2>/dev/null)" != "$runtime" ]; then
    rm -f "$tree/src/mosquitto"
    echo "$runtime" > "$tree/.runtime"
  fi
  echo "mosquitto $name: $what"
  make -s -C "$tree/src" -j"$(nproc)" "${options[@]}" mosquitto
  before=$tree
done

# --- Transformers: needed where types changed ---------------------------------------------------------------------------
# transformers OLD NEW: an .xf named after the pair, made into NEW.kitsune/OLD-BUILD-ID.so beside the new version.
for rules in "$here"/*--*.xf; do
  pair=$(basename "$rules" .xf)
  old=$work/${pair%%--*}/src/mosquitto new=$work/${pair##*--}/src/mosquitto
  done=$work/$pair.stamp
  if [ ! "$done" -nt "$rules" ] || [ ! "$done" -nt "$old" ] || [ ! "$done" -nt "$new" ]; then
    echo "mosquitto ${pair%%--*} -> ${pair##*--}: transformers by $(basename "$rules")"
    "$xfgen" --shared "$old" "$new" "$rules"
    touch "$done"
  fi
done
