#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Our client against the servers openssl s_server and gnutls-serv: both versions, every suite, the
# record path there is, 10 MB each way, compared byte by byte. s_server sends a file of its own while
# it gets ours; gnutls-serv sends ours back. The client's own words must name the suite and the path
# that were meant, and it must end in order.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

# exchange FILE PORT SUITE MODE: gives FILE to our client and waits for as many bytes, in $work/got.
exchange() {
  local path
  held "$1" "$work/got" "$(stat -c %s "$1")" "$SLUICE" connect "localhost:$2" \
    --cacert "$work/ca.pem" --record-path "$4" --json -o "ciphers=$3" || return 1
  path=$(path_of "$3" "$4")
  grep -q "\"suite\":\"$3\".*\"tx\":{\"path\":\"$path\".*\"rx\":{\"path\":\"$path\"" \
    "$work/got.err" || {
    say "not on the $path path: $(cat "$work/got.err")"
    return 1
  }
}

openssl_server() { # version, suite, OpenSSL's name, certificate, mode
  local listen words server feeder result=0
  listen=$(free_port)
  read -r -a words <<<"$(openssl_suite "$1" "$3")"
  rm -f "$work/feed"
  mkfifo "$work/feed"
  # Its input is a FIFO that it has open for writing too: so it never ends.
  timeout "$LIMIT" openssl s_server -accept "$listen" -naccept 1 -quiet -cert "$work/$4.pem" \
    -key "$work/$4.key" "${words[@]}" 0<>"$work/feed" >"$work/up" 2>"$work/up.err" &
  server=$!
  cat "$work/www/data" >"$work/feed" &
  feeder=$!
  pids+=("$server" "$feeder")
  await_listen "$listen" "$server" && exchange "$work/www/data" "$listen" "$2" "$5" || result=1
  # Our close_notify ends it, behind all that we have sent.
  [ "$result" -eq 0 ] || kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  stop "$feeder"
  stop "$server"
  [ "$result" -eq 0 ] || return 1
  same "$work/www/data" "$work/got" "from openssl s_server" || result=1
  same "$work/www/data" "$work/up" "to openssl s_server" || result=1
  return "$result"
}

gnutls_server() { # version, suite, GnuTLS's priorities, certificate, mode
  local listen server result=0
  listen=$(free_port)
  LD_PRELOAD="$work/lines.so" gnutls-serv -q --echo -p "$listen" --x509certfile "$work/$4.pem" \
    --x509keyfile "$work/$4.key" --priority "$(gnutls_suite "$1" "$3")" >/dev/null 2>&1 &
  server=$!
  pids+=("$server")
  await_listen "$listen" "$server" && exchange "$work/www/text" "$listen" "$2" "$5" &&
    same "$work/www/text" "$work/got" "gnutls-serv" || result=1
  stop "$server"
  return "$result"
}

every() { # server
  local mode name version auth openssl gnutls words result=0
  for mode in "${modes[@]}"; do
    while read -r name version auth openssl gnutls; do
      if [ "$1" = openssl_server ]; then words=$openssl; else words=$gnutls; fi
      "$1" "$version" "$name" "$words" "$auth" "$mode" || {
        say "... with $name, record path $mode"
        result=1
      }
    done < <(suites)
  done
  return "$result"
}

prepare
ktap_plan 2
# test: CS-25 CS-26 LC-57 our client and openssl s_server over every suite and record path
attempt "CS-25 CS-26 LC-57 our client and openssl s_server over every suite and record path" \
  every openssl_server
# test: CS-25 CS-26 LC-57 our client and gnutls-serv over every suite and record path
attempt "CS-25 CS-26 LC-57 our client and gnutls-serv over every suite and record path" \
  every gnutls_server
exit "$ktap_failed"
