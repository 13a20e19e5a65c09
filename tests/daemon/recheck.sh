#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Live sessions verified again: revoked, of another CA, denied by name; with and without consequences; chains
# that had no room, handshakers that die meanwhile, and identities of sessions over a restart of the broker.
# Environment: as tests/daemon/lib.sh; SLUICE_TEST_LONG=1: 2,000 sessions
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/daemon/crl-lib.sh
. "$(dirname "$0")/crl-lib.sh"

MANY=$([ "${SLUICE_TEST_LONG:-}" ] && echo 2000 || echo 150)
crl=$work/ca.crl

# stay NAME: a client that stays. Its pid is $client; what the daemon sends is in $work/NAME.said.
stay() {
  local before
  before=$(live)
  openssl s_client -connect "127.0.0.1:$port" -servername localhost -CAfile "$work/ca.pem" \
    -cert "$work/$1.pem" -key "$work/$1.key" <&"$quiet" >"$work/$1.said" 2>&1 &
  client=$!
  pids+=("$client")
  more() { [ "$(live)" -gt "$before" ]; }
  await 10 more || { say "$1 does not get in: $(tail -n 3 "$work/$1.said")"; return 1; }
}

live() {
  ctl sessions state=live --json | grep -c '"id":' || true
}

# id_of NAME: of the live session with this identity
id_of() {
  ctl sessions "identity=$1.test" --tsv | awk -F '\t' 'NR == 2 { print $1 }'
}

gone() {
  ! ctl sessions "identity=$1.test" >/dev/null 2>&1
}

nothing_wrong() {
  stay alice && stay bob || return 1
  ctl recheck >"$work/out" || { say "$(cat "$work/out")"; return 1; }
  grep -q 'good: 2, closed: 0, not kept: 0, unknown: 0' "$work/out"
}

revoked_is_closed() {
  local id
  id=$(id_of alice)
  revoke alice superseded
  issue "$crl"
  await 5 stays_out alice || return 1
  ctl recheck --dry-run >"$work/out" || return 1
  grep -Eq "^ *$id +would be closed +alice.test .*revoked: superseded" "$work/out" || { say "$(cat "$work/out")"; return 1; }
  [ "$(live)" = 2 ] || return 1
  ctl recheck --json 2>"$work/counts" >"$work/out" || return 1
  grep -q "\"id\":$id,\"result\":\"closed\",\"peer_identity\":\"alice.test\",\"peer_sha256\":\"[0-9a-f]*\",\"peer\":\"127.0.0.1:[0-9]*\",\"why\":\"the peer's certificate: it has been revoked: superseded\"" "$work/out" || { say "$(cat "$work/out")"; return 1; }
  grep -q 'good: 1, closed: 1' "$work/counts" || return 1
  await 5 gone alice && ! gone bob || return 1
  await 5 grep -q '^closed' "$work/alice.said" # close_notify: s_client ends so
}

denied_is_closed() {
  configure_crls "{files: [$crl]}" 'crl_check: true' 'deny_peers: "dns:bob.test"'
  ctl reload >"$work/out" || return 1
  ctl recheck identity=nobody.test >"$work/out" && grep -q 'good: 0, closed: 0' "$work/out" || return 1
  ctl recheck "$(id_of bob)" >"$work/out" || return 1
  grep -q 'bob.test' "$work/out" && await 5 gone bob
}

other_ca() {
  configure_crls "{files: [$crl]}" 'crl_check: true'
  ctl reload >"$work/out" && stay carol || return 1
  sed -i "s|cacertfile: .*|cacertfile: $work/alien.pem|" "$work/sluiced.conf"
  ctl reload >"$work/out" || return 1
  ctl recheck >"$work/out" || return 1
  grep -Eq 'closed +carol.test' "$work/out" && await 5 gone carol
}

on_change() {
  configure_crls "{files: [$crl], recheck: on_change}" 'crl_check: true'
  ctl reload >"$work/out" && stay dave && stay carol || return 1
  revoke dave
  issue "$crl"
  await 10 gone dave && ! gone carol && log_has 'recheck: 1 good, 1 bad, 1 closed'
}

# late: its handshake was verified before the change, and ends behind the recheck of all others.
late() {
  local before
  python3 - "$work" >"$work/decide.out" 2>&1 <<-'END' &
	import json, os, socket, sys, time
	work = sys.argv[1]
	with socket.socket(socket.AF_UNIX) as listening:
	    listening.bind(work + "/decide.sock")
	    os.chmod(work + "/decide.sock", 0o666)
	    listening.listen()
	    print("ready", flush=True)
	    conn, _ = listening.accept()
	    for line in conn.makefile():
	        print("asked", flush=True)
	        while not os.path.exists(work + "/decide"):
	            time.sleep(0.02)
	        conn.sendall(json.dumps({"question": json.loads(line)["question"], "answer": "accept"}).encode() + b"\n")
	END
  pids+=("$!")
  await 10 grep -qs ready "$work/decide.out" || return 1
  configure_crls "{files: [$crl], recheck: on_change}" 'crl_check: true' "verify_socket: {path: $work/decide.sock, timeout: 20000}"
  ctl reload >"$work/out" || return 1
  stay henry &
  await 10 grep -qs asked "$work/decide.out" || return 1
  before=$(grep -c 'recheck: [0-9]* good' "$work/sluiced.log")
  revoke henry
  issue "$crl"
  over() { [ "$(grep -c 'recheck: [0-9]* good' "$work/sluiced.log")" -gt "$before" ]; }
  await 10 over || return 1
  touch "$work/decide"
  await 10 log_has 'recheck: 0 good, 1 bad, 1 closed' && await 5 gone henry
}

no_room() {
  limits=', recheck_memory: 0' configure_crls "{files: [$crl]}" 'crl_check: true'
  ctl reload >"$work/out" && stay eve || return 1
  ctl recheck identity=eve.test >"$work/out" && return 1
  grep -q 'not kept .*there was no room for its chain' "$work/out" || return 1
  configure_crls "{files: [$crl]}" 'crl_check: true'
  ctl reload >"$work/out"
}

# many: sessions of one client, whose handshakers die while they are judged
many() {
  local i pid
  python3 - "$port" "$work" "$MANY" >"$work/many.out" 2>&1 <<-'END' &
	import socket, ssl, sys, time
	port, work, n = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])
	context = ssl.create_default_context(cafile=work + "/ca.pem")
	context.load_cert_chain(work + "/frank.pem", work + "/frank.key")
	all = [context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost") for _ in range(n)]
	print("all", flush=True)
	ended = 0
	for one in all:
	    one.settimeout(60)
	    try:
	        while one.recv(1000):
	            pass
	        ended += 1
	    except OSError as error:
	        print(error, flush=True)
	print("ended", ended, flush=True)
	END
  pids+=("$!")
  await 30 grep -qs all "$work/many.out" || { say "$(cat "$work/many.out")"; return 1; }
  all_live() { [ "$(live)" -ge "$MANY" ]; }
  await 10 all_live || return 1
  revoke frank
  issue "$crl"
  await 5 stays_out frank || return 1
  ctl recheck identity=frank.test >"$work/out" 2>&1 &
  i=$!
  for pid in $(handshakers); do kill -KILL "$pid"; done
  wait "$i" || { say "$(tail -n 3 "$work/out")"; return 1; }
  grep -q "closed: $MANY, not kept: 0, unknown: 0" "$work/out" || { say "$(tail -n 3 "$work/out")"; return 1; }
  await 10 grep -q "ended $MANY" "$work/many.out" || { say "$(tail -n 3 "$work/many.out")"; return 1; }
}

# A handshaker that stops while it judges is ended, and another one judges.
stops() {
  local pid i
  sed -i 's|    peer_identity: dns|&\n    handshake_timeout: 1000|' "$work/sluiced.conf"
  ctl reload >"$work/out" && stay grace || return 1
  pid=$(handshakers)
  # shellcheck disable=SC2086 # two pids
  kill -STOP $pid
  timeout 20 "$build/tools/sluicectl" --socket "$work/admin.sock" recheck identity=grace.test >"$work/out" 2>&1 &
  i=$!
  await 10 log_has 'a handshaker (pid [0-9]*) hangs' || { say "nobody notices"; return 1; }
  # shellcheck disable=SC2086
  kill -CONT $pid 2>/dev/null || true
  wait "$i" || { say "$(tail -n 3 "$work/out")"; return 1; }
  grep -q 'good: 1, closed: 0, not kept: 0, unknown: 0' "$work/out" || { say "$(cat "$work/out")"; return 1; }
}

# A broker that is killed, and the next one, which gets what the service manager keeps.
restarted() {
  kill "$daemon"
  wait "$daemon" 2>/dev/null || true
  timeout 60 python3 - "$work" "$port" "$SLUICED" "$PEERS" "$build/tools/sluicectl" <<-'END' || return 1
	import atexit, os, signal, socket, ssl, subprocess, sys, time
	work, port, sluiced, peers, ctl = sys.argv[1:]
	told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	told.bind(work + "/notify")
	told.settimeout(10)

	def end(pid):
	    try:
	        os.kill(pid, 9)
	    except OSError:
	        pass

	def start(kept):
	    pid = os.fork()
	    if pid == 0:
	        env = {"NOTIFY_SOCKET": work + "/notify", "PATH": os.environ["PATH"]}
	        if kept is not None:
	            os.dup2(kept, 3)
	            os.set_inheritable(3, True)
	            env.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="sluice-sessions")
	        os.dup2(os.open(work + "/again.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
	        os.execve(sluiced, ["sluiced", "--config", work + "/sluiced.conf"], env)
	    atexit.register(end, pid)
	    while True:
	        text, fds, _, _ = socket.recv_fds(told, 500, 1)
	        if b"FDSTORE=1" in text:
	            kept = fds[0]
	        if text.startswith(b"READY=1"):
	            return pid, kept

	def ask(*words):
	    return subprocess.run([ctl, "--socket", work + "/admin.sock", *words], capture_output=True, text=True, timeout=20).stdout

	def wait_for(what, *words):
	    until = time.monotonic() + 10
	    while what not in ask(*words):
	        assert time.monotonic() < until, f"no {what}: {ask(*words)}"
	        time.sleep(0.05)

	daemon, kept = start(None)
	worker = subprocess.Popen([peers + "/worker", work + "/app.sock", "echo", "app"], stdout=subprocess.DEVNULL)
	atexit.register(worker.kill)
	context = ssl.create_default_context(cafile=work + "/ca.pem")
	context.load_cert_chain(work + "/eve.pem", work + "/eve.key")
	client = context.wrap_socket(socket.create_connection(("127.0.0.1", port)), server_hostname="localhost")
	wait_for('"state":"live"', "sessions", "identity=eve.test", "--json")
	os.kill(daemon, signal.SIGKILL)
	os.waitpid(daemon, 0)
	daemon, kept = start(kept)
	wait_for('"state":"live"', "sessions", "identity=eve.test", "--json")
	digest = subprocess.run(["openssl", "x509", "-in", work + "/eve.pem", "-noout", "-fingerprint", "-sha256"],
	                        capture_output=True, text=True).stdout.split("=")[1].strip().replace(":", "")
	assert '"eve.test"' in ask("sessions", "sha256=" + digest, "--json"), "not found by its digest"
	assert "state" not in ask("sessions", "identity=bob.test", "--json"), "another identity fits"
	out = ask("recheck")
	assert "not kept" in out and "before the daemon was started again" in out, out
	os.kill(daemon, signal.SIGTERM)
	os.waitpid(daemon, 0)
	END
}

prepare_daemon
prepare_ca
mkfifo "$work/nothing"
exec {quiet}<>"$work/nothing" # says nothing, and does not end
for name in alice bob carol dave eve frank grace henry; do new_client "$name"; done
issue "$crl"
configure_crls "{files: [$crl]}" 'crl_check: true'
start_daemon
start_worker app echo app
start_worker quick answer quick
ktap_plan 10
# test: sessions that are good stay
attempt "sessions that are good stay" nothing_wrong
# test: CR_01_a_live_session_is_closed_once_its_peer_is_revoked
attempt "CR_01_a_live_session_is_closed_once_its_peer_is_revoked" revoked_is_closed
# test: one that is denied by name now is closed
attempt "one that is denied by name now is closed" denied_is_closed
# test: one of a CA that is not trusted any more is closed
attempt "one of a CA that is not trusted any more is closed" other_ca
# test: revocation lists that change are followed
attempt "revocation lists that change are followed" on_change
# test: a session whose handshake ends behind the change is followed
attempt "a session whose handshake ends behind the change is followed" late
# test: a chain that had no room is told
attempt "a chain that had no room is told" no_room
# test: many sessions, and handshakers that die meanwhile
attempt "many sessions, and handshakers that die meanwhile" many
# test: a handshaker that stops while it judges is ended
attempt "a handshaker that stops while it judges is ended" stops
# test: identities outlive the broker
attempt "identities outlive the broker" restarted
exit "$ktap_failed"
