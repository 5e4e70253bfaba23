#!/usr/bin/env bash
# Builds all versions of the server that the file "versions" lists, with CC=kcc, and the transformer libraries between them.
#
#   build.sh [FOLDER]
#
# FOLDER (default: build/examples/memcached in the project, or $KITSUNE_EXAMPLES_DIR/memcached) gets a folder for each version; the
# server is VERSION/memcached. A second call builds only what changed. $KCC and $KITSUNE_XFGEN name other tools than the project's,
# $OPTIMIZATION another level than -O2.
# Exit status: 0 built, 75 source or libraries can't be had here (the last line on stderr says why), anything else: a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1-${KITSUNE_EXAMPLES_DIR-$root/build/examples}/memcached}
kcc=${KCC-$root/bin/kcc}
xfgen=${KITSUNE_XFGEN-$root/bin/kitsune-xfgen}
mkdir -p "$work"
work=$(cd "$work" && pwd)
unavailable() { echo "memcached: $1" >&2; exit 75; }

echo '#include <event.h>' | ${KCC_CC-cc} -E - >/dev/null 2>&1 || unavailable "libevent is missing (Debian: libevent-dev)"
"$here/../get-source.sh" --unpatched memcached "$work/source"
series=$work/source/debian/patches
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$work/source/debian/changelog")
case $version in
  1.6.18-*) ;;
  *) unavailable "this distribution has $version, the example is about 1.6.18 (Debian 12)" ;;
esac
patches=$(sed -e 's/[[:space:]]*#.*//' -e '/^$/d' "$series/series")
versions() { sed -e '/^#/d' -e '/^$/d' "$here/versions"; }
versions | while read -r name last _; do
  [ "$last" = ours ] || [ -e "$series/$last" ] || unavailable "the distribution's source package has no $last (needed for $name)"
done

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

compiler=$(cd "$root" && find lib/cli lib/frontend lib/model lib/rewrite lib/support lib/wrapper runtime/include -type f -print0 | sort -z | xargs -0 cat "$kcc" | sha256sum)
runtime=$(sha256sum < "$root/build/lib/libkitsune.a")
level=
versions | while read -r name last what; do
  tree=$work/$name
  stamp=$(patchesOf "$last" "$level" | xargs cat "$here/build.sh" | sha256sum)
  if [ "$(cat "$tree/.patches" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$tree"
    mkdir -p "$tree"
    tar cf - -C "$work/source" --exclude ./debian . | tar xf - -C "$tree"
    for patch in $(patchesOf "$last" "$level"); do
      # Some are about the files of the package.
      patch -d "$tree" -p1 -s --no-backup-if-mismatch < "$patch"
    done
    (cd "$tree" && ./configure CC="$kcc" CFLAGS="${OPTIMIZATION--O2} -g" --disable-docs --disable-coverage >configure.log 2>&1) ||
      { tail -n 5 "$tree/configure.log" >&2; exit 1; }
    # The makefile makes this again whenever it is run, from the version control's description.
    echo "$stamp" > "$tree/.patches"
  fi
  if [ "$(cat "$tree/.compiler" 2>/dev/null)" != "$compiler" ]; then
    make -s -C "$tree" clean >/dev/null 2>&1
    echo "$compiler" > "$tree/.compiler"
  fi
  if [ "$(cat "$tree/.runtime" 2>/dev/null)" != "$runtime" ]; then
    rm -f "$tree/memcached"
    echo "$runtime" > "$tree/.runtime"
  fi
  echo "memcached $name: $what"
  make -s -C "$tree" -j"$(nproc)" memcached >"$tree/build.log" 2>&1 || { tail -n 20 "$tree/build.log" >&2; exit 1; }
  [ "$last" = ours ] || level=$last
done

# --- Transformers: needed where types changed ---------------------------------------------------------------------------
# An .xf named after the pair, made into NEW.kitsune/OLD-BUILD-ID.so beside the new version.
for rules in "$here"/*--*.xf; do
  pair=$(basename "$rules" .xf)
  old=$work/${pair%%--*}/memcached new=$work/${pair##*--}/memcached
  stamp=$work/$pair.stamp
  if [ ! "$stamp" -nt "$rules" ] || [ ! "$stamp" -nt "$here/memcached.xf" ] || [ ! "$stamp" -nt "$old" ] || [ ! "$stamp" -nt "$new" ]; then
    echo "memcached ${pair%%--*} -> ${pair##*--}: transformers by $(basename "$rules")"
    "$xfgen" --shared "$old" "$new" "$rules"
    touch "$stamp"
  fi
done
