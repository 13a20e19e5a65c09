#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The exit status of `sluice connect` with real servers: TCP, the peer's alert, the certificate, an
# end that is no end, and time are told apart, and the error has its name. Alerts and ends come on
# the record path there is.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

# ends STATUS PATTERN OPTION...: how our client must end with the server at $listen, and the words.
ends() {
  local wanted=$1 pattern=$2 status=0
  shift 2
  timeout "$LIMIT" "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" --json "$@" \
    </dev/null >"$work/out" 2>"$work/said" || status=$?
  if [ "$status" -eq "$wanted" ] && grep '^{"error"' "$work/said" | grep -q -- "$pattern"; then return 0; fi
  say "with $*: status $status instead of $wanted, or no '$pattern': $(tail -n 1 "$work/said")"
  return 1
}

# with_server COMMAND...: starts it; it listens at $listen, its words are in $work/server.out.
with_server() {
  "$@" </dev/null >"$work/server.out" 2>&1 &
  server=$!
  pids+=("$server")
  await_listen "$listen" "$server"
}

openssl_server() { # option...
  listen=$(free_port)
  with_server openssl s_server -accept "$listen" -www "$@"
}

gnutls_server() { # option...
  listen=$(free_port)
  with_server gnutls-serv --http -p "$listen" "$@"
}

tcp() {
  local listen
  listen=$(free_port)
  ends 2 '"name":"SLUICE_E_CONNECT".*"errno":"ECONNREFUSED"' &&
    ends 2 '"name":"SLUICE_E_CONNECT".*"errno":"ECONNREFUSED"' --starttls smtp
}

# The server ends the handshake, or what it thinks is one: with TLS 1.3 it finds a certificate
# missing when ours is over.
alerts() {
  local listen server version result=0
  local pair=(-cert "$work/ec.pem" -key "$work/ec.key")
  openssl_server "${pair[@]}" -tls1_2 || return 1
  ends 3 '"name":"SLUICE_E_ALERT".*"alert":"protocol_version"' --tls1.3 || result=1
  stop "$server"
  openssl_server "${pair[@]}" -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 || return 1
  ends 3 '"alert":"handshake_failure"' -o ciphers=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 || result=1
  stop "$server"
  for version in 1.2 1.3; do
    openssl_server "${pair[@]}" -Verify 1 "-tls${version/./_}" || return 1
    ends 3 '"alert":"\(handshake_failure\|certificate_required\)"' --get / || result=1
    stop "$server"
    gnutls_server --x509certfile "$work/ec.pem" --x509keyfile "$work/ec.key" \
      --require-client-cert --priority "NORMAL:-VERS-ALL:+VERS-TLS$version" || return 1
    ends 3 '"name":"SLUICE_E_ALERT"' --get / || result=1
    stop "$server"
  done
  return "$result"
}

# What is wrong with the certificate is named to us, and to the server by the alert that it logs.
certificates() {
  local listen server result=0
  local unknown_ca='"name":"SLUICE_E_VERIFY".*"alert":"unknown_ca".*"x509_error":20,'
  openssl_server -cert "$work/ec.pem" -key "$work/ec.key" || return 1
  ends 4 '"name":"SLUICE_E_HOSTNAME"' --servername example.org || result=1
  grep -q 'alert bad certificate' "$work/server.out" || { say "no bad_certificate sent"; result=1; }
  ends 4 "$unknown_ca" --cacert "$work/other.pem" || result=1
  grep -q 'alert unknown ca' "$work/server.out" || { say "no unknown_ca sent"; result=1; }
  stop "$server"
  openssl_server -cert "$work/old.pem" -key "$work/old.key" || return 1
  ends 4 '"name":"SLUICE_E_VERIFY".*"alert":"certificate_expired".*"x509_error":10,' || result=1
  grep -q 'alert certificate expired' "$work/server.out" || { say "no expired sent"; result=1; }
  stop "$server"
  gnutls_server --x509certfile "$work/ec.pem" --x509keyfile "$work/ec.key" || return 1
  ends 4 '"name":"SLUICE_E_HOSTNAME"' --servername example.org || result=1
  ends 4 "$unknown_ca" --cacert "$work/other.pem" || result=1
  stop "$server"
  return "$result"
}

# A server that is killed sends its FIN without close_notify.
truncation() {
  local listen server client status=0
  openssl_server -cert "$work/ec.pem" -key "$work/ec.key" || return 1
  "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" --keep-open </dev/null \
    >"$work/out" 2>"$work/said" &
  client=$!
  pids+=("$client")
  await_text "$work/said" "receiving by" "$client" || return 1
  kill -KILL "$server"
  wait "$client" 2>/dev/null || status=$? # bash would tell of the killed one
  stop "$server"
  stop "$client"
  [ "$status" -eq 5 ] && grep -q SLUICE_E_TRUNCATED "$work/said" && return
  say "status $status: $(tail -n 1 "$work/said")"
  return 1
}

# await_text FILE TEXT PID
await_text() {
  local i
  for ((i = 0; i < LIMIT * 50; i++)); do
    if grep -q -- "$2" "$1"; then return 0; fi
    kill -0 "$3" 2>/dev/null || break
    sleep 0.02
  done
  say "no '$2' in: $(tail -n 2 "$1" | tr '\n' ' ')"
  return 1
}

# A server that is stopped has its connections accepted by the kernel, and says nothing.
silence() {
  local listen server result=0
  openssl_server -cert "$work/ec.pem" -key "$work/ec.key" || return 1
  kill -STOP "$server"
  ends 6 '"name":"SLUICE_E_\(HANDSHAKE_\)\?TIMEOUT"' --timeout 300 || result=1
  ends 6 '"name":"SLUICE_E_TIMEOUT"' --timeout 300 --starttls smtp || result=1
  kill -CONT "$server"
  stop "$server"
  return "$result"
}

# Another CA, and a certificate that ends as it begins.
more_certificates() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 \
    -subj "/CN=another CA" -keyout "$work/other.key" -out "$work/other.pem"
  make_certificate old ec -pkeyopt ec_paramgen_curve:P-256
  openssl x509 -req -in "$work/old.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial 1 \
    -days 0 -out "$work/old.pem" -extfile <(echo subjectAltName=DNS:localhost)
  sleep 1.1 # it is good until this second is over
}

prepare
more_certificates >>"$work/certificates.log" 2>&1 || {
  cat "$work/certificates.log" >&2
  exit 1
}
ktap_plan 5
# test: no TCP connection ends our client with status 2
attempt "no TCP connection ends our client with status 2" tcp
# test: the alert of a server ends our client with status 3
attempt "the alert of a server ends our client with status 3" alerts
# test: the certificate of a server ends our client with status 4
attempt "the certificate of a server ends our client with status 4" certificates
# test: a server that is killed ends our client with status 5
attempt "a server that is killed ends our client with status 5" truncation
# test: a silent server ends our client with status 6
attempt "a silent server ends our client with status 6" silence
exit "$ktap_failed"
