# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# Common ground of the scripts that test sluiced, over that of the interop scripts: certificates of all
# kinds, a daemon, its workers, its processes. Sourced, never run.
# Environment: SLUICE, SLUICED, PEERS: the programs, and the directory of the peers.

# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/../interop/lib.sh"

build=$(dirname "$SLUICE")/..
SLUICED=${SLUICED:-$build/daemon/sluiced}
PEERS=${PEERS:-$build/tests/peers}
workers=()

# sign NAME "SAN,..." -newkey's arguments: a certificate of our CA.
sign() {
  local name=$1 names=$2
  shift 2
  openssl req -newkey "$@" -nodes -subj "/CN=$name" -keyout "$work/$name.key" -out "$work/$name.csr"
  openssl x509 -req -in "$work/$name.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
    -set_serial "0x$(openssl rand -hex 8)" -days 2 -out "$work/$name.pem" \
    -extfile <(printf 'subjectAltName=%s\n' "$names")
}

sign_all() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj "/CN=daemon CA" -keyout "$work/ca.key" -out "$work/ca.pem"
  sign ec DNS:localhost,IP:127.0.0.1 ec -pkeyopt ec_paramgen_curve:P-256
  sign rsa DNS:rsa.test rsa:2048
  sign ed DNS:ed.test ed25519
  sign p384 DNS:p384.test ec -pkeyopt ec_paramgen_curve:P-384
  sign wild 'DNS:*.wild.test' ec -pkeyopt ec_paramgen_curve:P-256
  sign mtls DNS:mtls.test ec -pkeyopt ec_paramgen_curve:P-256
  sign client DNS:client.test ec -pkeyopt ec_paramgen_curve:P-256
  sign new DNS:localhost ec -pkeyopt ec_paramgen_curve:P-256
  # A client's certificate of another CA.
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj "/CN=nobody's" -keyout "$work/alien.key" -out "$work/alien.pem"
}

prepare_daemon() {
  sign_all >"$work/certificates.log" 2>&1 || {
    cat "$work/certificates.log" >&2
    exit 1
  }
  chmod 711 "$work" # of sockets that another user may connect to
}

# await SECONDS COMMAND...: until it succeeds
await() {
  local i limit=$(($1 * 20))
  shift
  for ((i = 0; i < limit; i++)); do
    "$@" && return 0
    sleep 0.05
  done
  return 1
}

# counter NAME: of the kernel TLS, 0 without
counter() {
  awk -v name="$1" '$1 == name { n = $2 } END { print n + 0 }' /proc/net/tls_stat 2>/dev/null || echo 0
}

log_has() {
  grep -q -- "$1" "$work/sluiced.log"
}

# start_daemon: sluiced with the configuration $work/sluiced.conf, and until it accepts.
start_daemon() {
  [ ! -e "$work/sluiced.log" ] || mv "$work/sluiced.log" "$work/sluiced.log.$daemon"
  "$SLUICED" --config "$work/sluiced.conf" >"$work/sluiced.log" 2>&1 &
  daemon=$!
  pids+=("$daemon")
  await 20 log_has ': serving: ' || {
    say "sluiced does not serve: $(tail -n 5 "$work/sluiced.log")"
    return 1
  }
}

# start_worker POOL answer|echo|hold NAME: its pid is $worker.
start_worker() {
  "$PEERS/worker" "$work/$1.sock" "$2" "$3" >"$work/worker-$3.out" 2>"$work/worker-$3.err" &
  worker=$!
  pids+=("$worker")
  await 10 grep -qs attached "$work/worker-$3.out" || {
    say "worker $3: $(cat "$work/worker-$3.err")"
    return 1
  }
}

# children NAME: pids of the daemon's processes of that name.
children() {
  local file
  grep -lsE "^PPid:[[:space:]]+$daemon\$" /proc/[0-9]*/status | while read -r file; do
    if [ "$(tr '\0' ' ' <"${file%status}cmdline" 2>/dev/null)" = "$1 " ]; then
      file=${file#/proc/}
      echo "${file%/status}"
    fi
  done
}

keeper() {
  children sluice-keeper
}

handshakers() {
  children sluice-handshaker
}

count_files() {
  find "/proc/$1/fd" -mindepth 1 2>/dev/null | wc -l
}

resident() { # kB
  awk '/^VmRSS:/ { print $2 }' "/proc/$1/status"
}

# ask HOST OPENSSL-OPTION...: says a line to $port as a client that checks names; prints the answer's
# last line.
ask() {
  local host=$1
  shift
  echo hello 2>/dev/null |
    timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername "$host" \
      -CAfile "$work/ca.pem" -verify_return_error -verify_hostname "$host" -quiet "$@" \
      2>"$work/ask.err" | tail -n 1
}

# answers PATTERN COMMAND...: what it prints has the pattern.
answers() {
  local pattern=$1 out
  shift
  out=$("$@") || true
  # shellcheck disable=SC2053 # a pattern is meant
  [[ $out == $pattern ]] && return 0
  say "$*: no '$pattern' in '$out'; $(tail -n 2 "$work/ask.err" 2>/dev/null | tr '\n' ' ')"
  say "$(tail -n 2 "$work/sluiced.log")"
  return 1
}
