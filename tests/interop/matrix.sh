#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Our server against the clients curl, openssl and gnutls-cli: both versions, every suite, every
# record path there is, 10 MB each way, compared byte by byte. The server's log must name the suite and the path that were meant.
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
  for path in auto user; do
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

curl_client() {
  # shellcheck disable=SC2046 # words are meant
  curl -sS --max-time "$LIMIT" --cacert "$work/ca.pem" --resolve "localhost:$port:127.0.0.1" \
    $(curl_suite "$1" "$3") -o "$work/out" "https://localhost:$port/data" 2>"$work/out.err" || true
  same "$work/www/data" "$work/out" "curl"
}

openssl_client() {
  # shellcheck disable=SC2046
  held "$work/www/data" "$work/out" "$SIZE" openssl s_client -connect "127.0.0.1:$port" \
    -servername localhost -CAfile "$work/ca.pem" -verify_return_error -quiet -no_ign_eof -nocommands \
    $(openssl_suite "$1" "$3")
  same "$work/www/data" "$work/out" "openssl s_client"
}

# gnutls-cli reads its input byte by byte, which is slow on a guest of user mode.
gnutls_echo_client() {
  held "$work/short" "$work/out" "$(stat -c %s "$work/short")" gnutls-cli \
    --x509cafile "$work/ca.pem" --logfile=/dev/null --priority "$(gnutls_suite "$1" "$4")" \
    -p "$port" localhost
  same "$work/short" "$work/out" "gnutls-cli"
}

prepare
head -c 16384 "$work/www/text" >"$work/short"
ktap_plan 3
# test: CS-25 CS-26 LC-57 curl downloads over every suite and record path
attempt "CS-25 CS-26 LC-57 curl downloads over every suite and record path" \
  server_role http curl_client
# test: CS-25 CS-26 LC-57 openssl s_client is echoed over every suite and record path
attempt "CS-25 CS-26 LC-57 openssl s_client is echoed over every suite and record path" \
  server_role echo openssl_client
# test: CS-25 CS-26 LC-57 gnutls-cli is echoed over every suite and record path
attempt "CS-25 CS-26 LC-57 gnutls-cli is echoed over every suite and record path" \
  server_role echo gnutls_echo_client
exit "$ktap_failed"
