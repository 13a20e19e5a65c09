#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluicectl and the administration socket of sluiced: every command, in every format; who may do what;
# and clients that do not behave, which must disturb neither the daemon nor each other.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/../interop/lib.sh"

tools=$(dirname "$SLUICE")
SLUICECTL=${SLUICECTL:-$tools/sluicectl}
SLUICED=${SLUICED:-$tools/../daemon/sluiced}
WORKER=${WORKER:-$tools/../examples/example-worker}
NOBODY=65534
READERS=54321 # a group that nobody is in
PYTHON=$(python3 -c 'import sys; print(sys.executable)')
socket=$work/admin.sock

# --- the daemon

configure() {
  cat >"$work/conf" <<-END
	listeners:
	  - name: https
	    address: "127.0.0.1:$port"
	    profile: web
	    pool: app
	  - name: slow
	    address: "127.0.0.1:$slow"
	    profile: web
	    pool: empty
	profiles:
	  web:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    alpn_preferred_protocols: [h2, http/1.1]
	    hosts:
	      - names: [shop.example, "*.shop.example"]
	        certfile: $work/locked.pem
	        keyfile: $work/locked.key
	        password: swordfish
	pools:
	  app:
	    socket: $work/app.sock
	  empty:
	    socket: $work/empty.sock
	    wait: 60000
	limits:
	  handshakers: 2
	admin:
	  socket: $socket
	  read_group: $READERS
	END
}

await() { # COMMAND...: until it succeeds
  local i
  for ((i = 0; i < 200; i++)); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.05
  done
  say "in vain: $*"
  return 1
}

start_daemon() {
  port=$(free_port)
  slow=$((port + 1))
  while is_listening "$slow"; do slow=$((slow + 1)); done
  openssl pkey -in "$work/rsa.key" -aes256 -passout pass:swordfish -out "$work/locked.key" 2>/dev/null
  cp "$work/rsa.pem" "$work/locked.pem"
  configure
  "$SLUICED" -c "$work/conf" 2>"$work/daemon.log" &
  daemon=$!
  pids+=("$daemon")
  await ctl status || {
    say "$(cat "$work/daemon.log")"
    exit 1
  }
  "$WORKER" "$work/app.sock" 2>"$work/worker.log" &
  pids+=("$!")
  await has_worker
}

has_worker() {
  ctl workers --tsv | grep -q attached
}

# The socket is in a directory that nobody else may enter, and this is about the socket.
ctl() {
  "$SLUICECTL" --socket "$socket" "$@"
}

# session PORT: a connection that stays, until `stop $client`; its row is in the list then.
session() {
  local had
  had=$(ctl sessions --tsv | wc -l)
  exec {hold}> >(exec "$SLUICE" connect "localhost:$1" --cacert "$work/ca.pem" --servername localhost \
    >"$work/client.out" 2>&1)
  client=$!
  pids+=("$client")
  echo hello >&"$hold"
  await more_rows_than "$had"
}

more_rows_than() {
  [ "$(ctl sessions --tsv | grep -cE '	(live|queued)	|^id')" -gt "$1" ]
}

leave() {
  exec {hold}>&-
  stop "$client"
  await no_sessions
}

no_sessions() {
  [ "$(ctl sessions --tsv | wc -l)" -eq 1 ]
}

# --- what is checked

# ends STATUS PATTERN COMMAND...: the status of sluicectl, and what it says on either output.
ends() {
  local wanted=$1 pattern=$2 status=0
  shift 2
  "$@" >"$work/said" 2>&1 || status=$?
  if [ "$status" -eq "$wanted" ] && grep -qE -- "$pattern" "$work/said"; then return 0; fi
  say "$*: status $status instead of $wanted, or no '$pattern': $(head -n 3 "$work/said" | tr '\n' ' ')"
  return 1
}

valid() { # COMMAND...: its --json is JSON, its --tsv as wide in every line
  local result=0
  ctl "$@" --json | "$PYTHON" -m json.tool >"$work/json" || {
    say "$* --json is no JSON"
    result=1
  }
  ctl "$@" --tsv | awk -F '\t' 'NR == 1 { n = NF } NF != n { bad = 1 } END { exit bad || n < 2 }' || {
    say "$* --tsv has ragged lines"
    result=1
  }
  return "$result"
}

lists() {
  local result=0 command id
  session "$port" || return 1
  id=$(ctl sessions --tsv | awk 'NR == 2 { print $1 }')
  for command in status sessions stats workers listeners certs options "session $id"; do
    # shellcheck disable=SC2086
    valid $command || result=1
  done
  ends 0 'State +serving' ctl status || result=1
  ends 0 "^ *$id +live +server +https +app +1 +127.0.0.1:[0-9]+ +localhost +TLSv1.3" ctl sessions || result=1
  ends 0 "h2|TLS_AES" ctl sessions --wide || result=1
  ends 0 'Server name +localhost' ctl session "$id" || result=1
  ends 0 'In +[1-9][0-9]* B' ctl session "$id" || result=1
  ends 0 '"sign_us": *[1-9]' ctl session "$id" --json || result=1
  ends 0 'From there to its worker +[1-9]' ctl session "$id" || result=1
  ends 0 'daemon +established +[1-9]' ctl stats || result=1
  ends 0 '1 +app +attached' ctl workers || result=1
  ends 0 "https +127.0.0.1:$port +accepting +web +app" ctl listeners || result=1
  ends 0 'shop.example,\*.shop.example' ctl certs || result=1
  ends 0 'alpn_preferred_protocols +file +h2,http/1.1' ctl options || result=1
  ctl sessions --tsv | head -n 1 >"$work/head"
  same <(printf '%s\n' "id	state	role	listener	pool	worker	peer	local	sni	alpn	version	suite	rx_path	tx_path	rx_bytes	tx_bytes	age_ms	peer_identity") \
    "$work/head" "the columns of sessions" || result=1
  leave
  return "$result"
}

# A daemon that was started before sluicectl was upgraded, and one that breaks off.
older() {
  local result=0 pid
  "$PYTHON" - "$work/old.sock" <<-'END' &
	import socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.bind(sys.argv[1])
	s.listen(4)
	answers = [b'{"ok":false,"error":"request","text":"request takes status, sessions, kill or stop"}\n',
	           b'{"ok":false,"error":"request","text":"request takes status, rekey or stop"}\n', b'{"row":']
	for answer in answers:
	    c = s.accept()[0]
	    c.recv(4096)
	    c.sendall(answer)
	    c.close()
	END
  pid=$!
  pids+=("$pid")
  await test -S "$work/old.sock"
  ends 1 "older than this sluicectl .* does not know rekey; restart" "$SLUICECTL" -s "$work/old.sock" rekey 1 || result=1
  ends 2 "request takes" "$SLUICECTL" -s "$work/old.sock" rekey 1 || result=1
  ends 3 "broke off" "$SLUICECTL" -s "$work/old.sock" status || result=1
  wait "$pid" || result=1
  return "$result"
}

# The digest that is shown is that of the key.
digests() {
  local digest
  digest=$(openssl pkey -in "$work/ec.key" -pubout -outform DER | sha256sum | cut -d ' ' -f 1)
  ends 0 "$digest" ctl certs --wide
}

secrets() {
  local command
  for command in status stats certs options sessions workers listeners; do
    if ctl "$command" --json | grep -qiE 'swordfish|PRIVATE'; then
      say "$command tells a secret"
      return 1
    fi
  done
  ! grep -q swordfish "$work/daemon.log"
}

colours() {
  ends 0 'State' ctl status || return 1
  if grep -q $'\033' "$work/said"; then
    say "colours without a terminal"
    return 1
  fi
  TERM=xterm script -qec "$SLUICECTL -s $socket status" /dev/null </dev/null >"$work/said"
  grep -q $'\033\[32mserving' "$work/said" || {
    say "no colours on a terminal"
    return 1
  }
  NO_COLOR=1 TERM=xterm script -qec "$SLUICECTL -s $socket status" /dev/null </dev/null >"$work/said"
  ! grep -q $'\033' "$work/said"
}

top() {
  local result=0
  ends 2 'needs a terminal' ctl top || result=1
  (sleep 2.5; printf q; sleep 1) | TERM=xterm timeout 10 script -qec "$SLUICECTL -s $socket top" /dev/null \
    >"$work/said" || result=1
  [ "$(grep -ac 'sluiced' "$work/said")" -ge 2 ] || {
    say "no refresh"
    result=1
  }
  return "$result"
}

usage() {
  local result=0 command
  ends 2 Usage ctl || result=1
  ends 0 Usage "$SLUICECTL" --help || result=1
  for command in $("$SLUICECTL" --words | grep -v '^-'); do
    ends 0 "Usage: .* $command" "$SLUICECTL" "$command" --help || result=1
    grep -q "Cm.*\\b$command\\b" "$(dirname "$0")/../../tools/sluicectl.8" || {
      say "$command is not in the manual"
      result=1
    }
  done
  ends 2 "no command 'foo'" ctl foo || result=1
  ends 2 "no filter" ctl sessions foo=1 || result=1
  ends 2 "no filter" ctl sessions state= || result=1
  ends 2 "twice" ctl sessions state=live state=live || result=1
  ends 2 "state takes" ctl sessions state=dead || result=1
  ends 2 "not the number" ctl session x || result=1
  ends 2 usage ctl kill || result=1
  ends 2 usage ctl rekey || result=1
  ends 2 "one session, or filters" ctl rekey 1 2 || result=1
  ends 2 "no filter" ctl rekey foo=1 || result=1
  ends 2 "rekey's" ctl kill 1 --both || result=1
  ends 2 "trace's" ctl sessions --source 127.0.0.1 || result=1
  ends 2 "trace takes" ctl trace || result=1
  ends 2 "trace takes" ctl trace 1 --listener https || result=1
  ends 2 "peer takes" ctl trace --source nowhere || result=1
  ends 2 "for takes|1 to 86400" ctl trace --listener https --for 0 || result=1
  ends 2 "choose one" ctl status --json --tsv || result=1
  ends 2 "no --tsv" ctl reload --tsv || result=1
  ends 2 "level takes" ctl log loud || result=1
  ends 2 "unrecognized" ctl status --bogus || result=1
  ends 3 "is sluiced running" "$SLUICECTL" -s "$work/nothing" status || result=1
  ends 0 '"ktls"' "$SLUICECTL" probe --json || result=1
  return "$result"
}

filters() {
  local result=0 id
  session "$port" || return 1
  id=$(ctl sessions --tsv | awk 'NR == 2 { print $1 }')
  for filter in state=live listener=https pool=app worker=1 sni=localhost peer=127.0.0.1 peer=127.0.0.0/8; do
    ends 0 "^$id	" ctl sessions "$filter" --tsv || result=1
  done
  for filter in state=queued listener=slow pool=empty worker=2 sni=- peer=127.0.0.2 peer=::1; do
    ends 1 "^id	" ctl sessions "$filter" --tsv || result=1
  done
  ends 0 "^$id	" ctl sessions state=live sni=localhost --tsv || result=1
  ends 1 "^id	" ctl sessions state=live sni=x --tsv || result=1
  leave
  return "$result"
}

kills() {
  local result=0 id
  session "$port" || return 1
  id=$(ctl sessions --tsv | awk 'NR == 2 { print $1 }')
  ends 1 "no session" ctl kill 99999 || result=1
  ends 1 "no session" ctl kill sni=elsewhere || result=1
  ends 0 "ended: 1" ctl kill "$id" || result=1
  await no_sessions || result=1
  stop "$client"
  exec {hold}>&-
  session "$slow" || return 1 # nobody takes it
  ends 0 "queued" ctl sessions state=queued || result=1
  ends 0 '"killed":1' ctl kill state=queued --json || result=1
  await no_sessions || result=1
  stop "$client"
  exec {hold}>&-
  return "$result"
}

drains() {
  local result=0
  session "$port" || return 1
  ends 0 "sessions: 1" ctl drain || result=1
  ends 0 draining ctl status || result=1
  ends 0 'closed' ctl listeners || result=1
  if is_listening "$port"; then
    say "it still listens"
    result=1
  fi
  ends 0 live ctl sessions state=live || result=1
  leave
  ends 0 again ctl drain off || result=1
  session "$port" && leave || result=1
  return "$result"
}

reloads() {
  local result=0
  ends 0 "is new" ctl reload || result=1
  cp "$work/conf" "$work/conf.good"
  sed -i 's/alpn_preferred/aplm_preferred/' "$work/conf"
  ends 1 "conf:[0-9]+:[0-9]+: .*aplm_preferred" ctl reload || result=1
  ends 1 '"ok":false' ctl reload --json || result=1
  cp "$work/conf.good" "$work/conf"
  ends 0 "is new" ctl reload || result=1
  ends 0 "reloads_refused +2" ctl stats || result=1
  ends 0 "debug" ctl log debug || result=1
  ends 0 "debug" ctl status || result=1
  return "$result"
}

# Root's alone, a group's, nobody's.
permissions() {
  local result=0
  local stranger=(setpriv --reuid="$NOBODY" --regid="$NOBODY" --clear-groups "$work/sluicectl" -s "$socket")
  local groups command act
  cp "$SLUICECTL" "$work/sluicectl"
  chmod 755 "$work" "$work/sluicectl"
  ends 1 "user $NOBODY may not administer" "${stranger[@]}" status || result=1
  ends 1 "user $NOBODY may not" "${stranger[@]}" stop || result=1
  for groups in "--regid=$NOBODY --groups=$READERS" "--regid=$READERS --clear-groups"; do
    # shellcheck disable=SC2206
    command=(setpriv --reuid="$NOBODY" $groups "$work/sluicectl" -s "$socket")
    ends 0 serving "${command[@]}" status || result=1
    ends 0 "id	" "${command[@]}" sessions --tsv || result=1
    ends 0 web "${command[@]}" certs || result=1
    "${command[@]}" trace --listener https --for 1 || result=1
    for act in "kill 1" "kill state=live" "rekey 1" "rekey state=live --both" drain "drain off" reload "log debug" stop; do
      # shellcheck disable=SC2086
      ends 1 "may not do this" "${command[@]}" $act || result=1
    done
  done
  ends 0 serving ctl status || result=1
  return "$result"
}

# --- clients that do not behave

raw() { # TEXT: sends it, and prints what comes back
  "$PYTHON" - "$socket" "$@" <<-'END'
	import os, socket, sys
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	s.settimeout(10)
	try:
	    s.sendall(os.fsencode(sys.argv[2]))
	    s.shutdown(socket.SHUT_WR)
	except OSError:
	    pass
	data = b""
	try:
	    while piece := s.recv(65536):
	        data += piece
	except ConnectionResetError:
	    pass
	sys.stdout.buffer.write(data)
	END
}

garbage() {
  local result=0
  ends 0 'one JSON object' raw $'garbage\n' || result=1
  ends 0 'request takes' raw $'{"request":"dance"}\n' || result=1
  ends 0 '"ok":true' raw $'{}\n\n[[[[[[[[[[\n{"request":"status"}\n' || result=1
  [ "$(grep -c '"ok":false' "$work/said")" -eq 3 ] || result=1
  ends 0 'one JSON object' raw $'\xff\xfe\x01\x80\n' || result=1
  ends 0 '"ok":true' raw $'{"request":"status"}\n{"request":' || result=1
  ends 0 serving ctl status || result=1
  return "$result"
}

oversized() {
  ends 0 'at most 65536 bytes' raw "$(printf '%080000d' 0)" && ends 0 serving ctl status
}

# It asks for more than a socket holds, and reads nothing: it is dropped, and others are served.
stalled() {
  local pid result=0
  "$PYTHON" - "$socket" >"$work/stalled" <<-'END' &
	import select, socket, sys, time
	s = socket.socket(socket.AF_UNIX)
	s.connect(sys.argv[1])
	s.setblocking(False)
	line = b'{"request":"options"}\n' * 1000
	start = time.monotonic()
	poll = select.poll()
	poll.register(s, 0)
	sent = 0
	while time.monotonic() - start < 25:
	    try:
	        sent += s.send(line)
	    except BlockingIOError:
	        pass
	    except OSError:
	        break
	    if poll.poll(200):
	        break
	print("dropped after %d s, sent %d" % (time.monotonic() - start, sent))
	END
  pid=$!
  pids+=("$pid")
  sleep 1
  ends 0 serving timeout 2 "$SLUICECTL" -s "$socket" status || result=1
  wait "$pid" || result=1
  ends 0 'dropped after (9|1[0-4]) s' cat "$work/stalled" || result=1
  return "$result"
}

# 64 are served, the others are told.
many() {
  "$PYTHON" - "$socket" <<-'END' || return 1
	import socket, sys
	clients = []
	for i in range(200):
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(sys.argv[1])
	    s.settimeout(10)
	    clients.append(s)
	served = busy = 0
	for s in clients:
	    try:
	        s.sendall(b'{"request":"status"}\n')
	    except OSError:
	        pass
	for s in clients:
	    data = b""
	    try:
	        while b'"ok"' not in data:
	            piece = s.recv(65536)
	            if not piece:
	                break
	            data += piece
	    except ConnectionResetError:
	        pass
	    served += b'"ok":true' in data
	    busy += b'"busy"' in data
	if (served, busy) != (64, 136):
	    print("# served %d, told to come later %d" % (served, busy))
	    sys.exit(1)
	END
  await ctl status
}

# Sessions end while a slow client reads the list: what lives all the time is there once.
changing() {
  local result=0
  "$PYTHON" - "$socket" "$SLUICE" "$slow" "$work/ca.pem" <<-'END' || result=1
	import json, socket, subprocess, sys, time
	path, sluice, port, ca = sys.argv[1:]
	def ask(request):
	    s = socket.socket(socket.AF_UNIX)
	    s.connect(path)
	    s.sendall(json.dumps(request).encode() + b"\n")
	    return s.makefile()
	def ids():
	    found = []
	    for line in ask({"request": "sessions"}):
	        o = json.loads(line)
	        if "ok" in o:
	            return found
	        found.append(o["row"]["id"])
	clients = [subprocess.Popen([sluice, "connect", "localhost:" + port, "--cacert", ca],
	                            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
	                            stderr=subprocess.DEVNULL) for _ in range(20)]
	for _ in range(100):
	    before = ids()
	    if len(before) == 20:
	        break
	    time.sleep(0.1)
	slow = socket.socket(socket.AF_UNIX)
	slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
	slow.connect(path)
	slow.sendall(b'{"request":"sessions"}\n' * 500)
	for i in before[::2]: # they wait for a worker: the daemon itself ends them
	    ask({"request": "kill", "id": i}).readline()
	data, done = b"", 0
	slow.settimeout(10)
	while done < 500:
	    data += slow.recv(4096)
	    done = data.count(b'"ok":true')
	after = set(ids())
	seen = []
	good = len(before) == 20 and len(after) == 10
	for line in data.decode().splitlines():
	    o = json.loads(line)
	    if "row" in o:
	        seen.append(o["row"]["id"])
	    else:
	        good = good and len(seen) == len(set(seen)) and after <= set(seen) <= set(before)
	        seen = []
	for client in clients:
	    client.kill()
	    client.wait()
	ask({"request": "kill", "filter": {"state": "queued"}}).readline()
	if not good:
	    print("# before %d, after %d, or a list was wrong" % (len(before), len(after)))
	    sys.exit(1)
	END
  await no_sessions || result=1
  return "$result"
}

ending() {
  local i
  ends 0 ends ctl stop || return 1
  for ((i = 0; i < 100; i++)); do
    kill -0 "$daemon" 2>/dev/null || break
    sleep 0.1
  done
  wait "$daemon" || return 1
  [ ! -e "$socket" ] && ends 3 "is sluiced running" ctl status
}

make_certificates >"$work/certificates.log" 2>&1 || {
  cat "$work/certificates.log" >&2
  exit 1
}
start_daemon
ktap_plan 18
# test: sluicectl lists everything as tables, JSON and TSV
attempt "sluicectl lists everything as tables, JSON and TSV" lists
# test: sluicectl certs shows the digest of the key
attempt "sluicectl certs shows the digest of the key" digests
# test: sluicectl never shows a secret
attempt "sluicectl never shows a secret" secrets
# test: sluicectl has colours only on a terminal and without NO_COLOR
attempt "sluicectl has colours only on a terminal and without NO_COLOR" colours
# test: sluicectl top refreshes until q
attempt "sluicectl top refreshes until q" top
# test: sluicectl tells what is wrong with a command line
attempt "sluicectl tells what is wrong with a command line" usage
# test: sluicectl tells when the daemon is older
attempt "sluicectl tells when the daemon is older" older
# test: sluicectl filters sessions
attempt "sluicectl filters sessions" filters
# test: sluicectl ends sessions
attempt "sluicectl ends sessions" kills
# test: sluicectl closes and opens the listeners
attempt "sluicectl closes and opens the listeners" drains
# test: sluicectl reloads, or tells why not
attempt "sluicectl reloads, or tells why not" reloads
# test: root acts, a group reads, others are told that they may not
if [ "$(id -u)" -eq 0 ] && command -v setpriv >/dev/null; then
  attempt "root acts, a group reads, others are told that they may not" permissions
else
  skip "root acts, a group reads, others are told that they may not" "needs root and setpriv"
fi
# test: garbage on the administration socket is refused
attempt "garbage on the administration socket is refused" garbage
# test: a request that is too long is refused
attempt "a request that is too long is refused" oversized
# test: a client that does not read is dropped
attempt "a client that does not read is dropped" stalled
# test: 200 clients are 64 and the others are told
attempt "200 clients are 64 and the others are told" many
# test: a listing is right while sessions end
attempt "a listing is right while sessions end" changing
# test: sluicectl ends the daemon
attempt "sluicectl ends the daemon" ending
exit "$ktap_failed"
