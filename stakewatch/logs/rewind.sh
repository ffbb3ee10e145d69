#!/bin/sh
# Starts a log shipper (Promtail or Alloy) a little before where it stopped, so that a kill loses no line:
#
#   rewind.sh POSITIONS_FILE... [-- PROGRAM ARGUMENT...]
#
# Both note in their positions files how far they have read, not how far Loki has taken it. What lies between (a batch,
# and a line in each stage of the pipeline) is gone when they are killed, or stopped while Loki is away. Before PROGRAM is
# started, each position goes back by REWIND_BYTES: twice a batch of 256 KiB, since a runtime writes a time before each
# line. Loki drops what it has at hand already (same stream, same nanosecond, same line); what it has cut into a block of
# its chunk comes twice.
#
# So only files of a container runtime (CRI, or Docker's json-file) are read again: in others a line may have the time of
# its reading, and would come twice. A position goes back to where a line begins, never into a file that was made anew,
# and only once: a shipper that ends before it noted anything new does not go back further and further.
set -u
# Lengths are bytes.
LC_ALL=C
export LC_ALL
bytes=${REWIND_BYTES:-524288}
tab=$(printf '\t')

# Prints line, position and path of each file in a positions file, in all the ways in which the two write a path.
list='
function unquoted(text) {
  if (text ~ /^\047.*\047$/) { text = substr(text, 2, length(text) - 2); gsub(/\047\047/, "\047", text) }
  return text
}
/^  [?] path: / { path = unquoted(substr($0, 11)); next }
/^  [?] / { path = unquoted(substr($0, 5)); next }
/: "[0-9]+"$/ {
  position = $0
  sub(/^.*: "/, "", position)
  sub(/"$/, "", position)
  if ($0 !~ /^  : /) { path = substr($0, 3); sub(/: "[0-9]+"$/, "", path); path = unquoted(path) }
  if (path ~ /^\// && path !~ /\t/) print NR "\t" position "\t" path
  path = ""
}'

# Prints the offset of the first line that may be read again, in a piece of a file that begins at offset `from`.
begin='
BEGIN { offset = from; whole = fresh = from == 0 }
{
  cri = /^[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T[0-9:.]+(Z|[-+][0-9:]+) std(out|err) [FP]/
  docker = /^[{]"log":".*"time":"[0-9T:.-]+(Z|[-+][0-9:]+)"[}]$/
  if (whole && !cri && !docker) exit
  if (fresh) { printf "%.0f\n", offset; exit }
  # The parts of a line that the runtime cut stay together.
  fresh = whole && (docker || $3 ~ /^F/)
  whole = 1
  offset += length($0) + 1
}'

# Prints the new position of a file, or nothing where it stays.
moved() {
  [ -f "$2" ] && [ -r "$2" ] || return 0
  # Shorter than it was: another file of the same name, which is read from its beginning anyway.
  [ "$(wc -c <"$2")" -ge "$1" ] || return 0
  from=$(($1 > bytes ? $1 - bytes : 0))
  tail -c "+$((from + 1))" "$2" 2>/dev/null | head -c "$(($1 - from))" | tr '\000' ' ' | awk -v from="$from" "$begin"
}

rewind() {
  [ -s "$1" ] || return 0
  ! cmp -s "$1" "$1.rewound" || return 0
  awk "$list" "$1" >"$1.partial" || return 1
  moves=$(while IFS=$tab read -r line position path; do
    printf '%s %s\n' "$line" "$(moved "$position" "$path")"
  done <"$1.partial")
  printf '%s\n' "$moves" | awk '
    NR == FNR { moves[$1] = $2; next }
    moves[FNR] != "" { sub(/"[0-9]+"$/, "\"" moves[FNR] "\"") }
    { print }' - "$1" >"$1.partial" || return 1
  cp "$1.partial" "$1.rewound" && mv "$1.partial" "$1"
}

umask 077
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  # A shipper that starts where it stopped is better than none.
  rewind "$1" || echo "rewind.sh: $1 stays as it is, lines that were on their way may be lost" >&2
  shift
done
[ $# -eq 0 ] || shift
[ $# -eq 0 ] || exec "$@"
