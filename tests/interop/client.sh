#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Our client against the servers openssl s_server and gnutls-serv: both versions, every suite, every
# record path there is. 10 MB from openssl, compared byte by byte; a short exchange with GnuTLS.
# The client's own words must name the suite and the path that were meant.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

# fetched PORT SUITE PATH MODE FILE: what the client got, over the suite and the path that were meant.
fetched() {
  rm -f "$work/got"
  timeout "$LIMIT" "$SLUICE" connect "localhost:$1" --cacert "$work/ca.pem" --record-path "$4" \
    --json -o "ciphers=$2" --get "$5" --output "$work/got" >"$work/said" 2>"$work/said.err" || {
    say "$2, $4: $(cat "$work/said" "$work/said.err" | tail -n 3 | tr '\n' ' ')"
    return 1
  }
  cat "$work/said" "$work/said.err" >"$work/words"
  grep -q "\"suite\":\"$2\".*\"tx\":{\"path\":\"$3\".*\"rx\":{\"path\":\"$3\"" "$work/words" || {
    say "$2, $4: $(cat "$work/words")"
    return 1
  }
}

openssl_server() { # version, suite, OpenSSL's name, certificate, mode
  local listen pid result=0
  listen=$(free_port)
  # shellcheck disable=SC2046
  (cd "$work/www" && exec openssl s_server -accept "$listen" -WWW -quiet \
    -cert "$work/$4.pem" -key "$work/$4.key" $(openssl_suite "$1" "$3")) >"$work/server.out" 2>&1 &
  pid=$!
  pids+=("$pid")
  await_listen "$listen" "$pid" || return 1
  fetched "$listen" "$2" "$(path_of "$2" "$5")" "$5" /data || result=1
  [ "$result" -ne 0 ] || cmp "$work/www/data" "$work/got" || result=1
  kill "$pid" 2>/dev/null || true
  return "$result"
}

gnutls_server() { # version, suite, GnuTLS's priorities, certificate, mode
  local listen pid result=0
  listen=$(free_port)
  gnutls-serv -q --http -p "$listen" --x509certfile "$work/$4.pem" --x509keyfile "$work/$4.key" \
    --priority "$(gnutls_suite "$1" "$3")" >"$work/server.out" 2>&1 &
  pid=$!
  pids+=("$pid")
  await_listen "$listen" "$pid" || return 1
  fetched "$listen" "$2" "$(path_of "$2" "$5")" "$5" / || result=1
  [ "$result" -ne 0 ] || grep -q GnuTLS "$work/got" || result=1
  kill "$pid" 2>/dev/null || true
  return "$result"
}

every() { # server
  local mode name version auth openssl gnutls words result=0
  for mode in auto user; do
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
