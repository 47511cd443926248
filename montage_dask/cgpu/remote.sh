# What calls do on a runtime. Sourced there: $D is our folder, $U the token of the frame to print.
# Run as a program, `remote.sh job FOLDER SECONDS` is a detached job.

# Every stream of base64 ends with three dots, see framing.py.
encode() { { "$@"; printf '...'; } | base64 -w 76; }
mark() { printf '\n@@%s:%s\n' "$U" "$1"; }
digest() { sha256sum | cut -c1-64; }
packed() { slice "$@" | gzip -1; }
# For what takes long and says nothing: a sign of life now and then. fd 3 is the frame's, see below.
busy() {
  (while sleep 3 >/dev/null 3>&-; do mark wait >&3; done) &
  local b=$! c
  "$@"
  c=$?
  kill "$b"
  return "$c"
}
slice() { dd if="$1" bs=1M iflag=skip_bytes,count_bytes skip="$2" count="$3" status=none; }

# -- the runtime itself ---------------------------------------------------------------------------------------------------
# $D/runtime is its marker: version and id. $D/ID-SUFFIX is sourced by every call: it fails on another machine, and after a restart.

set_up() { # wheel (unpacked beside it), library, boot id, suffix, version, id to propose, modules
  local sent=$1 lib=$D/lib/$2 boot=$3 suffix=$4 version=$5 id=$6 m e
  shift 6
  mkdir -p "$D/lib" "$D/site"
  [ -d "$lib" ] || mv -T "$sent.d" "$lib" || [ -d "$lib" ] || return 1
  rm -rf "$sent" "$sent.d"
  # Only if there is none: others may be at the same.
  (set -C; echo "$version $id" >"$D/runtime") 2>/dev/null
  m=$(head -n 1 "$D/runtime")
  [ -n "$m" ] || return 1
  export PYTHONPATH=$lib:$D/site
  look_for "$suffix" "$@" || return 1
  e=$D/${m##* }-$suffix
  {
    printf '[ "$(cat %q/runtime /proc/sys/kernel/random/boot_id 2>/dev/null)" = %q ] || return 1\n' \
      "$D" "$m"$'\n'"$boot"
    printf 'export D=%q PYTHON=%q PYTHONPATH=%q L=%q\n' \
      "$D" "$PYTHON" "$PYTHONPATH" "$lib/montage_dask/cgpu"
  } >"$e.$$"
  mv -f "$e.$$" "$e"
  # Jobs and transfers that nobody came back for.
  find "$D/jobs" "$D/parts" -mindepth 1 -maxdepth 1 -mtime +0 -exec rm -rf {} +
  echo "marker=$m"
  echo "modules=$(cat "$D/modules-$suffix")"
}

look_for() { # suffix, modules: which of them can be imported
  local suffix=$1
  shift
  "$PYTHON" -c 'import importlib.util as u, sys
print(*(m for m in sys.argv[1:] if u.find_spec(m)))' "$@" >"$D/modules-$suffix.$$" &&
    mv -f "$D/modules-$suffix.$$" "$D/modules-$suffix"
}

# -- files ----------------------------------------------------------------------------------------------------------------
# Chunks of a transfer stand beside each other: parts/ID.00000, parts/ID.00001, …

have() { # transfer, digest of the whole, target: which chunks are there
  [ -f "$3" ] && [ "$(digest <"$3")" = "$2" ] && mark there
  local f
  for f in "$D/parts/$1".[0-9]*; do
    [ -e "$f" ] && mark "part:${f##*.}:$(digest <"$f")"
  done
}

join() { # transfer, digest of the whole, number of chunks, gzip or cat, target
  local t n
  [ -f "$5" ] && [ "$(digest <"$5")" = "$2" ] && { rm -f "$D/parts/$1".[0-9]*; mark joined; return 0; }
  mkdir -p -- "$(dirname -- "$5")" || { mark unwritable; return 1; }
  [ -d "$5" ] && { mark unwritable; return 1; }
  t=$(dirname -- "$5")/.$1.$BASHPID.part
  n=$(ls "$D/parts/$1".[0-9]* | wc -l)
  if [ "$n" = "$3" ]; then
    if [ "$4" = gzip ]; then cat "$D/parts/$1".[0-9]* | busy gzip -dc; else busy cat "$D/parts/$1".[0-9]*; fi >"$t"
  elif [ "$3" = 0 ]; then : >"$t"; fi
  if [ "$(busy digest <"$t")" = "$2" ] && mv -fT -- "$t" "$5"; then
    rm -f "$D/parts/$1".[0-9]*
    mark joined
  else
    [ -d "$(dirname -- "$5")" ] && [ "$(df --output=avail -B1 "$D" | tail -1)" -lt 1048576 ] && mark full
    rm -f -- "$t"
    have "$1" "$2" "$5"
    return 1
  fi
}

send() { # file, bytes of a chunk, offset, digest of what is before the offset, most bytes to send
  local size n o=$3 packer=slice
  [ -f "$1" ] && [ -r "$1" ] || { mark missing; return 1; }
  size=$(stat -Lc %s -- "$1")
  mark "file:$size:$(busy digest <"$1")"
  [ "$o" = 0 ] || [ "$(head -c "$o" "$1" | busy digest)" = "$4" ] || o=0
  mark "from:$o"
  # Compression that does not pay is time lost on both sides.
  n=$(head -c 1048576 "$1" | gzip -1 | wc -c)
  [ $((n * 10)) -lt $(((size < 1048576 ? size : 1048576) * 9)) ] && packer=packed
  local e=$((o + $5))
  while [ "$o" -lt "$size" ] && [ "$o" -lt "$e" ]; do
    n=$((size - o < $2 ? size - o : $2))
    mark "chunk:$o:$n:$packer"
    encode $packer "$1" "$o" "$n"
    mark "sum:$(slice "$1" "$o" "$n" | digest)"
    o=$((o + n))
  done
  return 0
}

# -- jobs -----------------------------------------------------------------------------------------------------------------
# A job is a folder jobs/NAME with run.sh, log, pid (also its process group) and, at its end, rc. It works in work/.

state() { # folder: new, running, died, or what rc says
  local p
  if [ -s "$1/rc" ]; then read -r p <"$1/rc"; echo "$p"
  elif [ ! -s "$1/pid" ]; then echo new
  else
    read -r p <"$1/pid"
    if kill -0 -- "-$p"; then echo running
    # It may have ended between the two looks.
    elif [ -s "$1/rc" ]; then read -r p <"$1/rc"; echo "$p"
    else echo died; fi
  fi
}

settled() { case $(state "$1") in running | 0) return 0 ;; *) return 1 ;; esac; }

unpack() { # folder: its bundle
  rm -rf -- "$1/work" && mkdir "$1/work" && tar -xf "$1/bundle" -C "$1" && rm -f "$1/bundle"
}

start() { # folder, seconds, what makes it ready: unless it runs, or has succeeded
  local p i
  mkdir -p "$1"
  (
    # One at a time: whoever comes second finds it running.
    until flock -w 3 9; do mark wait; done
    settled "$1" && exit 0
    "${@:3}" 9>&- || exit 1
    rm -f "$1/rc" "$1/log" "$1/pid"
    : >"$1/log"
    setsid nohup bash "$L/remote.sh" job "$1" "$2" </dev/null >/dev/null 2>&1 3>&- 9>&- &
    p=$!
    echo "$p" >"$1/pid"
    # It has no group of its own yet; until then it looks dead.
    for i in {1..100}; do kill -0 -- "-$p" || [ -s "$1/rc" ] && break; sleep 0.02; done
  ) 9>>"$1/lock" || return 1
  mark started
}

await() { # folder, bytes of the log that are known, seconds
  local s n=$2 e=$((SECONDS + $3)) told=$SECONDS pause=0.05 st
  while :; do
    [ -d "$1" ] || { mark state:gone:gone; return 1; }
    st=$(state "$1") # before the log: when it has ended, the log is whole
    s=$(stat -c %s "$1/log" || echo 0)
    if [ "$s" -gt "$n" ]; then
      [ $((s - n)) -gt 65536 ] && n=$((s - 65536))
      mark "log:$n:$s"
      encode slice "$1/log" "$n" $((s - n))
      mark end-of-log
      n=$s told=$SECONDS
    fi
    [ "$st" = running ] && [ "$SECONDS" -lt "$e" ] || { mark "state:$st:$st"; return 0; }
    [ $((SECONDS - told)) -ge 3 ] && mark wait && told=$SECONDS
    sleep "$pause"
    case $pause in 0.05) pause=0.1 ;; 0.1) pause=0.2 ;; *) pause=0.5 ;; esac
  done
}

results() { # folder: one tar of what its list names, made once
  [ "$(state "$1")" = 0 ] || return 1
  [ -s "$1/results.tar" ] || {
    busy tar -C "$1/work" --null --verbatim-files-from -T "$1/results" -cf "$1/results.part" || { mark lacking; return 1; }
    mv -f "$1/results.part" "$1/results.tar"
  }
}

cancel() { # folders
  local j p
  for j; do
    [ -d "$j" ] || continue
    [ -s "$j/rc" ] || echo cancelled >"$j/rc"
    [ -s "$j/pid" ] && read -r p <"$j/pid" && kill -9 -- "-$p"
  done
  return 0
}

job() { # folder, seconds
  mkdir -p "$1/work" && cd "$1/work" || exit
  (
    sleep "$2"
    [ -s ../rc ] || echo timeout >../rc
    kill -9 -- "-$$"
  ) &
  bash ../run.sh </dev/null >../log 2>&1
  echo $? >../rc.part
  [ -s ../rc ] || mv ../rc.part ../rc
  # What it left behind, and the alarm clock.
  kill -9 -- "-$$"
}

if [ "$1" = job ]; then job "$2" "$3"; else exec 3>&1; fi
