#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluiced serves: two pools and routes to them, every kind of key in the keeper, hosts, tickets, client
# certificates, peers that speak no TLS, many connections at once and one after the other.
# Environment: as tests/daemon/lib.sh; SLUICE_DAEMON_HANDSHAKES: how many one after the other (2000)
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

HANDSHAKES=${SLUICE_DAEMON_HANDSHAKES:-2000}
GROWTH=2048 # kB that a process may grow by, whatever it has served

configure() {
  main=$(free_port)
  strict=$((main + 1))
  while is_listening "$strict"; do strict=$((strict + 1)); done
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - name: main
	    address: "127.0.0.1:$main"
	    profile: main
	    pool: app
	    routes:
	      - {sni: "*.wild.test", pool: api}
	      - {alpn: h2, pool: api}
	  - {name: strict, address: "127.0.0.1:$strict", profile: strict, pool: app}
	profiles:
	  main:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    session_tickets: stateless
	    alpn_preferred_protocols: [h2, http/1.1]
	    hosts:
	      - names: [rsa.test]
	        certfile: $work/rsa.pem
	        keyfile: $work/rsa.key
	        ciphers: [TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_128_GCM_SHA256, TLS_RSA_WITH_AES_256_GCM_SHA384]
	      - {names: [ed.test], certfile: $work/ed.pem, keyfile: $work/ed.key}
	      - {names: [p384.test], certfile: $work/p384.pem, keyfile: $work/p384.key}
	      - {names: ["*.wild.test"], certfile: $work/wild.pem, keyfile: $work/wild.key}
	      - names: [mtls.test]
	        certfile: $work/mtls.pem
	        keyfile: $work/mtls.key
	        cacertfile: $work/ca.pem
	        verify: verify_peer
	        fail_if_no_peer_cert: true
	  strict:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    no_match: refuse
	    handshake_timeout: 1000
	    hosts:
	      - {names: [ed.test], certfile: $work/ed.pem, keyfile: $work/ed.key}
	pools:
	  app: {socket: $work/app.sock}
	  api: {socket: $work/api.sock}
	limits: {handshakers: 3, per_source: 1000}
	admin: {socket: $work/admin.sock}
	END
}

starts() {
  start_daemon && start_worker app answer app && start_worker api answer api
}

# --- routes

routes() {
  answers 'worker=app * sni=localhost *' ask localhost &&
    answers 'worker=api * sni=a.wild.test *' ask a.wild.test &&
    answers 'worker=api * alpn=h2 *' ask localhost -alpn h2,http/1.1 &&
    answers 'worker=app * alpn=http/1.1 *' ask localhost -alpn http/1.1
}

through_curl() {
  answers 'worker=app version=TLSv1.3 *' curl -sS --http1.1 --cacert "$work/ca.pem" \
    "https://localhost:$port/" --resolve "localhost:$port:127.0.0.1" &&
    answers 'worker=api version=TLSv1.2 *' curl -sS --http1.1 --no-alpn --tls-max 1.2 \
      --cacert "$work/ca.pem" "https://b.wild.test:$port/" --resolve "b.wild.test:$port:127.0.0.1"
}

through_sluice() {
  answers 'worker=app *' "$SLUICE" connect "127.0.0.1:$port" --servername localhost -q \
    --cacert "$work/ca.pem" --get /
}

# --- keys

signs() { # HOST, OpenSSL's suite for TLS 1.2
  answers 'worker=* version=TLSv1.3 *' ask "$1" -tls1_3 &&
    answers 'worker=* version=TLSv1.2 *' ask "$1" -tls1_2 -cipher "$2"
}

decrypts() {
  answers '* suite=TLS_RSA_WITH_AES_128_GCM_SHA256 *' ask rsa.test -tls1_2 -cipher AES128-GCM-SHA256 &&
    answers '* suite=TLS_RSA_WITH_AES_256_GCM_SHA384 *' ask rsa.test -tls1_2 -cipher AES256-GCM-SHA384
}

# --- hosts

wildcard() {
  answers 'worker=api * sni=x.wild.test *' ask x.wild.test &&
    answers 'worker=api *' ask X.WILD.TEST || return 1
  # One label, no more and no less: these get the default certificate.
  ! answers 'worker=*' ask x.y.wild.test >/dev/null && ! answers 'worker=*' ask wild.test >/dev/null
}

unknown_host() {
  port=$strict
  answers 'worker=app *' ask ed.test || return 1
  ask nobody.test >/dev/null || true
  grep -q 'unrecognized name' "$work/ask.err" || {
    say "no unrecognized_name: $(cat "$work/ask.err")"
    return 1
  }
  # Without a name there is nothing that could not match.
  answers 'worker=app *' eval "echo hello | timeout $LIMIT openssl s_client -noservername \
    -connect 127.0.0.1:$strict -CAfile $work/ca.pem -quiet 2>/dev/null | tail -n 1"
}

# --- tickets and client certificates

# Each time another handshaker has the most room, or by chance: many at once reach all.
resumes() { # version
  local i out n=12 busy
  rm -f "$work/session"
  ask localhost "-tls$1" -sess_out "$work/session" >/dev/null
  [ -s "$work/session" ] || { say "no session"; return 1; }
  # A handshake that does not go on keeps the first handshaker from being the one with the least to do.
  for ((i = 0; i < n; i++)); do
    exec {busy}<>"/dev/tcp/127.0.0.1/$port"
    out=$(ask localhost "-tls$1" -sess_in "$work/session")
    [ $((i % 2)) -eq 0 ] && exec {busy}>&-
    [[ $out == *resumed=1* ]] || { say "connection $i: $out"; return 1; }
  done
}

client_certificate() {
  answers '* sni=mtls.test * verified=1 *' ask mtls.test -tls1_3 -cert "$work/client.pem" -key "$work/client.key" &&
    answers '* sni=mtls.test * verified=1 *' ask mtls.test -tls1_2 -cert "$work/client.pem" -key "$work/client.key" &&
    ! answers 'worker=*' ask mtls.test -tls1_3 >/dev/null &&
    ! answers 'worker=*' ask mtls.test -tls1_2 -cert "$work/alien.pem" -key "$work/alien.key" >/dev/null
}

# --- peers that speak no TLS

# ends_within SECONDS BYTES: what is sent instead of a hello is answered by the end of the connection.
ends_within() {
  local fd
  exec {fd}<>"/dev/tcp/127.0.0.1/$strict"
  printf '%b' "$2" >&"$fd" || true
  timeout "$1" cat <&"$fd" >"$work/raw" || {
    say "'$2': not ended after $1 s"
    exec {fd}>&-
    return 1
  }
  exec {fd}>&-
}

no_tls() {
  local result=0
  ends_within 4 'GET / HTTP/1.0\r\n\r\n' || result=1
  ends_within 4 '\x16\x03\x01\xff\xff\x01\x02\x03' || result=1
  ends_within 4 '\x16\x03\x01\x00\x05\x01\x00\x00\x01\x00' || result=1
  ends_within 4 "$(head -c 300 /dev/urandom | od -An -v -tx1 | tr -d ' \n' | sed 's/../\\x&/g')" || result=1
  ends_within 4 '' || result=1
  ends_within 4 '\x16\x03' || result=1
  port=$strict
  answers 'worker=app *' ask ed.test || result=1
  return "$result"
}

# --- many

at_once() {
  "$PEERS/hammer" "$main" "$work/ca.pem" 400 200 >"$work/hammer.out" 2>"$work/hammer.err" || {
    say "$(cat "$work/hammer.out") $(sort "$work/hammer.err" | uniq -c | head -n 3); $(tail -n 2 "$work/sluiced.log")"
    return 1
  }
}

processes() {
  echo "$daemon"
  keeper
  handshakers
}

measure() {
  local pid
  for pid in $(processes); do
    echo "$pid $(count_files "$pid") $(resident "$pid") $(tr '\0' ' ' <"/proc/$pid/cmdline")"
  done
}

compare() {
  awk -v growth="$GROWTH" '
    NR == FNR { files[$1] = $2; kb[$1] = $3; n++; next }
    !($1 in files) { print "# process " $1 " is new: " $4; bad = 1 }
    $2 > files[$1] { print "# " $4 ": " files[$1] " descriptors before, " $2 " after"; bad = 1 }
    $3 > kb[$1] + growth { print "# " $4 ": " kb[$1] " kB before, " $3 " after"; bad = 1 }
    { m++ }
    END { if (m != n) { print "# " n " processes before, " m " after"; bad = 1 } exit bad }
  ' "$work/before" "$work/after"
}

leaves_nothing() {
  local option
  measure >"$work/warm"
  "$PEERS/hammer" "$main" "$work/ca.pem" 200 4 >/dev/null 2>&1 || true # what is made once is made
  "$PEERS/hammer" "$main" "$work/ca.pem" 50 1 session_tickets=auto >/dev/null 2>&1 || true
  sleep 1
  measure >"$work/before"
  for option in session_tickets=disabled session_tickets=auto; do
    "$PEERS/hammer" "$main" "$work/ca.pem" $((HANDSHAKES / 2)) 1 "$option" \
      >"$work/hammer.out" 2>"$work/hammer.err" || {
      say "$(cat "$work/hammer.out") $(sort "$work/hammer.err" | uniq -c | head -n 3)"
      return 1
    }
  done
  sleep 1
  measure >"$work/after"
  compare || return 1
  grep -qv 'resumed=0' "$work/hammer.out" || { say "nothing was resumed: $(cat "$work/hammer.out")"; return 1; }
}

ends() {
  local children
  children=$(keeper; handshakers)
  kill -TERM "$daemon"
  await 15 eval "! kill -0 $daemon 2>/dev/null" || { say "the daemon does not end"; return 1; }
  wait "$daemon" || { say "its status is $?"; return 1; }
  for pid in $children; do
    ! kill -0 "$pid" 2>/dev/null || { say "$pid is left"; return 1; }
  done
  [ ! -e "$work/app.sock" ] || { say "its socket file is left"; return 1; }
}

at() { # PORT COMMAND...
  port=$1
  shift
  "$@"
}

prepare_daemon
configure
ktap_plan 18
attempt "the daemon starts, and workers attach" starts
attempt "connections go to the pool of their route, by name and protocol" at "$main" routes
attempt "curl is served over both versions" at "$main" through_curl
attempt "sluice connect is served" at "$main" through_sluice
attempt "the keeper signs with P-256" at "$main" signs localhost ECDHE-ECDSA-AES128-GCM-SHA256
attempt "the keeper signs with P-384" at "$main" signs p384.test ECDHE-ECDSA-AES256-GCM-SHA384
attempt "the keeper signs with Ed25519" at "$main" signs ed.test ECDHE-ECDSA-AES128-GCM-SHA256
attempt "the keeper signs with RSA" at "$main" signs rsa.test ECDHE-RSA-AES128-GCM-SHA256
attempt "the keeper decrypts with RSA" at "$main" decrypts
attempt "a wildcard stands for one label, in any case" at "$main" wildcard
attempt "an unknown host is refused with unrecognized_name" unknown_host
attempt "tickets resume in every handshaker, TLS 1.3" at "$main" resumes 1_3
attempt "tickets resume in every handshaker, TLS 1.2" at "$main" resumes 1_2
attempt "client certificates are verified" at "$main" client_certificate
attempt "peers that speak no TLS, or nothing, are ended in time" no_tls
attempt "200 connections at once" at_once
attempt "$HANDSHAKES handshakes leave no descriptor, memory or process" leaves_nothing
attempt "the daemon ends with all its processes" ends
exit "$ktap_failed"
