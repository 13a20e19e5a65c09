#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Decision services: what they are told, what they may say, and everything that they can do wrong, after
# which a peer is refused and nobody else notices.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/daemon/verify-lib.sh
. "$(dirname "$0")/verify-lib.sh"

HELD=200
[ -z "${SLUICE_TEST_LONG:-}" ] || HELD=900

configure() {
  asking=$(free_port)
  main=$((asking + 1))
  while is_listening "$main"; do main=$((main + 1)); done
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: asking, address: "127.0.0.1:$asking", profile: asking, pool: app}
	  - {name: main, address: "127.0.0.1:$main", profile: main, pool: app}
	profiles:
	  main: {certfile: $work/ec.pem, keyfile: $work/ec.key, cacertfile: $work/ca.pem, verify: verify_peer}
	  asking:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    cacertfile: $work/ca.pem
	    verify: verify_peer
	    fail_if_no_peer_cert: true
	    peer_identity: dns
	    verify_socket: {path: $work/decide.sock, timeout: 600, questions: 1000}
	    hosts:
	      - {names: [free.test], verify_socket: none}
	      - names: [patient.test]
	        verify_socket: {path: $work/decide.sock, timeout: 2000, questions: 1000, send_chain: true, on_failure: refuse}
	      - names: [expired.test]
	        verify_socket: {path: $work/decide.sock, timeout: 600, ask_on: [expired]}
	      - {names: [few.test], verify_socket: {path: $work/decide.sock, timeout: 1500, questions: 2}}
	      - {names: [dead.test], verify_socket: {path: $work/nothing.sock, timeout: 5000}}
	      - {names: [example.test], verify_socket: {path: $work/example.sock}}
	  asked: {role: client, cacertfile: $work/ca.pem, verify_socket: {path: $work/decide.sock, timeout: 600}}
	pools:
	  app: {socket: $work/app.sock}
	services:
	  tls: {socket: $work/tls.sock, profiles: [asked]}
	limits: {handshakers: 2, per_source: 1000}
	log: {level: debug}
	admin: {socket: $work/admin.sock}
	END
}

starts() {
  how accept
  : >"$work/questions"
  start_service && start_daemon && start_worker app answer app
}

# --- decisions

decides() {
  local version
  port=$asking
  for version in 1_2 1_3; do
    how accept
    answers '* verified=1 identity=somebody else attributes=role=admin *' with client localhost "-tls$version" || return 1
    how refuse
    refused 'access denied' with client localhost "-tls$version" || return 1
  done
  told 'decision="not today"' && answers '* verified=1 identity=client.test attributes= *' with client free.test
}

# What is wrong anyway, or what nobody is asked about, is not asked.
asks_last() {
  local before after
  port=$asking
  how accept
  before=$(wc -l <"$work/questions")
  refused 'certificate expired' with expired localhost && refused 'bad certificate' with alien localhost &&
    refused 'certificate required' ask_any localhost -tls1_3 || return 1
  after=$(wc -l <"$work/questions")
  [ "$before" = "$after" ] || { say "$((after - before)) were asked about"; return 1; }
  answers '* verified=0 * bad_cert=expired *' with expired expired.test || return 1
  how refuse
  refused 'access denied' with expired expired.test
}

tells() {
  port=$asking
  how accept
  answers 'worker=*' with client patient.test -alpn x || return 1
  answers 'worker=*' with expired expired.test || return 1
  python3 - "$work" "$(digest client)" "$(digest client key)" <<-'END'
	import base64, hashlib, json, sys
	work, cert, key = sys.argv[1:]
	questions = [json.loads(line) for line in open(work + "/questions")][-2:]
	asked, expired = questions
	tls = asked["tls"]
	facts = {"listener": asked["listener"], "role": asked["role"], "profile": tls["profile"],
	         "server_name": tls["server_name"], "identity": tls["identity"], "version": tls["version"],
	         "subject": tls["subject"], "issuer": tls["issuer"], "names": tls["names"], "reasons": tls["reasons"],
	         "cert": tls["cert_sha256"], "key": tls["key_sha256"],
	         "chain": hashlib.sha256(base64.b64decode(tls["chain"][0])).hexdigest()}
	wanted = {"listener": "asking", "role": "server", "profile": "asking", "server_name": "patient.test",
	          "identity": "client.test", "version": "TLSv1.3", "subject": "CN=client", "issuer": "CN=daemon CA",
	          "names": ["dns:client.test"], "reasons": [], "cert": cert, "key": key, "chain": cert}
	for name in wanted:
	    if facts[name] != wanted[name]:
	        sys.exit(f"# {name}: {facts[name]}, not {wanted[name]}")
	if not asked["peer"].startswith("127.0.0.1:") or int(tls["serial"], 16) == 0 or tls["not_after"] < 1700000000:
	    sys.exit(f"# {asked}")
	if expired["tls"]["reasons"] != ["expired"] or "chain" in expired["tls"]:
	    sys.exit(f"# {expired}")
	END
}

# --- services that are not good

fails_closed() { # MODE WHY
  port=$asking
  how "$1"
  refused 'internal error' with client localhost && told "$2" || return 1
  how accept
  sleep 0.15 # the first retry comes after 100 ms
  await 3 is_served client localhost || { say "does not recover from $1"; return 1; }
}

broken() {
  local result=0
  fails_closed garbage 'an answer is one JSON object on one line' || result=1
  fails_closed empty 'an answer is one JSON object on one line' || result=1
  fails_closed unknown 'a key that no answer has' || result=1
  fails_closed long 'its line is too long' || result=1
  fails_closed control 'no control characters' || result=1
  fails_closed huge 'at most 255 bytes' || result=1
  fails_closed close 'has closed the connection' || result=1
  fails_closed wrong 'did not answer in time' || result=1
  fails_closed late 'answers what it is not asked' || result=1
  fails_closed noise 'decide.sock: it answers what it is not asked' || result=1
  fails_closed hang 'did not answer in time' || result=1
  return "$result"
}

odd() {
  port=$asking
  how bytes
  answers '* verified=1 *' with client localhost || return 1
  how twice
  answers '* verified=1 *' with client localhost && answers '* verified=1 *' with client localhost || return 1
  how slow
  refused 'internal error' with client localhost && answers '* verified=1 *' with client patient.test
}

dead() {
  local began
  port=$asking
  began=$(date +%s%N)
  refused 'internal error' with client dead.test && refused 'internal error' with client dead.test || return 1
  [ $((($(date +%s%N) - began) / 1000000)) -lt 3000 ] || { say "a service that is not there is waited for"; return 1; }
  how accept
  kill "$service"
  wait "$service" 2>/dev/null || true
  refused 'internal error' with client localhost || return 1
  start_service || return 1
  await 6 is_served client localhost || { say "it does not come back"; return 1; }
}

# Two questions may be open at few.test: the third is refused, the others wait.
too_many() {
  local i out=()
  port=$asking
  how hang
  for i in 1 2; do
    with client few.test >"$work/few.$i" &
    out+=("$!")
  done
  sleep 0.5
  refused 'internal error' with client few.test && told 'too many questions open' || return 1
  how accept
  wait "${out[@]}"
  # The service answers one of them, and has left out the other.
  [ "$(cat "$work/few.1" "$work/few.2" | grep -c 'verified=1')" = 1 ] || {
    say "not one is accepted: $(cat "$work/few.1" "$work/few.2")"
    return 1
  }
}

# Handshakes that wait hold up nobody else, and end all.
held() {
  how hang
  python3 - "$asking" "$main" "$work" "$HELD" <<-'END'
	import socket, ssl, sys, threading, time
	asking, main, work, n = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])

	def connect(port, name):
	    context = ssl.create_default_context(cafile=work + "/ca.pem")
	    context.load_cert_chain(work + "/client.pem", work + "/client.key")
	    context.check_hostname = False
	    context.maximum_version = ssl.TLSVersion.TLSv1_2  # the handshake ends with the decision
	    tcp = socket.create_connection(("127.0.0.1", port), timeout=20)
	    return context.wrap_socket(tcp, server_hostname=name)

	results = []
	def one():
	    try:
	        connect(asking, "patient.test").close()
	        results.append("accepted")
	    except ssl.SSLError as error:
	        results.append(error.reason)

	threads = [threading.Thread(target=one) for _ in range(n)]
	for thread in threads:
	    thread.start()
	time.sleep(0.8)
	slowest = 0
	for _ in range(20):
	    began = time.monotonic()
	    connect(main, "localhost").close()
	    slowest = max(slowest, time.monotonic() - began)
	early = len(results)
	for thread in threads:
	    thread.join()
	if early or set(results) != {"TLSV1_ALERT_INTERNAL_ERROR"}:
	    sys.exit(f"# {early} ended early; {set(results)}")
	if slowest > 1:
	    sys.exit(f"# others waited for {slowest:.2f} s")
	print(f"# {n} wait, and the slowest of others takes {1000 * slowest:.0f} ms")
	END
  how accept
}

example() {
  port=$asking
  echo "$(digest client key) the-client group=friends" >"$work/peers"
  python3 "$here/../../examples/decide.py" "$work/example.sock" "$work/peers" 2>"$work/example.err" &
  pids+=("$!")
  await 5 eval "[ -S $work/example.sock ]" || { say "$(cat "$work/example.err")"; return 1; }
  answers '* identity=the-client attributes=group=friends *' with client example.test &&
    refused 'access denied' with ec example.test && told 'nobody knows this key'
}

# A handshake that began before a reload is decided by nobody whose configuration is gone.
reloads() {
  local waiting
  port=$asking
  how hang
  with client patient.test >"$work/waiting" &
  waiting=$!
  sleep 0.5
  sed -i "s/timeout: 2000, questions: 1000/timeout: 1900, questions: 1000/" "$work/sluiced.conf"
  kill -HUP "$daemon"
  told 'the configuration is new' || return 1
  wait "$waiting"
  [ ! -s "$work/waiting" ] || { say "it is accepted: $(cat "$work/waiting")"; return 1; }
  how accept
  await 5 is_served client patient.test
}

# --- servers that programs have

via() { # PROFILE HOST
  timeout 60 "$PEERS/via" "$work/tls.sock" client "$1" "$2" "$echo_port" 1 2>&1
}

as_client() {
  serve echo --mode echo --cert "$work/ec.pem" --key "$work/ec.key" && echo_port=$port
  how accept
  answers 'hello; * verified=1 *' via asked localhost || return 1
  how refuse
  answers 'failed *VERIFY*access*denied*' via asked localhost && told 'decision="not today"' || return 1
  how hang
  answers 'failed *VERIFY*internal*error*' via asked localhost || return 1
  how accept
  answers 'failed *HOSTNAME*' via asked other.test
}

# Whoever goes while the service is asked leaves nothing behind.
gone() {
  local before program
  before=$(handshakers | sort | tr '\n' ' ')
  how hang
  "$PEERS/via" "$work/tls.sock" client asked localhost "$echo_port" 5 hold >/dev/null 2>&1 &
  program=$!
  pids+=("$program")
  with client patient.test >/dev/null &
  await 5 eval "[ \$(grep -c patient.test $work/questions) -gt 2 ]" || true
  sleep 0.3
  kill -9 "$program"
  wait "$program" 2>/dev/null || true
  sleep 0.2
  [ "$(handshakers | sort | tr '\n' ' ')" = "$before" ] || { say "a handshaker has ended"; return 1; }
  for program in $(handshakers); do kill -9 "$program"; done
  how accept
  await 5 is_served client localhost || { say "it does not go on"; return 1; }
  answers '* verified=1 *' with client patient.test
}

prepare_peers
configure
ktap_plan 13
attempt "the daemon starts" starts
attempt "a decision service accepts and refuses" decides
attempt "it is asked last" asks_last
attempt "it is told of the peer" tells
attempt "programs have servers decided about" as_client
attempt "whatever it does wrong refuses one peer, and then it goes on" broken
attempt "late, piecemeal and doubled answers" odd
attempt "a service that is dead, and comes back" dead
attempt "too many questions" too_many
attempt "$HELD handshakes wait, and nobody else" held
attempt "programs and handshakers that are gone meanwhile" gone
attempt "the example" example
attempt "a reload ends what it does not have any more" reloads
exit "$ktap_failed"
