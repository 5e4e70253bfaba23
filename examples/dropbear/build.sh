#!/usr/bin/env bash
# Builds all versions of the SSH server that the file "versions" lists, with CC=kcc, the transformer libraries between them, and a client.
#
#   build.sh [FOLDER]
#
# FOLDER (default: build/examples/dropbear in the project, or $KITSUNE_EXAMPLES_DIR/dropbear) gets a folder for each version; the server is
# VERSION/dropbear. A second call builds only what changed. $KCC and $KITSUNE_XFGEN name other tools than the project's.
# Exit status: 0 built, 75 source or libraries can't be had here (the last line on stderr says why), anything else: a failure.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${1-${KITSUNE_EXAMPLES_DIR-$root/build/examples}/dropbear}
kcc=${KCC-$root/bin/kcc}
xfgen=${KITSUNE_XFGEN-$root/bin/kitsune-xfgen}
mkdir -p "$work"
work=$(cd "$work" && pwd)
unavailable() { echo "dropbear: $1" >&2; exit 75; }

echo '#include <tomcrypt.h>' | ${KCC_CC-cc} -DUSE_LTM -DLTM_DESC -E - >/dev/null 2>&1 ||
  unavailable "libtomcrypt is missing (Debian: libtomcrypt-dev libtommath-dev)"

"$here/../get-source.sh" --unpatched dropbear "$work/source"
series=$work/source/debian/patches
version=$(sed -n '1s/.*(\(.*\)).*/\1/p' "$work/source/debian/changelog")
case $version in
  2022.83-*) [ -e "$series/CVE-2023-48795.patch" ] || unavailable "the source package has no CVE-2023-48795.patch" ;;
  *) unavailable "this distribution has $version, the example is about 2022.83 (Debian 12)" ;;
esac
versions() { sed -e '/^#/d' -e '/^$/d' "$here/versions"; }

# The files to apply for a version, in order.
patchesOf() { # WHICH
  [ "$1" = - ] || sed -e 's/[[:space:]]*#.*//' -e '/^$/d' -e "s#^#$series/#" "$series/series"
  echo "$here/kitsune.patch"
}

# A tree is made anew when one of its patches changes, its objects when the compiler does, the server when the runtime does.
compiler=$(cd "$root" && find lib/cli lib/frontend lib/model lib/rewrite lib/support lib/wrapper runtime/include -type f -print0 | sort -z | xargs -0 cat "$kcc" | sha256sum)
runtime=$(sha256sum < "$root/build/lib/libkitsune.a")
# The libraries of the system; no records of logins in the system's files, as this is an example.
options=(--disable-bundled-libtom --disable-zlib --disable-pam --disable-lastlog --disable-utmp --disable-utmpx --disable-wtmp
         --disable-wtmpx --disable-loginfunc --disable-pututline --disable-pututxline)
versions | while read -r name which what; do
  tree=$work/$name
  stamp=$(patchesOf "$which" | xargs cat "$here/build.sh" | sha256sum)
  if [ "$(cat "$tree/.patches" 2>/dev/null)" != "$stamp" ]; then
    rm -rf "$tree"
    mkdir -p "$tree"
    tar cf - -C "$work/source" --exclude ./debian . | tar xf - -C "$tree"
    for patch in $(patchesOf "$which"); do
      patch -d "$tree" -p1 -s --no-backup-if-mismatch < "$patch"
    done
    # Children are forked from the running version. By default they would be started from the file that the first version came from.
    echo '#define DROPBEAR_REEXEC 0' > "$tree/localoptions.h"
    (cd "$tree" && ./configure CC="$kcc" CFLAGS='-O2 -g' "${options[@]}" >configure.log 2>&1) ||
      { tail -n 5 "$tree/configure.log" >&2; exit 1; }
    echo "$stamp" > "$tree/.patches"
  fi
  if [ "$(cat "$tree/.compiler" 2>/dev/null)" != "$compiler" ]; then
    make -s -C "$tree" clean >/dev/null 2>&1
    echo "$compiler" > "$tree/.compiler"
  fi
  if [ "$(cat "$tree/.runtime" 2>/dev/null)" != "$runtime" ]; then
    rm -f "$tree/dropbear"
    echo "$runtime" > "$tree/.runtime"
  fi
  echo "dropbear $name: $what"
  make -s -C "$tree" -j"$(nproc)" PROGRAMS=dropbear >"$tree/build.log" 2>&1 || { tail -n 20 "$tree/build.log" >&2; exit 1; }
done

# The client and the tool that makes keys are ordinary programs of the last version.
client=$work/client
if [ ! -x "$client/dbclient" ]; then
  rm -rf "$client"
  mkdir -p "$client"
  tar cf - -C "$work/source" --exclude ./debian . | tar xf - -C "$client"
  (cd "$client" && patch -p1 -s < "$series/CVE-2023-48795.patch" && ./configure "${options[@]}" >configure.log 2>&1 &&
    make -s -j"$(nproc)" PROGRAMS='dbclient dropbearkey' >build.log 2>&1) || { tail -n 20 "$client/build.log" >&2; exit 1; }
fi

for rules in "$here"/*--*.xf; do
  pair=$(basename "$rules" .xf)
  old=$work/${pair%%--*}/dropbear new=$work/${pair##*--}/dropbear
  done=$work/$pair.stamp
  if [ ! "$done" -nt "$rules" ] || [ ! "$done" -nt "$old" ] || [ ! "$done" -nt "$new" ]; then
    echo "dropbear ${pair%%--*} -> ${pair##*--}: transformers by $(basename "$rules")"
    "$xfgen" --shared "$old" "$new" "$rules"
    touch "$done"
  fi
done
