#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# What others see of our sockets: the kernel's diagnosis (ss) names version, suite and software
# encryption both ways, its counters count the sessions and find nothing that did not decrypt.
# SLUICE is the program (default /build/tools/sluice).
# shellcheck disable=SC2317 # the functions are called by ktap_test
set -u
# shellcheck source=tests/kselftest/ktap.sh
. "$(dirname "$0")/ktap.sh"
SLUICE=${SLUICE:-/build/tools/sluice}

work=$(mktemp -d)
server=
client=
finish() {
  [ -z "$client" ] || kill "$client" 2>/dev/null
  [ -z "$server" ] || kill "$server" 2>/dev/null
  wait 2>/dev/null
  rm -rf "$work"
}
trap finish EXIT

if ! grep -qw tls /proc/sys/net/ipv4/tcp_available_ulp 2>/dev/null; then
  ktap_plan 1
  ktap_skip "sockets of kernel TLS" "this kernel has no TLS"
  ktap_end
fi

stat_of() {
  awk -v name="$1" '$1 == name { print $2 }' /proc/net/tls_stat
}

start_server() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -addext subjectAltName=DNS:localhost -keyout "$work/key" -out "$work/cert" 2>"$work/openssl" ||
    { cat "$work/openssl"; return 1; }
  "$SLUICE" serve --listen 127.0.0.1:0 --mode echo --cert "$work/cert" --key "$work/key" \
    >"$work/log" 2>&1 &
  server=$!
  for _ in $(seq 100); do
    port=$(sed -n 's/^listening on .*:\([0-9]*\)$/\1/p' "$work/log")
    [ -z "$port" ] || return 0
    sleep 0.1
  done
  cat "$work/log"
  return 1
}

# connected VERSION SUITE: opens a connection that stays open until its input ends.
connected() {
  mkfifo "$work/input" 2>/dev/null || true
  "$SLUICE" connect "localhost:$port" --cacert "$work/cert" "$1" ${2:+-o "ciphers=$2"} \
    <"$work/input" >"$work/output" 2>&1 &
  client=$!
  exec 3>"$work/input"
  echo hello >&3
  for _ in $(seq 100); do
    grep -q '^hello' "$work/output" && return 0
    sleep 0.1
  done
  cat "$work/output"
  return 1
}

closed() {
  exec 3>&-
  wait "$client"
  local status=$?
  client=
  return "$status"
}

# diagnosed VERSION CIPHER: both ends, by what ss says of them.
diagnosed() {
  ss -tnie state established "( sport = :$port or dport = :$port )" >"$work/ss"
  local seen
  seen=$(grep -c "tcp-ulp-tls version: $1 ${2:+cipher: $2 }rxconf: sw txconf: sw" "$work/ss")
  [ "$seen" -eq 2 ] || { cat "$work/ss"; return 1; }
}

one() { # VERSION'S OPTION, NAME IN SS, SUITE, CIPHER IN SS
  connected "$1" "$3" && diagnosed "$2" "$4" && closed
}

counted() {
  local tx rx
  tx=$(stat_of TlsTxSw)
  rx=$(stat_of TlsRxSw)
  connected --tls1.3 '' || return 1
  # Both ends have kept keys; `connect` has probed the kernel as well.
  echo "TlsTxSw $tx -> $(stat_of TlsTxSw), TlsRxSw $rx -> $(stat_of TlsRxSw)"
  [ "$(stat_of TlsTxSw)" -ge $((tx + 2)) ] && [ "$(stat_of TlsRxSw)" -ge $((rx + 2)) ] &&
    [ "$(stat_of TlsCurrTxSw)" -eq 2 ] && [ "$(stat_of TlsCurrRxSw)" -eq 2 ] && closed
}

all_decrypted() {
  [ "$(stat_of TlsDecryptError)" = "$errors" ] || { cat /proc/net/tls_stat; return 1; }
}

errors=$(stat_of TlsDecryptError)
start_server || { ktap_plan 1; ktap_test "the server starts" false; ktap_end; }
# test: IN-14 ss shows TLS 1.3 with AES-GCM-128 both ways
# test: IN-14 ss shows TLS 1.2 with AES-GCM-128 both ways
# test: IN-14 ss shows TLS 1.2 with AES-GCM-256 both ways
# test: IN-14 ss shows TLS 1.2 with ChaCha20-Poly1305 both ways
# test: IN-14 the kernel counts the sessions
# test: IN-14 every record has decrypted
ktap_plan 6
ktap_test "IN-14 ss shows TLS 1.3 with AES-GCM-128 both ways" \
  one --tls1.3 1.3 '' aes-gcm-128
ktap_test "IN-14 ss shows TLS 1.2 with AES-GCM-128 both ways" \
  one --tls1.2 1.2 ECDHE-ECDSA-AES128-GCM-SHA256 aes-gcm-128
ktap_test "IN-14 ss shows TLS 1.2 with AES-GCM-256 both ways" \
  one --tls1.2 1.2 ECDHE-ECDSA-AES256-GCM-SHA384 aes-gcm-256
ktap_test "IN-14 ss shows TLS 1.2 with ChaCha20-Poly1305 both ways" \
  one --tls1.2 1.2 ECDHE-ECDSA-CHACHA20-POLY1305 '' # ss has no name for it
ktap_test "IN-14 the kernel counts the sessions" counted
ktap_test "IN-14 every record has decrypted" all_decrypted
ktap_end
