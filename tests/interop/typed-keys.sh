#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# KeyUpdate with openssl s_client and s_server, which change their keys at the command k, and at K
# ask for ours too; ours change by themselves as well. Data go both ways under every key and are
# compared. What OpenSSL saw of KeyUpdates is in the file that it writes messages to.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=10
LINES=10000 # of a round: about 70,000 bytes
EVERY=30000 # bytes of ours under one key

# round NUMBER: its lines. They begin with a sign: the first byte that OpenSSL reads at once may be
# a command.
round() {
  seq -f '=%.0f' $(($1 * LINES + 1)) $((($1 + 1) * LINES))
}

# lines FILE: those of the rounds. OpenSSL writes notes of its own, also into the middle of a line.
lines() {
  sed -z 's/\(Read\|read R\|write W\|Write\) BLOCK\n//g' "$1" | grep '^='
}

# await_line FILE LINE; await_count FILE PATTERN COUNT
await_line() {
  local i
  for ((i = 0; i < LIMIT * 20; i++)); do
    [ "$(lines "$1" | tail -n 1)" != "$2" ] || return 0
    sleep 0.05
  done
  say "no line $2 in $(basename "$1"), the last is $(lines "$1" | tail -n 1)"
  return 1
}

await_count() {
  local i
  for ((i = 0; i < LIMIT * 20; i++)); do
    if [ "$(grep -c -- "$2" "$1")" -ge "$3" ]; then return 0; fi
    sleep 0.05
  done
  say "$(grep -c -- "$2" "$1") of $3 lines $2 in $(basename "$1")"
  return 1
}

# say_round NUMBER ARRIVED [FEED]: OpenSSL is given the lines of a round, which must arrive in the file
# ARRIVED. With FEED so is our client, and they must arrive at OpenSSL too.
say_round() {
  local last="=$((($1 + 1) * LINES))"
  round "$1" >"$work/typed"
  [ $# -eq 2 ] || round "$1" >"$3"
  await_line "$2" "$last" || return 1
  [ $# -eq 2 ] || await_line "$work/openssl" "$last"
}

# talk ARRIVED [FEED]: rounds with new keys between them.
talk() {
  local i
  for ((i = 0; i < ROUNDS; i++)); do
    say_round "$i" "$@" || return 1
    # Only the first byte of what it reads at once can be a command.
    echo k >"$work/typed"
    await_count "$work/messages" '^>>> .*KeyUpdate' $((2 * i + 1)) || return 1
    echo K >"$work/typed"
    await_count "$work/messages" '^>>> .*KeyUpdate' $((2 * i + 2)) || return 1
  done
  say_round "$i" "$@"
}

# all_lines FILE...: each has all of them, whatever else it has.
all_lines() {
  local file i
  for ((i = 0; i <= ROUNDS; i++)); do round "$i"; done >"$work/sent"
  for file; do
    lines "$file" | cmp -s - "$work/sent" && continue
    say "$(basename "$file") has not got what was sent"
    return 1
  done
}

# ours_seen: OpenSSL saw an answer to every K, and at least as many that our option made.
ours_seen() {
  local seen due=$((2 * ROUNDS))
  seen=$(grep -c '^<<< .*KeyUpdate' "$work/messages") || true
  [ "$seen" -ge "$due" ] && return
  say "OpenSSL saw $seen KeyUpdates of ours, not $due"
  return 1
}

new_fifos() {
  rm -f "$work"/{typed,feed}
  mkfifo "$work/typed" "$work/feed"
  : >"$work/openssl"
  : >"$work/messages"
  : >"$work/got"
}

client_types() { # mode
  local path=$1 client result=0
  serve "rekey-$path" --cert "$work/ec.pem" --key "$work/ec.key" --mode echo --record-path "$path" \
    --tickets 0 --key-update-every "$EVERY" || return 1
  new_fifos
  timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername localhost -tls1_3 \
    -CAfile "$work/ca.pem" -verify_return_error -msg -msgfile "$work/messages" 0<>"$work/typed" \
    >"$work/openssl" 2>"$work/openssl.err" &
  client=$!
  pids+=("$client")
  talk "$work/openssl" && echo Q >"$work/typed" && wait "$client" && all_lines "$work/openssl" &&
    ours_seen || result=1
  last_connection "rekey-$path" 1 >"$work/line"
  on_path "$work/line" "$path" || result=1
  grep -q "\"rx\":{[^}]*\"epoch\":$((2 * ROUNDS))[,}]" "$work/line" || {
    say "not $((2 * ROUNDS)) new keys of the client: $(cat "$work/line")"
    result=1
  }
  stop "$client"
  stop "$server"
  return "$result"
}

server_types() { # mode
  local listen server client fd result=0
  listen=$(free_port)
  new_fifos
  timeout "$LIMIT" openssl s_server -accept "$listen" -naccept 1 -tls1_3 -cert "$work/ec.pem" \
    -key "$work/ec.key" -msg -msgfile "$work/messages" 0<>"$work/typed" \
    >"$work/openssl" 2>"$work/openssl.err" &
  server=$!
  pids+=("$server")
  await_listen "$listen" "$server" || return 1
  timeout "$LIMIT" "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" --json \
    --record-path "$1" --key-update-every "$EVERY" <"$work/feed" >"$work/got" 2>"$work/got.err" &
  client=$!
  pids+=("$client")
  exec {fd}<>"$work/feed" # its input ends when this is closed
  talk "$work/got" "$work/feed" || result=1
  exec {fd}>&-
  # s_server ends when we do; its own Q would close without close_notify.
  wait "$client" || { say "$(tail -n 1 "$work/got.err")"; result=1; }
  wait "$server" || result=1
  [ "$result" -ne 0 ] || all_lines "$work/got" "$work/openssl" || result=1
  [ "$result" -ne 0 ] || ours_seen || result=1
  on_path "$work/got.err" "$1" || result=1
  stop "$client"
  stop "$server"
  return "$result"
}

# on_path FILE MODE
on_path() {
  local path
  path=$(path_of TLS_AES_256_GCM_SHA384 "$2")
  grep -q "\"tx\":{\"path\":\"$path\".*\"rx\":{\"path\":\"$path\"" "$1" && return
  say "not on the $path path: $(cat "$1")"
  return 1
}

# On a kernel that cannot change keys a connection must be on the user path for it.
if_rekeying() { # FUNCTION
  if [ "$(path_of TLS_AES_256_GCM_SHA384 auto)" = kernel ] &&
    [ "$(grep -c 'new keys when .* yes$' "$work/probe")" -lt 2 ]; then
    "$1" user
  else
    "$1" auto
  fi
}

prepare
ktap_plan 2
# test: openssl s_client and our server change keys in both directions
attempt "openssl s_client and our server change keys in both directions" if_rekeying client_types
# test: openssl s_server and our client change keys in both directions
attempt "openssl s_server and our client change keys in both directions" if_rekeying server_types
exit "$ktap_failed"
