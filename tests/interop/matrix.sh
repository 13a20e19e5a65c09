#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Our server against the clients curl, openssl and gnutls-cli, and our client against the servers
# openssl and gnutls-serv: both versions, every suite, every record path there is, 10 MB each way,
# compared byte by byte. The server's log must name the suite and the path that were meant.
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

# Our client gives data to the server and keeps what comes in $work/back.
our_client() { # port, suite, path, input, bytes to wait for
  held "$4" "$work/back" "$5" "$SLUICE" connect "localhost:$1" --cacert "$work/ca.pem" \
    --record-path "$3" --json --keep-open -o "ciphers=$2"
}

client_logged() { # suite, path, what
  if grep -q "\"suite\":\"$1\".*\"tx\":{\"path\":\"$2\".*\"rx\":{\"path\":\"$2\"" \
    "$work/back.err"; then
    return 0
  fi
  say "$3: $(cat "$work/back.err")"
  return 1
}

# client_role FUNCTION: for each path and suite a server by FUNCTION, which is called as above.
client_role() {
  local server_of=$1 path name version auth openssl gnutls result=0
  for path in auto user; do
    while read -r name version auth openssl gnutls; do
      "$server_of" "$version" "$name" "$openssl" "$gnutls" "$auth" "$path" || {
        say "... with $name, record path $path"
        result=1
      }
      client_logged "$name" "$(path_of "$name" "$path")" "$path" || result=1
    done < <(suites)
  done
  return "$result"
}

# Both directions at once: what the server reads from its input goes to our client, and back.
openssl_server() {
  local fd pid result=0 accept
  accept=$(free_port)
  : >"$work/out"
  # shellcheck disable=SC2046
  exec {fd}> >(exec timeout "$LIMIT" openssl s_server -accept "127.0.0.1:$accept" -quiet \
    -naccept 1 -cert "$work/$5.pem" -key "$work/$5.key" $(openssl_suite "$1" "$3") \
    >"$work/out" 2>"$work/out.err")
  pid=$!
  await_listen "$accept" "$pid"
  cat "$work/www/text" >&"$fd" &
  our_client "$accept" "$2" "$6" "$work/www/data" "$(stat -c %s "$work/www/text")"
  await_size "$work/out" "$SIZE" "$pid" || true
  exec {fd}>&-
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  same "$work/www/data" "$work/out" "to openssl s_server" || result=1
  same "$work/www/text" "$work/back" "from openssl s_server" || result=1
  return "$result"
}

# An echo of lines: one server for each certificate serves every suite.
gnutls_server() {
  our_client "${gnutls_port[$5]}" "$2" "$6" "$work/www/text" "$(stat -c %s "$work/www/text")"
  same "$work/www/text" "$work/back" "gnutls-serv"
}

declare -A gnutls_port
start_gnutls_servers() {
  local cert pid
  for cert in ec rsa; do
    gnutls_port[$cert]=$(free_port)
    gnutls-serv -q --echo -p "${gnutls_port[$cert]}" --x509certfile "$work/$cert.pem" \
      --x509keyfile "$work/$cert.key" --priority "NORMAL:+RSA" >"$work/gnutls.$cert.log" 2>&1 &
    pid=$!
    pids+=("$pid")
    await_listen "${gnutls_port[$cert]}" "$pid" || return 1
  done
}

gnutls_servers() {
  start_gnutls_servers && client_role gnutls_server
}

prepare
head -c 16384 "$work/www/text" >"$work/short"
ktap_plan 5
# test: CS-25 CS-26 LC-57 curl downloads over every suite and record path
attempt "CS-25 CS-26 LC-57 curl downloads over every suite and record path" \
  server_role http curl_client
# test: CS-25 CS-26 LC-57 openssl s_client is echoed over every suite and record path
attempt "CS-25 CS-26 LC-57 openssl s_client is echoed over every suite and record path" \
  server_role echo openssl_client
# test: CS-25 CS-26 LC-57 gnutls-cli is echoed over every suite and record path
attempt "CS-25 CS-26 LC-57 gnutls-cli is echoed over every suite and record path" \
  server_role echo gnutls_echo_client
# test: CS-25 CS-26 LC-57 our client and openssl s_server send to each other over every suite and path
attempt "CS-25 CS-26 LC-57 our client and openssl s_server send to each other over every suite and path" \
  client_role openssl_server
# test: CS-25 CS-26 LC-57 our client is echoed by gnutls-serv over every suite and record path
attempt "CS-25 CS-26 LC-57 our client is echoed by gnutls-serv over every suite and record path" \
  gnutls_servers
exit "$ktap_failed"
