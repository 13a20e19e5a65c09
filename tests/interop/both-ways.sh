#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What an exchange of one file does not show, with openssl and gnutls as peers: 10 MB from our client
# and back on one connection, resumption in both roles, key updates of both ends in both roles, and
# STARTTLS with mail servers. Both record paths, both versions.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

for_each_mode() { # FUNCTION ARGUMENT...
  local mode version result=0
  for mode in "${modes[@]}"; do
    for version in 1.2 1.3; do
      "$@" "$version" "$mode" || {
        say "... with TLS $version, record path $mode"
        result=1
      }
    done
  done
  return "$result"
}

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

# says FILE PATTERN...: whether our program said all of that.
says() {
  local file=$1 pattern
  shift
  for pattern in "$@"; do
    grep -q -- "$pattern" "$file" && continue
    say "no $pattern in: $(tail -n 3 "$file" | tr '\n' ' ')"
    return 1
  done
}

# on_path FILE VERSION MODE: both directions were where they had to be.
on_path() {
  local path
  path=$(path_of "$(suite_of "$2")" "$3")
  says "$1" "\"tx\":{\"path\":\"$path\".*\"rx\":{\"path\":\"$path\""
}

# openssl_server VERSION OPTION...: one that takes connections one by one; $listen, $peer.
openssl_server() {
  local version=$1
  shift
  listen=$(free_port)
  openssl s_server -accept "$listen" -cert "$work/ec.pem" -key "$work/ec.key" \
    "-tls${version/./_}" "$@" >"$work/server.out" 2>&1 &
  peer=$!
  pids+=("$peer")
  await_listen "$listen" "$peer"
}

# --- 10 MB each way on one connection

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

# --- resumption

openssl_resumes_with_us() { # version, mode
  local result=0 pass
  serve "resume-$1-$2" --cert "$work/ec.pem" --key "$work/ec.key" --mode echo --record-path "$2" ||
    return 1
  rm -f "$work/session"
  for pass in out in; do
    printf 'hello\n' >"$work/hello"
    held "$work/hello" "$work/echo" 6 openssl s_client -connect "127.0.0.1:$port" -no_ign_eof \
      "-tls${1/./_}" -servername localhost "-sess_$pass" "$work/session" -nocommands
    cat "$work/echo" "$work/echo.err" >"$work/words-$pass"
  done
  grep -q '^New, ' "$work/words-out" || { say "the first was no new session"; result=1; }
  grep -q '^Reused, ' "$work/words-in" || { say "the second did not resume"; result=1; }
  last_connection "resume-$1-$2" 2 >"$work/line"
  says "$work/line" '"resumed":true' || result=1
  on_path "$work/line" "$1" "$2" || result=1
  stop "$server"
  return "$result"
}

gnutls_resumes_with_us() { # version, mode
  local result=0
  serve "gresume-$1-$2" --cert "$work/ec.pem" --key "$work/ec.key" --mode echo --record-path "$2" ||
    return 1
  printf 'hello\n' >"$work/hello"
  held "$work/hello" "$work/echo" 6 gnutls-cli --x509cafile "$work/ca.pem" --resume \
    --waitresumption --logfile=/dev/null --priority "NORMAL:-VERS-ALL:+VERS-TLS$1" \
    -p "$port" localhost
  last_connection "gresume-$1-$2" 2 >"$work/line"
  says "$work/line" '"resumed":true' || result=1
  stop "$server"
  return "$result"
}

we_resume_with() { # server, version, mode
  local result=0 listen peer
  "$1_echo" "$2" || return 1
  printf 'hello\n' >"$work/hello"
  rm -f "$work/session"
  connect_words "$listen" "$2" "$3"
  "${connect[@]}" --session-out "$work/session" <"$work/hello" \
    >"$work/echo" 2>"$work/first" || { say "the first: $(tail -n 1 "$work/first")"; result=1; }
  "${connect[@]}" --session-in "$work/session" <"$work/hello" \
    >"$work/echo" 2>"$work/second" || { say "the second: $(tail -n 1 "$work/second")"; result=1; }
  says "$work/first" '"resumed":false' || result=1
  says "$work/second" '"resumed":true' || result=1
  on_path "$work/second" "$2" "$3" || result=1
  stop "$peer"
  return "$result"
}

openssl_echo() { # version
  openssl_server "$1" -rev -quiet
}

gnutls_echo() { # version
  listen=$(free_port)
  gnutls-serv -q --echo -p "$listen" --x509certfile "$work/ec.pem" --x509keyfile "$work/ec.key" \
    --priority "NORMAL:-VERS-ALL:+VERS-TLS$1" >"$work/server.out" 2>&1 &
  peer=$!
  pids+=("$peer")
  await_listen "$listen" "$peer"
}

# --- key updates (TLS 1.3): with s_client and s_server a line of k is one, K one that asks for ours;
# of lines that they read together only the first counts, and the rest is lost

# typed: lines as s_client and s_server read commands: one at a time, at the start of a line.
typed() {
  local i
  sleep 0.3
  for ((i = 0; i < UPDATES; i++)); do
    printf 'k\n'
    sleep 0.1
    printf 'K\n'
    sleep 0.1
    printf 'line %d\n' "$i"
    sleep 0.1
  done
  sleep 0.5
}
UPDATES=10

openssl_client_updates() { # mode
  local result=0 path
  serve "update-$1" --cert "$work/ec.pem" --key "$work/ec.key" --mode echo --record-path "$1" \
    --key-update-every 20 -o "ciphers=$(suite_of 1.3)" || return 1
  typed | timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername localhost \
    -tls1_3 -ciphersuites "$(suite_of 1.3)" >"$work/out" 2>&1 || true
  [ "$(grep -c '^line ' "$work/out")" -ge $((UPDATES / 2)) ] || {
    say "$(grep -c '^line ' "$work/out") lines came back of $UPDATES"
    result=1
  }
  last_connection "update-$1" 1 >"$work/line"
  path=$(path_of "$(suite_of 1.3)" "$1")
  says "$work/line" "\"tx\":{\"path\":\"$path\"" || result=1
  enough "$(cat "$work/line")" $((UPDATES / 2)) $((UPDATES / 2)) || result=1
  stop "$server"
  return "$result"
}

openssl_server_updates() { # mode
  local listen pid result=0 path
  listen=$(free_port)
  typed | timeout "$LIMIT" openssl s_server -accept "$listen" -naccept 1 -tls1_3 \
    -cert "$work/ec.pem" -key "$work/ec.key" >"$work/server.out" 2>&1 &
  pid=$!
  pids+=("$pid")
  await_listen "$listen" "$pid" || return 1
  connect_words "$listen" 1.3 "$1"
  printf 'hello\n' >"$work/hello"
  # "line 0" to "line 9"
  held "$work/hello" "$work/out" $((7 * UPDATES)) "${connect[@]}" --key-update-every 2
  wait "$pid" || true
  [ "$(grep -c '^line ' "$work/out")" -ge $((UPDATES / 2)) ] || {
    say "$(grep -c '^line ' "$work/out") lines came of $UPDATES"
    result=1
  }
  # It prints the three pieces as they come, under three keys.
  if ! grep -q '^he' "$work/server.out" || ! grep -q '^ll' "$work/server.out"; then
    say "the server got no hello"
    result=1
  fi
  path=$(path_of "$(suite_of 1.3)" "$1")
  says "$work/out.err" "\"end\".*\"tx\":{\"path\":\"$path\"" "\"end\".*\"rekeys\":{\"call\":0,\"bytes\":2," ||
    result=1
  # What it asks for after our last data is never answered: ours are the two by bytes.
  enough "$(grep '"end"' "$work/out.err")" 2 $((UPDATES / 2)) || result=1
  return "$result"
}

# The kernel path where it can change keys; what happens where it cannot is shown by flow/rekey.
rekeying_mode() { # FUNCTION
  if [ "$(path_of "$(suite_of 1.3)" auto)" = user ] ||
    grep -q 'new keys when receiving (KeyUpdate) *yes' "$work/probe"; then
    "$1" auto
  else
    "$1" user
  fi
}

prepare
ktap_plan 8
# test: openssl s_server and our client send each other 10 MB
attempt "openssl s_server and our client send each other 10 MB" for_each_mode openssl_both_ways
# test: gnutls-serv sends 10 MB of our client back
attempt "gnutls-serv sends 10 MB of our client back" for_each_mode gnutls_both_ways
# test: openssl s_client resumes with our server
attempt "openssl s_client resumes with our server" for_each_mode openssl_resumes_with_us
# test: gnutls-cli resumes with our server
attempt "gnutls-cli resumes with our server" for_each_mode gnutls_resumes_with_us
# test: our client resumes with openssl s_server
attempt "our client resumes with openssl s_server" for_each_mode we_resume_with openssl
# test: our client resumes with gnutls-serv
attempt "our client resumes with gnutls-serv" for_each_mode we_resume_with gnutls
# test: openssl s_client updates its keys and asks for ours
attempt "openssl s_client updates its keys and asks for ours" \
  rekeying_mode openssl_client_updates
# test: openssl s_server updates its keys and asks for ours
attempt "openssl s_server updates its keys and asks for ours" \
  rekeying_mode openssl_server_updates
exit "$ktap_failed"
