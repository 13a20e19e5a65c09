#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# 10 MB from our client and back on one connection, with openssl and gnutls as servers. Both record
# paths, both versions.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

suite_of() { # version
  if [ "$1" = 1.3 ]; then
    echo TLS_AES_128_GCM_SHA256
  else
    echo TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
  fi
}

# connect_words PORT VERSION MODE: our client as a command, in ${connect[@]}.
connect_words() {
  connect=("$SLUICE" connect "localhost:$1" --cacert "$work/ca.pem" --record-path "$3" --json
    -o "versions=tlsv$2" -o "ciphers=$(suite_of "$2")")
}

# on_path FILE VERSION MODE: both directions were where they had to be.
on_path() {
  local path
  path=$(path_of "$(suite_of "$2")" "$3")
  grep -q "\"tx\":{\"path\":\"$path\".*\"rx\":{\"path\":\"$path\"" "$1" && return
  say "not on the $path path: $(tail -n 3 "$1" | tr '\n' ' ')"
  return 1
}

openssl_both_ways() { # version, mode
  local listen pid result=0
  listen=$(free_port)
  held "$work/www/data" "$work/up" "$SIZE" openssl s_server -accept "$listen" -naccept 1 -quiet \
    -cert "$work/ec.pem" -key "$work/ec.key" "-tls${1/./_}" &
  pid=$!
  pids+=("$pid")
  await_listen "$listen" "$pid" || return 1
  connect_words "$listen" "$1" "$2"
  held "$work/www/data" "$work/down" "$SIZE" "${connect[@]}"
  wait "$pid" || true
  same "$work/www/data" "$work/up" "to openssl s_server" || result=1
  same "$work/www/data" "$work/down" "from openssl s_server" || result=1
  on_path "$work/down.err" "$1" "$2" || result=1
  return "$result"
}

gnutls_both_ways() { # version, mode
  local listen pid result=0
  listen=$(free_port)
  gnutls-serv -q --echo -p "$listen" --x509certfile "$work/ec.pem" --x509keyfile "$work/ec.key" \
    --priority "NORMAL:-VERS-ALL:+VERS-TLS$1" >"$work/server.out" 2>&1 &
  pid=$!
  pids+=("$pid")
  await_listen "$listen" "$pid" || return 1
  connect_words "$listen" "$1" "$2"
  held "$work/www/text" "$work/down" "$(stat -c %s "$work/www/text")" "${connect[@]}"
  same "$work/www/text" "$work/down" "by gnutls-serv" || result=1
  on_path "$work/down.err" "$1" "$2" || result=1
  stop "$pid"
  return "$result"
}

prepare
ktap_plan 2
# test: openssl s_server and our client send each other 10 MB
attempt "openssl s_server and our client send each other 10 MB" for_each "1.2 1.3" openssl_both_ways
# test: gnutls-serv sends 10 MB of our client back
attempt "gnutls-serv sends 10 MB of our client back" for_each "1.2 1.3" gnutls_both_ways
exit "$ktap_failed"
