# What the build.sh of the examples share; sourced by them, with the example's name as $1 and the caller's folder as $2 (or none).
#
# Sets $here (the example), $root (the project), $work (where it is built), $kcc, $xfgen, and $compiler and $runtime (what objects and executables
# depend on besides their sources).
set -eu
name=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
work=${2-${KITSUNE_EXAMPLES_DIR-$root/build/examples}/$name}
kcc=${KCC-$root/bin/kcc}
xfgen=${KITSUNE_XFGEN-$root/bin/kitsune-xfgen}
mkdir -p "$work"
work=$(cd "$work" && pwd)
series=$work/source/debian/patches
compiler=$(cd "$root" && find lib/cli lib/frontend lib/model lib/rewrite lib/support lib/wrapper runtime/include -type f -print0 | sort -z | xargs -0 cat "$kcc" | sha256sum)
runtime=$(cat "$root/build/lib/libkitsune.a" 2>/dev/null | sha256sum)

unavailable() { # WHY
  echo "$name: $1" >&2
  exit 75
}

# The version of the source package.
packageVersion() { sed -n '1s/.*(\(.*\)).*/\1/p' "$work/source/debian/changelog"; }

# The distribution's patches, in their order.
patchesOfSeries() { sed -e 's/[[:space:]]*#.*//' -e '/^$/d' -e "s#^#$series/#" "$series/series"; }

# Those up to one.
patchesUpTo() { # LAST
  local patch
  for patch in $(patchesOfSeries); do
    echo "$patch"
    [ "$patch" != "$series/$1" ] || break
  done
}

# The files to apply, in order, for a version with the series up to a patch; `ours` is the version before it with a patch more.
patchesUpToOrOurs() { # LAST BEFORE
  local last=$1
  [ "$last" != ours ] || last=$2
  patchesUpTo "$last"
  echo "$here/kitsune.patch"
  [ "$1" != ours ] || echo "$here/ours.patch"
}

# The example's versions, a line for each: name, last patch (or another word that build.sh knows), what it is.
versions() { sed -e '/^#/d' -e '/^$/d' "$here/versions"; }

# Every last patch but the words given has to be there.
needPatches() { # WORD...
  local version last
  versions | while read -r version last _; do
    case " $* " in
      *" $last "*) ;;
      *) [ -e "$series/$last" ] || unavailable "the distribution's source package has no $last (needed for $version)" ;;
    esac
  done
}

# A tree of the source with patches; some of them are about the package's own files.
unpack() { # TREE PATCH...
  local tree=$1 patch
  shift
  rm -rf "$tree"
  mkdir -p "$tree"
  tar cf - -C "$work/source" --exclude ./debian . | tar xf - -C "$tree"
  for patch in "$@"; do
    patch -d "$tree" -p1 -s --no-backup-if-mismatch < "$patch"
  done
}

# Whether a file that tells what something was made of says otherwise, and telling it.
differs() { # FILE STAMP
  [ "$(cat "$1" 2>/dev/null)" != "$2" ]
}
remember() { # FILE STAMP
  echo "$2" > "$1"
}

# Has the executable of a tree linked again when the runtime is another.
linkAgain() { # TREE EXECUTABLE
  if differs "$1/.runtime" "$runtime"; then
    rm -f "$1/$2"
    remember "$1/.runtime" "$runtime"
  fi
}

# The transformer libraries, NEW.kitsune/OLD-BUILD-ID.so beside each new version: one for each .xf that is named after its pair.
makeTransformers() { # EXECUTABLE-IN-ITS-TREE [SHARED-RULES...]
  local executable=$1 rules pair from to stamp file stale
  shift
  for rules in "$here"/*--*.xf; do
    [ -e "$rules" ] || continue
    pair=$(basename "$rules" .xf)
    from=$work/${pair%%--*}/$executable to=$work/${pair##*--}/$executable stamp=$work/$pair.stamp stale=
    for file in "$rules" "$from" "$to" "$@"; do
      [ "$stamp" -nt "$file" ] || stale=yes
    done
    [ -n "$stale" ] || continue
    echo "$name ${pair%%--*} -> ${pair##*--}: transformers by $(basename "$rules")"
    "$xfgen" --shared "$from" "$to" "$rules"
    touch "$stamp"
  done
}
