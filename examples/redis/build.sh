#!/usr/bin/env bash
# Builds all versions of the server that the file "versions" lists, with CC=kcc, and the transformer libraries between them.
#
#   build.sh [FOLDER]
#
# FOLDER (default: build/examples/redis in the project, or $KITSUNE_EXAMPLES_DIR/redis) gets a folder for each version; the server
# is VERSION/src/redis-server. A second call builds only what changed. $KCC and $KITSUNE_XFGEN name other tools than the project's,
# $OPTIMIZATION another level than -O2.
# Exit status: 0 built, 75 the source can't be had here (the last line on stderr says why), anything else: a failure.
. "$(dirname "$0")/../building.sh" redis "$@"

"$here/get-source.sh" "$work/source"
needPatches ours

# A tree begins as a copy of the one before it, with its objects, and gets those files that differ: make builds what they concern.
makeTree() { # TREE BEFORE PATCH...
  local tree=$1 before=$2 fresh=$work/fresh
  shift 2
  if [ -z "$before" ]; then
    unpack "$tree" "$@"
    return
  fi
  unpack "$fresh" "$@"
  rm -rf "$tree"
  cp -a "$before" "$tree"
  rm -f "$tree"/src/redis-server* "$tree/.built"
  (cd "$fresh" && find . -type f) | while read -r file; do
    cmp -s "$fresh/$file" "$tree/$file" || { rm -f "$tree/$file"; cp "$fresh/$file" "$tree/$file"; touch "$tree/$file"; }
  done
  rm -rf "$fresh"
}

before= level=
versions | while read -r version last what; do
  tree=$work/$version
  files=$(patchesUpToOrOurs "$last" "$level")
  stamp=$(cat $files | sha256sum; echo "$compiler")
  if differs "$tree/.patches" "$stamp"; then
    makeTree "$tree" "$before" $files
    remember "$tree/.patches" "$stamp"
  fi
  linkAgain "$tree" src/redis-server
  echo "redis $version: $what"
  # glibc's malloc: jemalloc would be linked into each version, with the state of every allocation in its own variables. One after
  # the other: Redis's makefile begins anew for each, and the two would make the same libraries at once.
  for program in redis-server redis-benchmark; do
    make -s -C "$tree" -j"$(nproc)" CC="$kcc" MALLOC=libc OPTIMIZATION="${OPTIMIZATION--O2}" "$program" > "$tree/.log" 2>&1 ||
      { tail -n 40 "$tree/.log"; exit 1; }
  done
  before=$tree
  [ "$last" = ours ] || level=$last
done

makeTransformers src/redis-server "$here/redis.xf"
