#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# How connections begin: PROXY headers in every form and every piece, who may send them, and whose the
# connection is then; what does not begin with TLS; shares, rates and deadlines of the first bytes.
# Environment: as tests/daemon/lib.sh; SLUICE_TEST_LONG: headers cut behind every byte, a larger flood, every lie
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

SLUICECTL=${SLUICECTL:-$(dirname "$SLUICE")/sluicectl}
RELAY=${RELAY:-$(dirname "$SLUICED")/sluice-relay}
KEEPER=$(dirname "$SLUICED")/sluice-keeper
CUTS=${SLUICE_TEST_LONG:+0}
CUTS=${CUTS:-140} # the header and the beginning of the hello
FLOOD=${SLUICE_TEST_LONG:+100000}
FLOOD=${FLOOD:-3000}
SHARE=5
RATE=4
GROWTH=12288 # kB that the daemon may grow by in a flood: 65536 sources are 6 MiB

greet() {
  "$(dirname "$0")/greet.py" "$@"
}

next_port() { # PORT: the next one that is free
  local candidate=$(($1 + 1))
  while is_listening "$candidate"; do candidate=$((candidate + 1)); done
  echo "$candidate"
}

configure() { # RATE
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$main", profile: main, pool: app, hello_timeout: 3000}
	  - name: proxied
	    address: "127.0.0.1:$proxied"
	    profile: main
	    pool: app
	    hello_timeout: 3000
	    proxy_from: [127.0.0.1, 127.1.0.0/16, "2001:db8::/32"]
	  - {name: sniffing, address: "127.0.0.1:$sniffing", profile: main, pool: app, plain_pool: plain, hello_timeout: 3000}
	  - {name: both, address: "127.0.0.1:$both", profile: main, pool: app, plain_pool: plain, proxy_from: [127.0.0.1]}
	  - {name: strict, address: "127.0.0.1:$strict", profile: main, pool: app, plain_pool: strict}
	  - {name: shared, address: "127.0.0.1:$shared", profile: main, pool: app, reuse_port: yes}
	  - {name: relayed, address: "127.0.0.1:$relayed", profile: main, pool: relayed, plain_pool: relayed}
	profiles:
	  main: {certfile: $work/ec.pem, keyfile: $work/ec.key}
	pools:
	  app: {socket: $work/app.sock}
	  plain: {socket: $work/plain.sock}
	  strict: {socket: $work/strict.sock}
	  relayed: {socket: $work/relayed.sock, users: [$relay_user]}
	limits: {handshakers: 2, per_source: $SHARE, per_source_rate: $1}
	log: {level: info}
	admin: {socket: $work/admin.sock}
	END
}

choose_ports() {
  main=$(free_port)
  proxied=$(next_port "$main")
  sniffing=$(next_port "$proxied")
  both=$(next_port "$sniffing")
  strict=$(next_port "$both")
  relayed=$(next_port "$strict")
  shared=$(next_port "$relayed")
}

starts() {
  start_daemon && start_worker app answer app && start_worker plain answer plain &&
    start_worker strict strict strict
}

counted() { # NAME: the count of the daemon
  "$SLUICECTL" -s "$work/admin.sock" status --json | sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p"
}

# says PATTERN COMMAND...: what it prints has the pattern.
says() {
  local pattern=$1 out
  shift
  out=$("$@" 2>&1 | tr '\0' '?') || true
  # shellcheck disable=SC2053 # a pattern is meant
  [[ $out == $pattern ]] && return 0
  say "$*: no '$pattern' in '$out'"
  say "$(tail -n 2 "$work/sluiced.log")"
  return 1
}

# --- PROXY headers

tls() { # HEADER HOW
  greet ask "$proxied" "$work/ca.pem" "$@"
}

named() {
  local header result=0 how
  for how in whole bytes behind; do
    for header in v1 v2 v2-tlvs; do
      says 'worker=app version=TLSv1.3 * peer=192.0.2.1:56324 local=198.51.100.2:443' tls "$header" "$how" || result=1
    done
  done
  for header in v1-ipv6 v2-ipv6; do
    says 'worker=app * peer=2001:db8::1:56324 local=2001:db8::2:443' tls "$header" || result=1
  done
  return "$result"
}

not_named() {
  local header result=0
  for header in v1-unknown v2-local v2-unix; do
    says "worker=app * peer=127.1.2.3:* local=127.0.0.1:$proxied" tls "127.1.2.3!$header" || result=1
  done
  return "$result"
}

in_pieces() {
  says '* cuts' greet cuts "$proxied" "$work/ca.pem" v2-tlvs "$CUTS" &&
    says '* cuts' greet cuts "$proxied" "$work/ca.pem" v1 $((CUTS ? 50 : 0))
}

is_shown() {
  local id fd
  exec {fd}> >(exec "$(dirname "$0")/greet.py" hold "$proxied" v2 1 >"$work/held")
  await 5 grep -qs . "$work/held" || return 1
  "$SLUICECTL" -s "$work/admin.sock" sessions --tsv peer=192.0.2.0/24 >"$work/sessions"
  id=$(awk 'NR == 2 { print $1 }' "$work/sessions")
  exec {fd}>&-
  grep -q '192.0.2.1:56324.*198.51.100.2:443' "$work/sessions" || {
    say "$(cat "$work/sessions"); $(cat "$work/held")"
    return 1
  }
  await 5 log_has "session $id ended: .* peer=192\\.0\\.2\\.1:56324 proxy=127\\.0\\.0\\.1:" || say "not in the log"
}

outsiders() {
  local before
  before=$(counted refused_proxy)
  says 'failed: *' tls 127.2.0.1!v1 || return 1
  log_has 'reason=proxy text="it is none of the listener.s proxies" peer=127\.2\.0\.1:' || { say "$(tail -n 1 "$work/sluiced.log")"; return 1; }
  [ "$(counted refused_proxy)" = $((before + 1)) ] || { say "not counted"; return 1; }
}

malformed() {
  local header result=0
  for header in none v2-huge '@PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n' '@PROXY TCP4 1.2.3.400 1.2.3.4 1 2\r\n' \
    '@\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd' '@GET / HTTP/1.0\r\n\r\n' '@\r\n\r\n\0\r\nQUIX\n'; do
    says 'failed: *' tls "$header" || result=1
  done
  for header in 'does not begin with a PROXY header' 'longer than 4096 bytes' 'ends without a CR' \
    'address or port that is none' 'too short for its addresses'; do
    log_has "$header" || { say "not in the log: $header"; result=1; }
  done
  # Nothing of a header that was begun is there for the next.
  says 'worker=app *' tls v1 || result=1
  return "$result"
}

# --- deadlines

# late HEADER PIECE TEXT: ended when a second has passed, not before; the log has the text, and where the time went.
late() {
  local tenths
  tenths=$(greet time "$1" "$2" "$3")
  if [ "${tenths:-0}" -ge 29 ] && [ "$tenths" -le 60 ] &&
    log_has "$4.* network_us=[0-9]\{6,7\} "; then return 0; fi
  say "'$2' and '$3': ended after $tenths tenths of a second; $(tail -n 1 "$work/sluiced.log")"
  return 1
}

# All at the same time.
deadlines() {
  local pid jobs=() result=0
  late "$proxied" none '' 'the PROXY header did not come in time' & jobs+=($!)
  late "$proxied" '@PROXY UNKNOWN ' x 'the PROXY header did not come in time' & jobs+=($!)
  late "$proxied" v1 '' 'the ClientHello did not come in time' & jobs+=($!)
  late "$proxied" '@PROXY UNKNOWN\r\n\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03' x 'the ClientHello did not come in time' & jobs+=($!)
  late "$sniffing" none '' 'the first byte did not come in time' & jobs+=($!)
  late "$sniffing" '@\x16' '' 'the ClientHello did not come in time' & jobs+=($!)
  late "$main" none '' 'the ClientHello did not come in time' & jobs+=($!)
  for pid in "${jobs[@]}"; do wait "$pid" || result=1; done
  return "$result"
}

# --- shares

shares() {
  local fd before result=0
  before=$(counted refused_share)
  rm -f "$work/held"
  exec {fd}> >(exec "$(dirname "$0")/greet.py" hold "$proxied" v1 $((SHARE + 3)) >"$work/held")
  await 5 grep -qs . "$work/held" || return 1
  [ "$(cat "$work/held")" = "$SHARE" ] || { say "$(cat "$work/held") handshakes of one source at once"; result=1; }
  says 'failed: *' tls v1 || result=1
  says 'worker=app * peer=192.0.2.77:56324 *' tls v1-other || result=1
  says 'worker=app *' tls v2-local || result=1 # the proxy itself
  exec {fd}>&-
  log_has 'reason=share .*its share of handshakes.* peer=192\.0\.2\.1:' || { say "not in the log"; result=1; }
  [ "$(counted refused_share)" = $((before + 4)) ] || { say "counted: $before, then $(counted refused_share)"; result=1; }
  await 5 eval "[[ \$(greet ask $proxied $work/ca.pem v1) == worker=app* ]]" || { say "not served again"; result=1; }
  return "$result"
}

# --- without TLS

sniffs() {
  says "worker=plain plain listener=sniffing peer=127.5.6.7:* local=127.0.0.1:$sniffing read=GET / HTTP/1.0" \
    greet raw "$sniffing" 127.5.6.7!none 'GET / HTTP/1.0\r\n\r\n' &&
    says 'worker=plain plain * read=x' greet raw "$sniffing" none x &&
    says 'worker=app version=TLSv1.3 *' greet ask "$sniffing" "$work/ca.pem" none bytes &&
    ! says '*plain*' greet raw "$main" none 'hello\r\n' >/dev/null && # a listener without plain_pool
    log_has 'SLUICE_E_NOT_TLS'
}

sniffs_behind_a_proxy() {
  says 'worker=plain plain listener=both peer=192.0.2.1:56324 local=198.51.100.2:443 read=hello' \
    greet raw "$both" v2-tlvs 'hello\r\n' &&
    says 'worker=app * peer=192.0.2.1:56324 *' greet ask "$both" "$work/ca.pem" v1 bytes &&
    says 'nothing' greet raw "$both" none 'hello\r\n'
}

not_expected() {
  says nothing greet raw "$strict" none 'hello\r\n' || return 1
  await 5 grep -q 'not TLS' "$work/worker-strict.out" || { say "the worker is not told"; return 1; }
  says 'worker=app *' greet ask "$strict" "$work/ca.pem" none
}

# Binding is enough: nothing of ours goes there, as nobody listens.
binds() { # PORT
  python3 - "$1" 2>/dev/null <<-'END'
	import socket, sys
	s = socket.socket()
	s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
	s.bind(("127.0.0.1", int(sys.argv[1])))
	END
}
shares_a_port() {
  binds "$shared" || { say "reuse_port: it cannot be shared"; return 1; }
  ! binds "$main" || { say "without reuse_port it can be shared"; return 1; }
}

relay_refuses() {
  local become=()
  [ "$(id -u)" != 0 ] || become=(--as nobody)
  "$RELAY" --pool "$work/relayed.sock" --offer "$work/offered.sock" "${become[@]}" >"$work/relay.log" 2>&1 &
  pids+=($!)
  await 10 [ -S "$work/offered.sock" ] || { say "$(cat "$work/relay.log")"; return 1; }
  "$(dirname "$0")/echo-worker.py" "$work/offered.sock" first >"$work/first.log" 2>&1 &
  pids+=($!)
  says nothing greet raw "$relayed" none 'hello\r\n' || return 1
  await 5 grep -q 'has no TLS' "$work/relay.log" || { say "$(cat "$work/relay.log")"; return 1; }
  port=$relayed
  answers hello ask localhost # it goes on with TLS
}

# --- rates

reload() { # RATE
  local n
  n=$(grep -c 'configuration is new' "$work/sluiced.log" || true)
  configure "$1"
  kill -HUP "$daemon"
  await 10 eval "[ \"\$(grep -c 'configuration is new' '$work/sluiced.log')\" -gt $n ]"
}

# A burst of 10 is served as far as the rate goes; a slow machine may have time for some more.
limited() { # PORT HEADER
  local got
  got=$(greet burst "$1" "$2" 10 'x\n')
  if [ "${got:-0}" -ge "$RATE" ] && [ "$got" -lt 10 ]; then return 0; fi
  say "$got of 10 were served at a rate of $RATE"
  return 1
}

rates() {
  local before i result=0
  reload "$RATE" || return 1
  before=$(counted refused_rate)
  limited "$sniffing" 127.9.9.9!none || result=1
  for i in 1 2 3 4 5; do # others, meanwhile
    says 1 greet burst "$sniffing" "127.9.8.$i!none" 1 'x\n' || result=1
  done
  limited "$both" v1 || result=1
  says 1 greet burst "$both" v1-other 1 'x\n' || result=1
  [ "$(counted refused_rate)" -gt $((before + 1)) ] || { say "not counted"; result=1; }
  log_has 'reason=rate text="its source comes too often" peer=127\.9\.9\.9:' || { say "not in the log"; result=1; }
  sleep 1.1
  says 3 greet burst "$sniffing" 127.9.9.9!none 3 'x\n' || result=1
  return "$result"
}

flood() {
  local before after
  before=$(resident "$daemon")
  greet flood "$main" "$FLOOD" || return 1
  after=$(resident "$daemon")
  say "$FLOOD sources: $before kB before, $after kB after"
  [ $((after - before)) -le "$GROWTH" ] || return 1
  says 'worker=app *' greet ask "$main" "$work/ca.pem" none
}

# --- lies

# Whatever it says of a session that cannot be: it is replaced, and nobody gets the session.
lies() { # LIE PORT TEXT
  echo "$1" >"$work/bin/false-handshaker.lie"
  start_daemon && start_worker app hold liars && start_worker plain hold liars || return 1
  greet raw "$2" none x >/dev/null || return 1
  await 10 log_has "a handshaker (pid [0-9]*) lies: $3" || { say "$1: $(tail -n 2 "$work/sluiced.log")"; return 1; }
  await 10 log_has "a handshaker (pid [0-9]*) ended by signal 9" || { say "it goes on"; return 1; }
  stop "$daemon"
}

all_lies() {
  local SLUICED=$work/bin/sluiced result=0
  mkdir "$work/bin"
  cp "$SLUICE_DAEMON" "$work/bin/sluiced"
  cp "$KEEPER" "$work/bin/sluice-keeper"
  cp "$PEERS/false-handshaker" "$work/bin/sluice-handshaker"
  chmod 644 "$work/bin/false-handshaker.lie" 2>/dev/null || true
  lies proxied "$main" 'a PROXY header where there is none' || result=1
  lies established "$proxied" 'a session without the PROXY header that it needs' || result=1
  lies socket "$main" 'it sent another number of descriptors than the message has' || result=1
  lies lines "$main" 'a question that is none' || result=1
  lies questions "$main" 'a second question about a peer' || result=1
  [ "${SLUICE_TEST_LONG:-}" ] || return "$result"
  lies proxied "$proxied" 'a PROXY header where there is none' || result=1
  lies garbage "$proxied" 'a PROXY header with addresses that are none' || result=1
  lies half "$proxied" 'a PROXY header with addresses that are none' || result=1
  lies plain "$main" 'a plain session where there are none' || result=1
  lies headless "$both" 'a plain session where there are none' || result=1
  return "$result"
}

# --- the configuration

checks() {
  local result=0
  configure 0
  "$SLUICED" --config "$work/sluiced.conf" --check >/dev/null || { say "a good one is refused"; result=1; }
  sed 's,127.1.0.0/16,127.1.0.0/15,' "$work/sluiced.conf" >"$work/bad.conf"
  says "*bad.conf:8:29: proxy_from: \"127.1.0.0/15\" has bits behind its prefix; did you mean \"127.0.0.0/15\"?" \
    "$SLUICED" --config "$work/bad.conf" --check || result=1
  sed 's,127.1.0.0/16,127.1.0.0/33,' "$work/sluiced.conf" >"$work/bad.conf"
  says '*bad.conf:8:29: proxy_from: takes *' "$SLUICED" --config "$work/bad.conf" --check || result=1
  sed 's,plain_pool: strict,plain_pool: nobody,' "$work/sluiced.conf" >"$work/bad.conf"
  says '*plain_pool: there is no pool "nobody"; *' "$SLUICED" --config "$work/bad.conf" --check || result=1
  return "$result"
}

SLUICE_DAEMON=$SLUICED
prepare_daemon
choose_ports
configure 0
ktap_plan 18
attempt "bad prefixes and pools are refused with their place" checks
attempt "the daemon starts, and workers attach" starts
attempt "a PROXY header names the ends of a connection, whole, in bytes and ahead" named
attempt "a PROXY header that names nobody leaves the proxy's address" not_named
attempt "header and hello are read wherever they are cut" in_pieces
attempt "sluicectl and the log have the address of the header" is_shown
attempt "whoever is none of the listener's proxies is refused" outsiders
attempt "malformed headers, and none, are refused by name" malformed
attempt "headers and hellos that do not come are waited for no longer than hello_timeout" deadlines
attempt "shares are those of the address in the header" shares
attempt "a port is shared where that is asked for" shares_a_port
attempt "what does not begin with TLS goes to the plain_pool" sniffs
attempt "... behind a PROXY header too" sniffs_behind_a_proxy
attempt "a worker that takes no plain connections says so, and goes on" not_expected
attempt "a relay refuses plain connections, and goes on" relay_refuses
attempt "a source that comes too often is refused, and no other" rates
attempt "$FLOOD sources: memory has a bound" flood
stop "$daemon"
attempt "a handshaker that lies is replaced" all_lies
exit "$ktap_failed"
