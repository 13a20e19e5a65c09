# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# Common ground of the interop scripts: certificates, data, our server, exchanges that are held
# open until everything has arrived, KTAP. Sourced, never run. Everything listens on loopback, on
# ports that the kernel or a search has found free, and is gone when the script ends.

# The program under test.
SLUICE=${SLUICE:-$(command -v sluice || true)}
[ -x "$SLUICE" ] || {
  echo "interop: no sluice: build it, and give its path in \$SLUICE" >&2
  exit 1
}
SIZE=${SLUICE_INTEROP_SIZE:-10485760} # bytes each way
LIMIT=30                              # seconds for one connection

# Whose a pool of sluiced's is that sluice-relay serves: root's runs as another.
relay_user=nobody
[ "$(id -u)" = 0 ] || relay_user=$(id -un)

work=$(mktemp -d)
pids=()
# The number of a process that has ended may be another's by now, of another test.
is_child() {
  grep -qs "^PPid:[[:space:]]*$$\$" "/proc/$1/status"
}
cleanup() {
  local pid
  for pid in "${pids[@]}"; do ! is_child "$pid" || kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# --- KTAP

ktap_number=0
ktap_failed=0

ktap_plan() {
  echo "KTAP version 1"
  echo "1..$1"
}

# attempt NAME COMMAND...: one test; it fails when the command does.
attempt() {
  local name=$1
  shift
  ktap_number=$((ktap_number + 1))
  if "$@"; then
    echo "ok $ktap_number $name"
  else
    echo "not ok $ktap_number $name"
    ktap_failed=1
  fi
}

skip() {
  ktap_number=$((ktap_number + 1))
  echo "ok $ktap_number $1 # SKIP $2"
}

# say TEXT...: why a test fails, or what it found.
say() {
  echo "# $*"
}

# --- what is served and with what

make_certificate() { # NAME, -newkey's arguments
  local name=$1
  shift
  openssl req -newkey "$@" -nodes -subj "/CN=localhost" -keyout "$work/$name.key" \
    -out "$work/$name.csr"
  openssl x509 -req -in "$work/$name.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
    -set_serial "0x$(openssl rand -hex 8)" -days 2 -out "$work/$name.pem" \
    -extfile <(printf 'subjectAltName=DNS:localhost,IP:127.0.0.1\n')
}

# gnutls-cli writes what it receives byte for byte, gnutls-serv in pieces of 128: neither buffers its
# output, and 10 MB are millions of system calls. With this preloaded they write by lines and more.
make_line_buffer() {
  cc -shared -fPIC -o "$work/lines.so" -x c - <<-'END'
	#include <stdio.h>

	void setbuf(FILE *stream, char *buf)
	{
		setvbuf(stream, buf, stream == stdout ? _IOLBF : _IONBF, BUFSIZ);
	}

	__attribute__((constructor)) static void buffer_errors(void)
	{
		setvbuf(stderr, NULL, _IOFBF, BUFSIZ);
	}
	END
}

make_certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj "/CN=interop CA" -keyout "$work/ca.key" -out "$work/ca.pem"
  make_certificate ec ec -pkeyopt ec_paramgen_curve:P-256
  make_certificate rsa rsa:2048
}

prepare() {
  make_certificates >"$work/certificates.log" 2>&1 || {
    cat "$work/certificates.log" >&2
    exit 1
  }
  mkdir "$work/www"
  head -c "$SIZE" /dev/urandom >"$work/www/data"
  # Lines, for the peers whose echo is one of lines.
  head -c "$((SIZE * 3 / 4))" "$work/www/data" | base64 -w 999 >"$work/www/text"
  make_line_buffer
  "$SLUICE" probe >"$work/probe"
}

# --- suites

# IANA name, version, certificate, OpenSSL's name, GnuTLS's priorities.
suites() {
  cat <<-'END'
	TLS_AES_128_GCM_SHA256 1.3 ec TLS_AES_128_GCM_SHA256 +AES-128-GCM
	TLS_AES_256_GCM_SHA384 1.3 ec TLS_AES_256_GCM_SHA384 +AES-256-GCM
	TLS_CHACHA20_POLY1305_SHA256 1.3 ec TLS_CHACHA20_POLY1305_SHA256 +CHACHA20-POLY1305
	TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256 1.2 ec ECDHE-ECDSA-AES128-GCM-SHA256 +AES-128-GCM:+ECDHE-ECDSA
	TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 1.2 ec ECDHE-ECDSA-AES256-GCM-SHA384 +AES-256-GCM:+ECDHE-ECDSA
	TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256 1.2 ec ECDHE-ECDSA-CHACHA20-POLY1305 +CHACHA20-POLY1305:+ECDHE-ECDSA
	TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256 1.2 rsa ECDHE-RSA-AES128-GCM-SHA256 +AES-128-GCM:+ECDHE-RSA
	TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384 1.2 rsa ECDHE-RSA-AES256-GCM-SHA384 +AES-256-GCM:+ECDHE-RSA
	TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256 1.2 rsa ECDHE-RSA-CHACHA20-POLY1305 +CHACHA20-POLY1305:+ECDHE-RSA
	TLS_RSA_WITH_AES_128_GCM_SHA256 1.2 rsa AES128-GCM-SHA256 +AES-128-GCM:+RSA
	TLS_RSA_WITH_AES_256_GCM_SHA384 1.2 rsa AES256-GCM-SHA384 +AES-256-GCM:+RSA
	END
}

openssl_suite() { # version, OpenSSL's name
  if [ "$1" = 1.3 ]; then echo "-tls1_3 -ciphersuites $2"; else echo "-tls1_2 -cipher $2"; fi
}

curl_suite() {
  if [ "$1" = 1.3 ]; then
    echo "--tlsv1.3 --tls13-ciphers $2"
  else
    echo "--tlsv1.2 --tls-max 1.2 --ciphers $2"
  fi
}

gnutls_suite() { # version, priorities
  local kx=
  case "$2" in *:*) kx=:-KX-ALL ;; esac
  echo "NORMAL:-VERS-ALL:+VERS-TLS$1:-CIPHER-ALL$kx:$2"
}

# path_of SUITE MODE: "kernel" or "user", who must encrypt under record path MODE.
path_of() {
  if [ "$2" = auto ] && awk -v s="$1" '$1 == s && $2 == "yes" && $3 == "yes" { found = 1 }
      END { exit !found }' "$work/probe"; then
    echo kernel
  else
    echo user
  fi
}

# What is tried: the best there is and, where that is the user path already, nothing else. A guest
# leaves the user path to the machine around it.
modes=(auto)

# --- servers

# serve NAME OPTION...: our server; its port is in $port, its log in $work/NAME.log.
serve() {
  local name=$1 i
  shift
  : >"$work/$name.log"
  "$SLUICE" serve --listen 127.0.0.1:0 --json-log "$@" >"$work/$name.log" 2>"$work/$name.err" &
  server=$!
  pids+=("$server")
  for ((i = 0; i < 200; i++)); do
    port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/$name.log")
    [ -z "$port" ] || return 0
    kill -0 "$server" 2>/dev/null || break
    sleep 0.05
  done
  say "sluice serve $*: does not listen: $(cat "$work/$name.err")"
  return 1
}

# stop PID
stop() {
  local pid left=()
  ! is_child "$1" || kill "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
  for pid in "${pids[@]}"; do [ "$pid" = "$1" ] || left+=("$pid"); done
  pids=("${left[@]}")
}

# last_connection NAME COUNT: the log's line of connection COUNT, once it is there.
last_connection() {
  local i
  for ((i = 0; i < 100; i++)); do
    if [ "$(grep -c '^{' "$work/$1.log")" -ge "$2" ]; then
      grep '^{' "$work/$1.log" | sed -n "$2p"
      return 0
    fi
    sleep 0.03
  done
  echo "(no line $2 in the log)"
}

# is_listening PORT: looks without connecting; some servers take one connection only.
is_listening() {
  local files=(/proc/net/tcp)
  [ ! -e /proc/net/tcp6 ] || files+=(/proc/net/tcp6)
  grep -qE "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$1") [0-9A-F:]+ 0A " "${files[@]}"
}

# free_port: a port on which nobody listens now.
free_port() {
  local candidate=$((20000 + RANDOM % 12000))
  while is_listening "$candidate"; do candidate=$((candidate + 1)); done
  echo "$candidate"
}

# await_listen PORT PID
await_listen() {
  local i
  for ((i = 0; i < 300; i++)); do
    if is_listening "$1"; then return 0; fi
    kill -0 "$2" 2>/dev/null || break
    sleep 0.02
  done
  say "nobody listens on port $1"
  return 1
}

# --- exchanges

# await_size FILE SIZE PID: until FILE has so many bytes, or PID is gone.
await_size() {
  local i size
  for ((i = 0; i < LIMIT * 50; i++)); do
    size=$(stat -c %s "$1" 2>/dev/null || echo 0)
    [ "$size" -lt "$2" ] || return 0
    kill -0 "$3" 2>/dev/null || return 1
    sleep 0.02
  done
  return 1
}

# held IN OUT SIZE COMMAND...: gives COMMAND the bytes of IN and keeps its input open until OUT
# holds SIZE bytes. Clients that end with their input would otherwise cut the answer off. Returns
# and tells COMMAND's exit status.
held() {
  local in=$1 out=$2 size=$3 fd pid
  shift 3
  : >"$out"
  exec {fd}> >(exec timeout "$LIMIT" "$@" >"$out" 2>"$out.err")
  pid=$!
  # shellcheck disable=SC2261 # two descriptors
  cat "$in" >&"$fd" 2>/dev/null || true
  await_size "$out" "$size" "$pid" || true
  exec {fd}>&-
  wait "$pid" 2>/dev/null || {
    local status=$?
    say "$1 ends with status $status: $(tail -n 2 "$out.err" | tr '\n' ' ')"
    return "$status"
  }
}

# same FILE FILE WHAT: whether they are equal, with the reason on failure.
same() {
  if cmp -s "$1" "$2"; then return 0; fi
  say "$3: $(stat -c %s "$2") bytes came back of $(stat -c %s "$1"), or others;" \
    "$(tail -n 2 "$2.err" 2>/dev/null | tr '\n' ' ')"
  return 1
}

# for_each VERSIONS FUNCTION ARGUMENT...: with each record path and version besides
for_each() {
  local mode version versions=$1 result=0
  shift
  for mode in "${modes[@]}"; do
    for version in $versions; do
      "$@" "$version" "$mode" || {
        say "... with TLS $version, record path $mode"
        result=1
      }
    done
  done
  return "$result"
}
