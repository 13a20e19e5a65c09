#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A daemon without listeners, whose programs bring their sockets: clients whose peers are verified or not,
# with and without certificates of their own, servers, programs without a TLS library, and programs that
# ask for what they cannot have, or go away.
# Environment: as tests/daemon/lib.sh; VIA_PY: the example
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)
VIA_PY=${VIA_PY:-$here/../../examples/via.py}
AT_ONCE=200
BYTES=1000000
[ -z "${SLUICE_TEST_LONG:-}" ] || BYTES=20000000
EVERY=20000

# More CA certificates than fit what a small list takes (process.c), ours among them.
make_bundle() {
  local i
  for ((i = 0; i < 140; i++)); do
    openssl req -x509 -key "$work/ca.key" -days 2 -subj "/CN=CA $i"
  done >"$work/bundle.pem" 2>/dev/null
  cat "$work/ca.pem" >>"$work/bundle.pem"
}

# A chain that makes a client of TLS 1.2 sign more than 4096 bytes.
make_long_chain() {
  cat "$work/rsa.pem" "$work/rsa.pem" "$work/rsa.pem" "$work/ca.pem" >"$work/long.pem"
}

configure() {
  cat >"$work/sluiced.conf" <<-END
	profiles:
	  outgoing: {role: client, cacertfile: $work/ca.pem, alpn_advertised_protocols: [http/1.1]}
	  bundle: {role: client, cacertfile: $work/bundle.pem}
	  alien: {role: client, cacertfile: $work/alien.pem}
	  careless: {role: client, verify: verify_none}
	  hasty: {role: client, cacertfile: $work/ca.pem, handshake_timeout: 1000}
	  mtls: {role: client, cacertfile: $work/ca.pem, certfile: $work/client.pem, keyfile: $work/client.key}
	  mtls12: {role: client, cacertfile: $work/ca.pem, certfile: $work/rsa.pem, keyfile: $work/rsa.key, versions: [tlsv1.2]}
	  incoming:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    hosts:
	      - {names: [rsa.test], certfile: $work/rsa.pem, keyfile: $work/rsa.key}
	  user: {role: client, cacertfile: $work/ca.pem, record_path: user}
	services:
	  tls:
	    socket: $work/tls.sock
	    profiles: [outgoing, bundle, alien, careless, hasty, mtls, mtls12, incoming, user]
	    users: [daemon]
	  few: {socket: $work/few.sock, profiles: [hasty], handshakes: 3}
	limits: {handshakers: 2}
	admin: {socket: $work/admin.sock}
	END
}

# via PROFILE HOST COUNT [ARGUMENT]...: a client at $port
via() {
  timeout 60 "$PEERS/via" "$work/tls.sock" client "$1" "$2" "$port" "${@:3}" 2>&1
}

starts() {
  start_daemon && serve echo --mode echo --cert "$work/ec.pem" --key "$work/ec.key" --alpn http/1.1,echo \
    --key-update-every "$EVERY" && echo_port=$port
}

verified() {
  port=$echo_port
  answers 'hello; TLSv1.3 * alpn=http/1.1 verified=1 session=1' via outgoing localhost 1 &&
    answers 'hello; * verified=1 *' via outgoing 127.0.0.1 1 &&
    answers 'hello; * verified=1 *' via outgoing - 1 &&
    answers 'hello; * verified=1 *' via bundle localhost 1 &&
    answers 'hello; * verified=0 *' via careless other.test 1
}

own_protocols() {
  port=$echo_port
  ALPN=h2,echo answers 'hello; * alpn=echo *' via outgoing localhost 1
  ALPN=nothing answers 'failed SLUICE_E_* no_application_protocol: *' via outgoing localhost 1
}

not_verified() {
  port=$echo_port
  answers 'failed SLUICE_E_VERIFY verify unknown_ca(sent): *' via alien localhost 1 &&
    answers 'failed SLUICE_E_HOSTNAME verify bad_certificate(sent): *for other.test' via outgoing other.test 1 &&
    answers 'failed SLUICE_E_HOSTNAME *' via outgoing 127.0.0.2 1
}

no_tls_there() {
  port=$(free_port)
  python3 -c '
import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    s.accept()[0].send(b"220 hello\r\n" * 9)' "$port" &
  pids+=("$!")
  await_listen "$port" "$!" && answers 'failed SLUICE_E_NOT_TLS hello *' via outgoing localhost 1
}

# A certificate that the keeper signs for, asked for by OpenSSL.
client_certificate() { # PROFILE CHAIN OPTION...
  local profile=$1 chain=$2 server
  shift 2
  port=$(free_port)
  openssl s_server -accept "127.0.0.1:$port" -cert "$chain" -key "$work/rsa.key" -CAfile "$work/ca.pem" \
    -Verify 3 -verify_return_error -rev -naccept 1 "$@" >"$work/s_server.out" 2>&1 &
  server=$!
  pids+=("$server")
  await_listen "$port" "$server" || return 1
  answers 'olleh; * verified=1 session=1' via "$profile" rsa.test 1 || {
    say "$(tail -n 3 "$work/s_server.out")"
    return 1
  }
  stop "$server"
}

client_certificates() {
  client_certificate mtls "$work/rsa.pem" -tls1_3 &&
    client_certificate mtls "$work/rsa.pem" -tls1_2 &&
    client_certificate mtls12 "$work/long.pem" -tls1_2 || return 1
  ! client_certificate outgoing "$work/rsa.pem" -tls1_2 >/dev/null || { say "no certificate was needed"; return 1; }
}

start_server() { # COUNT
  port=$(free_port)
  "$PEERS/via" "$work/tls.sock" server incoming - "$port" "$1" >"$work/server.out" 2>&1 &
  server=$!
  pids+=("$server")
  await_listen "$port" "$server"
}

as_server() {
  local host
  start_server 2 || return 1
  for host in localhost rsa.test; do
    (echo hello; sleep 1) | timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername "$host" \
      -verify_hostname "$host" -CAfile "$work/ca.pem" -verify_return_error -quiet -no_ign_eof \
      >"$work/out" 2>"$work/ask.err" &
  done
  await 20 grep -q 'SLUICE_E_CLOSED' "$work/server.out" || {
    say "$(cat "$work/server.out" "$work/ask.err")"
    return 1
  }
  wait "$server" || { say "$(cat "$work/server.out")"; return 1; }
  grep -q hello "$work/out"
}

listed() {
  local out holder
  port=$echo_port
  "$PEERS/via" "$work/tls.sock" client outgoing localhost "$port" 1 hold >"$work/held.out" &
  holder=$!
  pids+=("$holder")
  await 10 grep -q asked "$work/held.out"
  await 5 eval "\"$(dirname "$SLUICE")/sluicectl\" -s $work/admin.sock sessions >$work/sessions && grep -q live $work/sessions" || true
  out=$(cat "$work/sessions")
  stop "$holder"
  [[ $out == *client*tls*localhost* ]] || { say "sessions: $out"; return 1; }
}

# --- who may ask for what

other_profile() {
  port=$echo_port
  answers 'failed SLUICE_E_POLICY none -: the service has no such profile' via nothing localhost 1 &&
    answers 'failed SLUICE_E_OPTION_ROLE none -: the profile is of the other role' via incoming localhost 1 &&
    answers 'hello;*' via outgoing localhost 1
}

other_user() {
  port=$echo_port
  as() {
    setpriv --reuid "$1" --clear-groups --regid nogroup timeout 20 "$PEERS/via" "$work/tls.sock" \
      client outgoing localhost "$port" 1 2>&1
  }
  answers 'failed SLUICE_E_POLICY * the daemon refuses: this user may not attach here' as nobody &&
    answers 'hello;*' as daemon
}

share() {
  python3 "$here/via-abuse.py" "$work/few.sock" share hasty && log_has 'has its share' || return 1
  "$(dirname "$SLUICE")/sluicectl" -s "$work/admin.sock" stats --tsv >"$work/stats"
  grep -qE $'^upgrades_refused\tservice=few,reason=share\t[1-9]' "$work/stats" || {
    say "not counted: $(grep -E '^(upgrades|connections)' "$work/stats" | tr '\n' ' ')"
    return 1
  }
}

abuse() {
  local what result=0
  for what in "$@"; do
    timeout 30 python3 "$here/via-abuse.py" "$work/tls.sock" "$what" hasty || result=1
  done
  port=$echo_port
  SECONDS=0
  answers 'hello;*' via outgoing localhost 1 || result=1
  [ "$SECONDS" -lt 8 ] || { say "the daemon was held up for $SECONDS s"; result=1; }
  return "$result"
}

checks() {
  local text place
  while IFS='|' read -r text place; do
    printf 'profiles: {p: {role: client%s}}\nservices: {s: {socket: /s, profiles: [p]}}\n' "$text" >"$work/bad.conf"
    "$SLUICED" --check --config "$work/bad.conf" >"$work/check.out" 2>&1 && { say "$text: accepted"; return 1; }
    grep -q "bad.conf:$place" "$work/check.out" || { say "$text: $(cat "$work/check.out")"; return 1; }
  done <<-'END'
	, session_tickets: auto|1:47: session_tickets: a client of the daemon keeps no sessions
	, handshake: hello|1:41: handshake: a client of the daemon does not pause
	, cacertfile: /none|1:12: cacertfile: .*/none: No such file
	END
}

# --- many, and new keys

at_once() {
  port=$echo_port
  via outgoing localhost "$AT_ONCE" >"$work/many.out" || {
    say "$(sort "$work/many.out" | uniq -c | sort -rn | head -n 5)"
    return 1
  }
  [ "$(grep -c '^hello; .* session=1' "$work/many.out")" = "$AT_ONCE" ]
}

new_keys() {
  local line path
  path=$(path_of TLS_AES_128_GCM_SHA256 auto)
  port=$echo_port
  line=$(via outgoing localhost 1 echo "$BYTES" "$EVERY" | tail -n 1)
  [[ $line =~ ^"$BYTES bytes, $path path, epochs "([0-9]+)" "([0-9]+)", 0"$ ]] || { say "$line"; return 1; }
  if [ "${BASH_REMATCH[1]}" -lt $((BYTES / EVERY)) ] || [ "${BASH_REMATCH[2]}" -lt $((BYTES / EVERY)) ]; then
    say "too few new keys: $line"
    return 1
  fi
  start_server 1 || return 1
  timeout 60 "$PEERS/openssl" client "$port" "$work/ca.pem" - "$BYTES" "$EVERY" >"$work/peer.out" 2>&1 || {
    say "$(tail -n 3 "$work/peer.out" "$work/server.out" | tr '\n' ' ')"
    return 1
  }
  wait "$server"
}

# --- programs without TLS

plain_refused() {
  port=$echo_port
  answers '*KTLS_UNAVAILABLE*' timeout 20 python3 "$here/via-abuse.py" "$work/tls.sock" plain user "$port"
}

plain() {
  mkdir -p "$work/root"
  head -c 300000 /dev/urandom | base64 >"$work/root/index.html"
  serve http --root "$work/root" --cert "$work/ec.pem" --key "$work/ec.key" --tickets 2 \
    --key-update-every "$EVERY" || return 1
  timeout 20 python3 "$VIA_PY" "$work/tls.sock" outgoing localhost "$port" >"$work/plain.out" 2>"$work/plain.err" || {
    say "$(tail -n 3 "$work/plain.err")"
    return 1
  }
  sed '1,/^\r$/d' "$work/plain.out" | cmp - "$work/root/index.html" &&
    ! timeout 20 python3 "$VIA_PY" "$work/tls.sock" alien localhost "$port" >/dev/null 2>"$work/plain.err" &&
    grep -q 'unable to get local issuer' "$work/plain.err"
}

can_be_plain() {
  [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = kernel ] && grep -q 'new keys when receiving (KeyUpdate) *yes' "$work/probe"
}

# Any user's program can be the peer too: who crashes handshakers is kept out.
crash() {
  local pid
  port=$(free_port)
  python3 -c '
import socket, sys, time
s = socket.create_server(("127.0.0.1", int(sys.argv[1])))
peer = s.accept()
time.sleep(60)' "$port" &
  pids+=("$!")
  await_listen "$port" "$!" || return 1
  via outgoing localhost 1 >"$work/crash.out" &
  pid=$!
  await 10 eval "\"$(dirname "$SLUICE")/sluicectl\" -s $work/admin.sock sessions state=handshake >/dev/null 2>&1" || return 1
  # shellcheck disable=SC2046 # pids
  kill -SEGV $(handshakers)
  wait "$pid" || true
  answers 'failed SLUICE_E_HANDSHAKE none -: its handshaker died' cat "$work/crash.out" &&
    await 10 eval "[ \$(handshakers | wc -l) = 2 ]" || return 1
  port=$echo_port
  await 10 eval "! via outgoing localhost 1 | grep -q 'no handshaker'" # they start again
  answers 'failed SLUICE_E_POLICY none -: its source has crashed a handshaker' via outgoing localhost 1 &&
    answers 'hello;*' as daemon
}

prepare_daemon
"$SLUICE" probe >"$work/probe"
make_bundle
make_long_chain
configure
ktap_plan 21
attempt "the daemon starts without listeners" starts
attempt "mistakes are told with their place" checks
attempt "a peer is verified, by name or address" verified
attempt "a client offers protocols of its own" own_protocols
attempt "an unknown CA and a wrong name are refused by name" not_verified
attempt "a peer that speaks no TLS" no_tls_there
attempt "the keeper signs for clients, in both versions" client_certificates
attempt "a program is a server, with the hosts of its profile" as_server
attempt "sessions show role and host" listed
attempt "profiles that are not the service's, or of the other role" other_profile
attempt "only users of the service may attach" other_user
attempt "a user gets no more than its share" share
attempt "sockets that cannot be upgraded" abuse no-socket no-descriptor two-descriptors udp unix listening unconnected twice
attempt "requests that make no sense" abuse no-role no-profile bad-host long-host server-host cut-off oversized credit
attempt "a program that goes away ends its handshakes" abuse dies
attempt "a program that does not read its answers" abuse deaf
attempt "a program that changes the socket under the daemon" abuse linger
attempt "$AT_ONCE upgrades at once" at_once
if [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = user ] || can_be_plain; then
  attempt "keys change in both directions and both roles" new_keys
else
  skip "keys change in both directions and both roles" "this kernel cannot change keys"
fi
if can_be_plain; then
  attempt "a program without TLS: answers, tickets and new keys" plain
else
  attempt "a program without TLS is refused the user path" plain_refused
fi
attempt "a user whose handshake crashed a handshaker is kept out" crash
exit "$ktap_failed"
