# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
#
# Common ground of the benchmarks, over that of the interop scripts. Sourced, never run.
# It wants: $seconds and $clients_n of a load.

# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/../interop/lib.sh"

# usage PID...: ticks of processor time and voluntary and other context switches, all together.
usage() {
  local pid
  for pid; do
    awk '{ print $14 + $15 }' "/proc/$pid/stat"
    awk '/ctxt_switches/ { n += $2 } END { print n }' "/proc/$pid/status"
  done | paste - - | awk '{ t += $1; c += $2 } END { print t, c }'
}

# times PID...: name and ticks of processor time in the program and in the kernel, of each.
times() {
  local pid
  for pid; do
    echo "$(cat "/proc/$pid/comm") $(sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f12,13)"
  done
}

# load PORT: how many handshakes a client of several processes made.
load() {
  local i pid total=0 clients=()
  for ((i = 1; i <= clients_n; i++)); do
    openssl s_time -connect "127.0.0.1:$1" -new -time "$seconds" -tls1_3 >"$work/s_time.$i" 2>&1 &
    clients+=("$!")
  done
  for pid in "${clients[@]}"; do wait "$pid" || true; done
  for ((i = 1; i <= clients_n; i++)); do
    total=$((total + $(sed -n 's/^\([0-9]*\) connections in [0-9]* real seconds.*/\1/p' "$work/s_time.$i")))
  done
  echo "$total"
}

# round NAME PORT PID...: a line "handshakes per second of processor time, context switches each", and one of what each
# process had of it.
round() {
  local name=$1 before after n then
  shift
  local port=$1
  shift
  then=$(times "$@")
  read -r -a before <<<"$(usage "$@")"
  n=$(load "$port")
  sleep 0.2
  read -r -a after <<<"$(usage "$@")"
  awk -v n="$n" -v t="$((after[0] - before[0]))" -v c="$((after[1] - before[1]))" \
    'BEGIN { printf "%.0f %.2f\n", n * 100 / t, c / n }' >>"$work/$name"
  paste -d' ' <(echo "$then") <(times "$@") | awk -v n="$n" 'BEGIN { printf "%d", n }
    { printf " %s %d %d", $1, $5 - $2, $6 - $3 } END { print "" }' >>"$work/$name.shares"
}

median() { # FILE COLUMN
  awk -v c="$2" '{ print $c }' "$1" | sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'
}
