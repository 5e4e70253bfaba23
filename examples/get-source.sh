#!/usr/bin/env bash
# Gets the source of a program from the distribution's source packages.
#
#   get-source.sh [--unpatched] PACKAGE[=VERSION] FOLDER
#
# FOLDER becomes the unpacked source, with the distribution's patches applied (--unpatched: upstream's, with debian/patches beside).
# Uses the package sources this machine is set up with, through a private list that also asks for sources; nothing
# of the machine's own set-up is changed. A file FOLDER/.complete marks success, so that a second call returns at once.
# Exit status: 0 there, 1 usage, 75 it can't be had here (the last line on stderr says why).
set -u
mode=
if [ "${1-}" = --unpatched ]; then mode=--skip-patches; shift; fi
if [ $# -ne 2 ]; then sed -n '2,9s/^# \{0,1\}//p' "$0" >&2; exit 1; fi
package=$1 folder=$2
[ -e "$folder/.complete" ] && exit 0
fail() { echo "$package: $1" >&2; exit 75; }
command -v apt-get >/dev/null || fail "this system has no apt-get"
command -v dpkg-source >/dev/null || fail "dpkg-source is missing (package dpkg-dev)"
work=$(mktemp -d) || fail "no temporary folder"
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$work/sources.d" "$work/src"
for list in /etc/apt/sources.list.d/*.sources; do
  [ -e "$list" ] && sed 's/^Types:.*/Types: deb-src/' "$list" > "$work/sources.d/$(basename "$list")"
done
for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list; do
  [ -e "$list" ] && sed -n 's/^deb /deb-src /p' "$list" > "$work/sources.d/$(basename "$list")"
done
options=(-o "Dir::Etc::sourcelist=/dev/null" -o "Dir::Etc::sourceparts=$work/sources.d" -o "Dir::State::lists=$work/lists"
         -o "Dir::Cache=$work/cache" -o "APT::Sandbox::User=root" -o "Acquire::Retries=3" -qq)
for attempt in 1 2 3; do
  if (cd "$work/src" && apt-get "${options[@]}" update && apt-get "${options[@]}" source --download-only "$package") >"$work/log" 2>&1; then
    got=yes; break
  fi
  sleep $((attempt * 2))
done
# The newest version may be listed before it is there: then one that is older.
if [ "${got-}" != yes ] && [ "${package#*=}" = "$package" ]; then
  for version in $(apt-cache "${options[@]}" showsrc --only-source "$package" 2>/dev/null | sed -n 's/^Version: //p' | sort -Vru); do
    if (cd "$work/src" && apt-get "${options[@]}" source --download-only "$package=$version") >"$work/log2" 2>&1; then
      got=yes; break
    fi
  done
fi
[ "${got-}" = yes ] || fail "the source package could not be downloaded: $(grep -m1 -E '^[EW]:' "$work/log" | sed 's#[a-z]*://[^ ]*##g')"
dsc=$(ls "$work/src"/*.dsc | head -n 1)
mkdir -p "$(dirname "$folder")"
rm -rf "$folder"
dpkg-source $mode --no-check -x "$dsc" "$folder" >"$work/log" 2>&1 || fail "the source package could not be unpacked: $(tail -n 1 "$work/log")"
touch "$folder/.complete"
