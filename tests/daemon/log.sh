#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The log of sluiced: a line for each connection that ended, which no peer and no worker can forge; as many
# lines as the configuration wants; and nobody who reads them slowly, or not at all, holds up the daemon.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2015,SC2016,SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

SLUICECTL=${SLUICECTL:-$build/tools/sluicectl}
CONNECTIONS=200 # their lines are more than a pipe of one page takes

configure() { # LOG
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app}
	profiles:
	  main: {certfile: $work/ec.pem, keyfile: $work/ec.key, alpn_preferred_protocols: [h2, http/1.1]}
	pools:
	  app: {socket: $work/app.sock}
	limits: {handshakers: 2, per_source: 500, drain: 100}
	admin: {socket: $work/admin.sock}
	log: {$1}
	END
}

serves() {
  "$SLUICECTL" --socket "$work/admin.sock" status --json >"$work/status" 2>/dev/null &&
    grep -q '"state": *"serving"' "$work/status"
}

# start COMMAND...: the daemon, run by a command that says where its standard error goes.
start() {
  [ -z "${daemon:-}" ] || stop "$daemon"
  "$@" &
  daemon=$!
  pids+=("$daemon")
  await 20 serves || { say "sluiced does not serve"; return 1; }
  start_worker app echo "w$daemon"
}

to_file() {
  exec "$SLUICED" --config "$work/sluiced.conf" 2>"$work/sluiced.log"
}

# hello: one connection that says a line and gets it back
hello() {
  rm -f "$work/hello"
  # shellcheck disable=SC2094 # it is to be closed when the answer is there
  { echo hello; await 10 grep -qs '^hello' "$work/hello"; } |
    timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername localhost -alpn h2 -no_ign_eof \
      >"$work/hello" 2>/dev/null
  grep -qs '^hello' "$work/hello"
}

crowd() {
  "$PEERS/crowd" "$port" "$work/ca.pem" "$CONNECTIONS" 50 </dev/null >"$work/crowd" 2>&1 &&
    grep -q "^echoed $CONNECTIONS" "$work/crowd" && return
  say "$(tail -n 1 "$work/crowd")"
  return 1
}

dropped() { # REASON: as sluicectl counts them
  "$SLUICECTL" --socket "$work/admin.sock" stats --tsv |
    awk -F '\t' -v name="log_lines_dropped_$1" '$2 == name { print $3 }'
}

# --- what a line says

has_all() { # LINE PATTERN...
  local line=$1 pattern result=0
  shift
  for pattern in "$@"; do
    grep -qE -- " $pattern( |\$)" <<<"$line" || { say "no $pattern in: $line"; result=1; }
  done
  return "$result"
}

one_line() {
  local line
  configure 'level: info'
  start to_file && hello || return 1
  await 10 log_has 'session 1 ended' || { say "no line"; return 1; }
  [ "$(grep -c 'session 1 ended' "$work/sluiced.log")" = 1 ] || { say "more than one line"; return 1; }
  line=$(grep 'session 1 ended' "$work/sluiced.log")
  has_all "$line" 'reason=(closed|SLUICE_E_[A-Z]+)' 'peer=127\.0\.0\.1:[0-9]+' listener=main pool=app worker=1 \
    version=TLSv1.3 'suite=TLS_[A-Z0-9_]+' sni=localhost alpn=h2 resumed=no 'rx_path=(kernel|user)' \
    'rx_records=[0-9]+' 'tx_records=[0-9]+' 'tx_bytes=[1-9][0-9]*' 'queue_us=[0-9]+' 'sign_us=[1-9][0-9]*' 'total_us=[1-9][0-9]*' \
    'handover_us=[1-9][0-9]*'
}

failures() {
  local line
  printf 'GET / HTTP/1.0\r\n\r\n' >"/dev/tcp/127.0.0.1/$port"
  await 10 log_has 'reason=SLUICE_E_HTTP_REQUEST' || { say "$(tail -n 1 "$work/sluiced.log")"; return 1; }
  line=$(grep 'reason=SLUICE_E_HTTP_REQUEST' "$work/sluiced.log")
  has_all "$line" role=server stage=hello listener=main 'queue_us=[0-9]+' 'text=".*"' || return 1
  # The peer's alert, and ours.
  printf '' | openssl s_client -connect "127.0.0.1:$port" -tls1_2 -servername localhost -verify_return_error \
    >/dev/null 2>&1 || true
  await 10 log_has 'alert_from=peer' || { say "no alert of the peer: $(tail -n 1 "$work/sluiced.log")"; return 1; }
  has_all "$(grep alert_from=peer "$work/sluiced.log")" 'session [0-9]+ ended:' 'peer=127\.0\.0\.1:[0-9]+' role=server \
    'stage=[a-z]+' alert=unknown_ca alert_level=fatal || return 1
  printf '' | openssl s_client -connect "127.0.0.1:$port" -tls1_1 -cipher 'ALL:@SECLEVEL=0' >/dev/null 2>&1 || true
  await 10 log_has 'alert_from=us' || { say "no alert of ours: $(tail -n 1 "$work/sluiced.log")"; return 1; }
  has_all "$(grep alert_from=us "$work/sluiced.log" | tail -n 1)" alert=protocol_version role=server 'stage=[a-z]+'
}

# --- what it does not let others say

forged=$'x\nsluiced: error: forged "by a peer" reason=y\e[2J'

no_forgery() {
  local result=0
  ! grep -q '^sluiced: error: forged' "$work/sluiced.log" || { say "a line was forged"; result=1; }
  ! grep -qP '[\x00-\x09\x0b-\x1f\x7f-\xff]' "$work/sluiced.log" || { say "control characters"; result=1; }
  return "$result"
}

hostile_peer() {
  openssl s_client -connect "127.0.0.1:$port" -servername "$forged" -alpn "$forged,h2" </dev/null \
    >/dev/null 2>&1 || true
  await 10 log_has 'forged' || { say "the name is not in the log: $(tail -n 2 "$work/sluiced.log")"; return 1; }
  no_forgery && grep -qF 'sni="x\x0asluiced: error: forged \"by a peer\" reason=y\x1b[2J"' "$work/sluiced.log" ||
    { say "$(grep forged "$work/sluiced.log" | cat -v)"; return 1; }
}

# A worker of our own making, as anybody may write one: it says why a connection ended.
hostile_worker() {
  stop "$worker"
  python3 - "$work/app.sock" "$forged" <<-'END' &
	import array, socket, struct, sys
	s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
	s.connect(sys.argv[1])
	def attr(kind, value):
	    return struct.pack("<HH", kind, len(value)) + value
	def send(kind, ident, *attrs):
	    s.send(struct.pack("<BBHI", 1, kind, 0, ident) + b"".join(attrs))
	send(1, 0)
	send(2, 0, attr(6, struct.pack("<Q", 1)))
	while True:
	    message, _, _, _ = s.recvmsg(65536, 1024)
	    if not message:
	        break
	    if message[1] != 17:
	        continue
	    at, session = 8, b""
	    while at < len(message):
	        kind, n = struct.unpack_from("<HH", message, at)
	        if kind == 32:
	            session = message[at + 4:at + 4 + n]
	        at += 4 + n
	    ident = struct.unpack_from("<I", message, 4)[0]
	    send(3, ident)
	    send(5, ident, attr(32, session), attr(2, sys.argv[2].encode()))
	    s.recv(1)
	END
  pids+=("$!")
  openssl s_client -connect "127.0.0.1:$port" -servername localhost </dev/null >/dev/null 2>&1 || true
  await 10 log_has 'reason=worker text="x' || { say "$(tail -n 2 "$work/sluiced.log" | cat -v)"; return 1; }
  no_forgery
  local result=$?
  stop "$daemon"
  return "$result"
}

# --- how much

# Of one second's connections no more than 20 have their line, and it is told of the others.
limited() {
  local lines told
  configure 'rate: 20'
  start to_file && crowd || return 1
  await 5 log_has 'lines were dropped' || { say "nothing was dropped"; return 1; }
  sleep 1.2
  lines=$(grep -c ' ended: ' "$work/sluiced.log")
  told=$(sed -n 's/^sluiced: warning: \([0-9]*\) lines were dropped$/\1/p' "$work/sluiced.log" | awk '{ n += $1 } END { print n }')
  [ "$lines" -lt "$CONNECTIONS" ] && [ $((lines + told)) -ge "$CONNECTIONS" ] &&
    [ "$(dropped rate)" = "$told" ] || {
    say "$lines lines of $CONNECTIONS, $told told as dropped, $(dropped rate) counted"
    return 1
  }
  stop "$daemon"
}

# --- who does not read

to_pipe() {
  exec "$SLUICED" --config "$work/sluiced.conf" 2>"$work/pipe"
}

blocked_pipe() {
  local result=0 reader
  configure 'level: debug'
  mkfifo "$work/pipe"
  # Of one page, and not read before it is told to.
  python3 - "$work/pipe" "$work/sluiced.log" "$work/read" <<-'END' &
	import fcntl, os, sys, time
	pipe = os.open(sys.argv[1], os.O_RDONLY)
	fcntl.fcntl(pipe, 1031, 4096)  # F_SETPIPE_SZ
	while not os.path.exists(sys.argv[3]):
	    time.sleep(0.05)
	with open(sys.argv[2], "wb", 0) as out:
	    while data := os.read(pipe, 65536):
	        out.write(data)
	END
  reader=$!
  pids+=("$reader")
  rm -f "$work/sluiced.log"
  start to_pipe && crowd && serves || result=1
  [ "$(dropped blocked)" -gt 0 ] || { say "nothing was dropped"; result=1; }
  touch "$work/read"
  await 10 grep -qs 'lines were dropped' "$work/sluiced.log" || { say "it is not told"; result=1; }
  hello || result=1
  await 10 sh -c "tail -n 2 '$work/sluiced.log' | grep -q ' ended: '" || { say "no line afterwards"; result=1; }
  stop "$daemon"
  wait "$reader" || result=1
  return "$result"
}

to_full() {
  exec "$SLUICED" --config "$work/sluiced.conf" 2>/dev/full
}

full_disk() {
  local result=0
  configure 'level: debug'
  start to_full && crowd && serves || result=1
  [ "$(dropped blocked)" -ge "$CONNECTIONS" ] || { say "$(dropped blocked) dropped"; result=1; }
  stop "$daemon"
  return "$result"
}

# In a mount namespace of its own the log's socket is ours: its reader reads, stops reading, and goes.
in_namespace() { # PATH OF THE SOCKET
  exec unshare -m bash -c '
    set -e
    if [ "$1" = /dev/log ]; then
      mkdir -p "$2/dev"
      mount --rbind /dev "$2/dev"
      mount -t tmpfs none /dev
      for name in null zero full random urandom; do
        : >"/dev/$name"
        mount --bind "$2/dev/$name" "/dev/$name"
      done
      ln -s /proc/self/fd /dev/fd
    else
      mkdir -p /run/systemd
      mount -t tmpfs none /run/systemd
      mkdir -p "$(dirname "$1")"
    fi
    ln -s "$2/log.sock" "$1"
    exec "$3" --config "$2/sluiced.conf" 2>"$2/sluiced.log"' - "$1" "$work" "$SLUICED"
}

# reader: a datagram socket whose reader writes what comes into a file, but for as long as there is a
# file "stop"; a file "end" ends it.
reader() {
  rm -f "$work/stop" "$work/end" "$work/entries" "$work/ready"
  python3 - "$work" <<-'END' &
	import os, socket, sys, time
	work = sys.argv[1]
	s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	s.bind(work + "/new.sock")
	os.rename(work + "/new.sock", work + "/log.sock")  # there is always one
	open(work + "/ready", "w").close()
	s.settimeout(0.05)
	with open(work + "/entries", "wb", 0) as out:
	    while not os.path.exists(work + "/end"):
	        if os.path.exists(work + "/stop"):
	            time.sleep(0.05)
	            continue
	        try:
	            out.write(s.recv(65536) + b"\0\n")
	        except TimeoutError:
	            pass
	END
  reader=$!
  pids+=("$reader")
  await 10 test -e "$work/ready"
}

logged() {
  grep -qa -- "$1" "$work/entries"
}

# datagrams PATH LOG PATTERN: what is sent there, while it is read, not read, gone, and there again
datagrams() {
  local result=0
  configure "$2"
  reader || return 1
  start in_namespace "$1" || return 1
  hello || result=1
  await 10 logged "$3" || { say "no entry: $(tail -c 300 "$work/entries" | tr '\0' ' ')"; result=1; }
  touch "$work/stop"
  crowd && serves || { say "nobody reads: the daemon stands"; result=1; }
  [ "$(dropped blocked)" -gt 0 ] || { say "nothing was dropped"; result=1; }
  rm "$work/stop"
  await 10 logged 'lines were dropped' || { say "it is not told"; result=1; }
  touch "$work/end"
  wait "$reader"
  crowd && serves || { say "nobody is there: the daemon stands"; result=1; }
  reader || return 1
  await 10 logged 'lines were dropped' || { say "the new reader is not found"; result=1; }
  stop "$daemon"
  return "$result"
}

journal() {
  datagrams /run/systemd/journal/socket 'target: journal, level: debug' '^SLUICE_REASON$' || return 1
}

prepare_daemon
ktap_plan 8
# test: each connection that ended has one line in the log
attempt "each connection that ended has one line in the log" one_line
# test: AL-03 AL-04 a failed handshake has its reason and its alert in the log
attempt "AL-03 AL-04 a failed handshake has its reason and its alert in the log" failures
# test: a peer cannot forge a line of the log
attempt "a peer cannot forge a line of the log" hostile_peer
# test: a worker cannot forge a line of the log
attempt "a worker cannot forge a line of the log" hostile_worker
# test: lines above the log's rate are dropped and counted
attempt "lines above the log's rate are dropped and counted" limited
# test: a log that nobody reads holds up nobody
attempt "a log that nobody reads holds up nobody" blocked_pipe
# test: a log without room holds up nobody
attempt "a log without room holds up nobody" full_disk
# test: journal and syslog hold up nobody
if unshare -m true 2>/dev/null; then
  attempt "journal and syslog hold up nobody" eval 'journal && datagrams /dev/log "target: syslog, level: debug" "sluiced\[[0-9]*\]: session [0-9]* ended: reason="'
else
  skip "journal and syslog hold up nobody" "needs a mount namespace"
fi
exit "$ktap_failed"
