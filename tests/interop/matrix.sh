#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Our server against the clients curl, openssl and gnutls-cli: both versions, every suite, the
# record path there is, 10 MB each way, compared byte by byte. The server's log must name the suite
# and the path that were meant.
# Prints KTAP. Environment: SLUICE, the program; SLUICE_INTEROP_SIZE, bytes each way.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

# A connection of our server must have had this suite and this path.
logged() { # server's name, number of the connection, suite, path, what
  local line
  line=$(last_connection "$1" "$2")
  case "$line" in
    *"\"suite\":\"$3\""*"\"tx\":{\"path\":\"$4\""*"\"rx\":{\"path\":\"$4\""*) return 0 ;;
  esac
  say "$5: the server says $line"
  return 1
}

# server_role MODE FUNCTION SUITE...: for each path and suite our server and FUNCTION as its client,
# which is called with: version, suite's IANA, OpenSSL's and GnuTLS's names.
server_role() {
  local mode=$1 client=$2 path cert name version auth openssl gnutls result=0
  for path in "${modes[@]}"; do
    for cert in ec rsa; do
      serve "$client-$path-$cert" --cert "$work/$cert.pem" --key "$work/$cert.key" --mode "$mode" \
        --root "$work/www" --record-path "$path" -o "ciphers=$(all_suites)" || return 1
      count=0
      while read -r name version auth openssl gnutls; do
        [ "$auth" = "$cert" ] || continue
        count=$((count + 1))
        "$client" "$version" "$name" "$openssl" "$gnutls" || {
          say "... with $name, record path $path"
          result=1
        }
        logged "$client-$path-$cert" "$count" "$name" "$(path_of "$name" "$path")" \
          "$client, $path" || result=1
      done < <(suites)
      stop "$server"
    done
  done
  return "$result"
}

all_suites() {
  suites | cut -d ' ' -f 1 | paste -sd ,
}

# curl_fetch VERSION SUITE OPTION...: what it got is in $work/out.
curl_fetch() {
  local words
  read -r -a words <<<"$(curl_suite "$1" "$2")"
  shift 2
  curl -sS --max-time "$LIMIT" --cacert "$work/ca.pem" --resolve "localhost:$port:127.0.0.1" \
    "${words[@]}" -o "$work/out" "$@" 2>"$work/out.err" || true
  same "$work/www/data" "$work/out" "curl"
}

curl_download() {
  curl_fetch "$1" "$3" "https://localhost:$port/data"
}

# An echo of this request, whose method is "HTTP/1.1 200", is a response to it.
curl_echo() {
  curl_fetch "$1" "$3" -X "HTTP/1.1 200" -H "Expect:" --data-binary "@$work/www/data" \
    "https://localhost:$port/"
}

openssl_client() {
  local words
  read -r -a words <<<"$(openssl_suite "$1" "$3")"
  held "$work/www/data" "$work/out" "$SIZE" openssl s_client -connect "127.0.0.1:$port" \
    -servername localhost -CAfile "$work/ca.pem" -verify_return_error -quiet -no_ign_eof -nocommands \
    "${words[@]}" &&
    same "$work/www/data" "$work/out" "openssl s_client"
}

gnutls_client() {
  held "$work/www/text" "$work/out" "$(stat -c %s "$work/www/text")" \
    env LD_PRELOAD="$work/lines.so" gnutls-cli --x509cafile "$work/ca.pem" --logfile=/dev/null \
    --priority "$(gnutls_suite "$1" "$4")" -p "$port" localhost &&
    same "$work/www/text" "$work/out" "gnutls-cli"
}

prepare
ktap_plan 4
# test: CS-25 CS-26 LC-57 curl downloads over every suite and record path
attempt "CS-25 CS-26 LC-57 curl downloads over every suite and record path" \
  server_role http curl_download
# test: curl is echoed over every suite and record path
attempt "curl is echoed over every suite and record path" server_role echo curl_echo
# test: CS-25 CS-26 LC-57 openssl s_client is echoed over every suite and record path
attempt "CS-25 CS-26 LC-57 openssl s_client is echoed over every suite and record path" \
  server_role echo openssl_client
# test: CS-25 CS-26 LC-57 gnutls-cli is echoed over every suite and record path
attempt "CS-25 CS-26 LC-57 gnutls-cli is echoed over every suite and record path" \
  server_role echo gnutls_client
exit "$ktap_failed"
