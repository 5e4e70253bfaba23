#!/usr/bin/env bash
# Builds all versions of the server that the file "versions" lists, with CC=kcc, and the transformer libraries between them.
#
#   build.sh [FOLDER]
#
# FOLDER (default: build/examples/memcached in the project, or $KITSUNE_EXAMPLES_DIR/memcached) gets a folder for each version; the
# server is VERSION/memcached. A second call builds only what changed. $KCC and $KITSUNE_XFGEN name other tools than the project's,
# $OPTIMIZATION another level than -O2.
# Exit status: 0 built, 75 source or libraries can't be had here (the last line on stderr says why), anything else: a failure.
. "$(dirname "$0")/../building.sh" memcached "$@"

echo '#include <event.h>' | ${KCC_CC-cc} -E - >/dev/null 2>&1 || unavailable "libevent is missing (Debian: libevent-dev)"
"$here/../get-source.sh" --unpatched memcached "$work/source"
case $(packageVersion) in
  1.6.18-*) ;;
  *) unavailable "this distribution has $(packageVersion), the example is about 1.6.18 (Debian 12)" ;;
esac
needPatches ours

level=
versions | while read -r version last what; do
  tree=$work/$version
  files=$(patchesUpToOrOurs "$last" "$level")
  stamp=$(cat $files "$here/build.sh" | sha256sum)
  if differs "$tree/.patches" "$stamp"; then
    unpack "$tree" $files
    (cd "$tree" && ./configure CC="$kcc" CFLAGS="${OPTIMIZATION--O2} -g" --disable-docs --disable-coverage >configure.log 2>&1) ||
      { tail -n 5 "$tree/configure.log" >&2; exit 1; }
    remember "$tree/.patches" "$stamp"
  fi
  if differs "$tree/.compiler" "$compiler"; then
    make -s -C "$tree" clean >/dev/null 2>&1
    remember "$tree/.compiler" "$compiler"
  fi
  linkAgain "$tree" memcached
  echo "memcached $version: $what"
  make -s -C "$tree" -j"$(nproc)" memcached >"$tree/build.log" 2>&1 || { tail -n 20 "$tree/build.log" >&2; exit 1; }
  [ "$last" = ours ] || level=$last
done

makeTransformers memcached "$here/memcached.xf"
