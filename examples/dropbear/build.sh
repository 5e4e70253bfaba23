#!/usr/bin/env bash
# Builds all versions of the SSH server that the file "versions" lists, with CC=kcc, the transformer libraries between them, and a client.
#
#   build.sh [FOLDER]
#
# FOLDER (default: build/examples/dropbear in the project, or $KITSUNE_EXAMPLES_DIR/dropbear) gets a folder for each version; the server is
# VERSION/dropbear. A second call builds only what changed. $KCC and $KITSUNE_XFGEN name other tools than the project's.
# Exit status: 0 built, 75 source or libraries can't be had here (the last line on stderr says why), anything else: a failure.
. "$(dirname "$0")/../building.sh" dropbear "$@"

echo '#include <tomcrypt.h>' | ${KCC_CC-cc} -DUSE_LTM -DLTM_DESC -E - >/dev/null 2>&1 ||
  unavailable "libtomcrypt is missing (Debian: libtomcrypt-dev libtommath-dev)"
"$here/../get-source.sh" --unpatched dropbear "$work/source"
case $(packageVersion) in
  2022.83-*) [ -e "$series/CVE-2023-48795.patch" ] || unavailable "the source package has no CVE-2023-48795.patch" ;;
  *) unavailable "this distribution has $(packageVersion), the example is about 2022.83 (Debian 12)" ;;
esac

# The files to apply for a version, in order.
patchesOf() { # WHICH
  [ "$1" = - ] || patchesOfSeries
  echo "$here/kitsune.patch"
}

# The libraries of the system; no records of logins in the system's files, as this is an example.
options=(--disable-bundled-libtom --disable-zlib --disable-pam --disable-lastlog --disable-utmp --disable-utmpx --disable-wtmp
         --disable-wtmpx --disable-loginfunc --disable-pututline --disable-pututxline)
# A tree is made anew when one of its patches changes, its objects when the compiler does, the server when the runtime does.
versions | while read -r version which what; do
  tree=$work/$version
  files=$(patchesOf "$which")
  stamp=$(cat $files "$here/build.sh" | sha256sum)
  if differs "$tree/.patches" "$stamp"; then
    unpack "$tree" $files
    # Children are forked from the running version. By default they would be started from the file that the first version came from.
    echo '#define DROPBEAR_REEXEC 0' > "$tree/localoptions.h"
    (cd "$tree" && ./configure CC="$kcc" CFLAGS='-O2 -g' "${options[@]}" >configure.log 2>&1) ||
      { tail -n 5 "$tree/configure.log" >&2; exit 1; }
    remember "$tree/.patches" "$stamp"
  fi
  if differs "$tree/.compiler" "$compiler"; then
    make -s -C "$tree" clean >/dev/null 2>&1
    remember "$tree/.compiler" "$compiler"
  fi
  linkAgain "$tree" dropbear
  echo "dropbear $version: $what"
  make -s -C "$tree" -j"$(nproc)" PROGRAMS=dropbear >"$tree/build.log" 2>&1 || { tail -n 20 "$tree/build.log" >&2; exit 1; }
done

# The client and the tool that makes keys are ordinary programs of the last version.
client=$work/client
if [ ! -x "$client/dbclient" ]; then
  unpack "$client" "$series/CVE-2023-48795.patch"
  (cd "$client" && ./configure "${options[@]}" >configure.log 2>&1 &&
    make -s -j"$(nproc)" PROGRAMS='dbclient dropbearkey' >build.log 2>&1) || { tail -n 20 "$client/build.log" >&2; exit 1; }
fi

makeTransformers dropbear
