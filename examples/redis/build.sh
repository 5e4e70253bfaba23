#!/usr/bin/env bash
# Builds all versions of the server that the file "versions" lists, with CC=kcc, and the transformer libraries between them.
#
#   build.sh [FOLDER]
#
# FOLDER (default: build/examples/redis in the project, or $KITSUNE_EXAMPLES_DIR/redis) gets a folder for each version; the server
# is VERSION/src/redis-server. A second call builds only what changed. $KCC and $KITSUNE_XFGEN name other tools than the project's,
# $OPTIMIZATION another level than -O2.
# Exit status: 0 built, 75 the source can't be had here (the last line on stderr says why), anything else: a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1-${KITSUNE_EXAMPLES_DIR-$root/build/examples}/redis}
kcc=${KCC-$root/bin/kcc}
xfgen=${KITSUNE_XFGEN-$root/bin/kitsune-xfgen}
mkdir -p "$work"
work=$(cd "$work" && pwd)
unavailable() { echo "redis: $1" >&2; exit 75; }

"$here/get-source.sh" "$work/source"
series=$work/source/debian/patches
patches=$(sed -e 's/[[:space:]]*#.*//' -e '/^$/d' "$series/series")
versions() { sed -e '/^#/d' -e '/^$/d' "$here/versions"; }

# The files to apply for a version, in order.
patchesOf() { # LAST BEFORE
  local last=$1
  [ "$last" = ours ] && last=$2
  for patch in $patches; do
    echo "$series/$patch"
    [ "$patch" = "$last" ] && break
  done
  echo "$here/kitsune.patch"
  if [ "$1" = ours ]; then echo "$here/ours.patch"; fi
}

versions | while read -r name last _; do
  [ "$last" = ours ] || [ -e "$series/$last" ] || unavailable "the distribution's source package has no $last (needed for $name)"
done

# A tree begins as a copy of the one before it, with its objects, and gets those files that differ: make builds what they concern.
makeTree() { # TREE BEFORE PATCH...
  local tree=$1 before=$2 fresh=$work/fresh
  shift 2
  rm -rf "$fresh" "$tree"
  mkdir "$fresh"
  tar cf - -C "$work/source" --exclude ./debian . | tar xf - -C "$fresh"
  for patch in "$@"; do
    patch -d "$fresh" -p1 -s --no-backup-if-mismatch < "$patch"
  done
  if [ -z "$before" ]; then
    mv "$fresh" "$tree"
    return
  fi
  cp -a "$before" "$tree"
  rm -f "$tree"/src/redis-server* "$tree/.built"
  (cd "$fresh" && find . -type f) | while read -r file; do
    cmp -s "$fresh/$file" "$tree/$file" || { rm -f "$tree/$file"; cp "$fresh/$file" "$tree/$file"; touch "$tree/$file"; }
  done
  rm -rf "$fresh"
}

compiler=$(cd "$root" && find lib/cli lib/frontend lib/model lib/rewrite lib/support lib/wrapper runtime/include -type f -print0 | sort -z | xargs -0 cat "$kcc" | sha256sum)
runtime=$(cat "$root/build/lib/libkitsune.a" 2>/dev/null | sha256sum)
before= level=
versions | while read -r name last what; do
  tree=$work/$name
  files=$(patchesOf "$last" "$level")
  stamp=$(cat $files | sha256sum; echo "$compiler")
  if [ "$(cat "$tree/.patches" 2>/dev/null)" != "$stamp" ]; then
    makeTree "$tree" "$before" $files
    echo "$stamp" > "$tree/.patches"
  fi
  if [ "$(cat "$tree/.runtime" 2>/dev/null)" != "$runtime" ]; then
    rm -f "$tree/src/redis-server"
    echo "$runtime" > "$tree/.runtime"
  fi
  echo "redis $name: $what"
  # glibc's malloc: jemalloc would be linked into each version, with the state of every allocation in its own variables. One after
  # the other: Redis's makefile begins anew for each, and the two would make the same libraries at once.
  for program in redis-server redis-benchmark; do
    make -s -C "$tree" -j"$(nproc)" CC="$kcc" MALLOC=libc OPTIMIZATION="${OPTIMIZATION--O2}" "$program" > "$tree/.log" 2>&1 ||
      { tail -n 40 "$tree/.log"; exit 1; }
  done
  before=$tree
  [ "$last" = ours ] || level=$last
done

# --- Transformers: needed where types changed ---------------------------------------------------------------------------
# An .xf named after the pair, made into NEW.kitsune/OLD-BUILD-ID.so beside the new version.
for rules in "$here"/*--*.xf; do
  [ -e "$rules" ] || continue
  pair=$(basename "$rules" .xf)
  old=$work/${pair%%--*}/src/redis-server new=$work/${pair##*--}/src/redis-server
  stamp=$work/$pair.stamp
  if [ ! "$stamp" -nt "$rules" ] || [ ! "$stamp" -nt "$here/redis.xf" ] || [ ! "$stamp" -nt "$old" ] || [ ! "$stamp" -nt "$new" ]; then
    echo "redis ${pair%%--*} -> ${pair##*--}: transformers by $(basename "$rules")"
    "$xfgen" --shared "$old" "$new" "$rules"
    touch "$stamp"
  fi
done
