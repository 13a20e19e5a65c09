#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluiced is started again as `systemctl restart` does it with our units, several times and under steady
# requests: its service manager has the listening socket (sluiced.socket), keeps its memory (the descriptor
# store), and tells it alone to end (KillMode=mixed). No request fails, and connections that workers have
# go on. Then the same with SIGKILL, which loses the handshakes under way and nothing else.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

RESTARTS=4
[ -z "${SLUICE_TEST_LONG:-}" ] || RESTARTS=40
LIMIT=300

# What the sequence below supposes of the unit.
unit() {
  local line file=$build/daemon/sluiced.service result=0
  [ -e "$file" ] || file=$(dirname "$0")/../../daemon/sluiced.service.in
  for line in Type=notify KillMode=mixed RuntimeDirectoryPreserve=restart 'FileDescriptorStoreMax=[1-9].*'; do
    grep -qx "$line" "$file" || { say "$(basename "$file"): no $line"; result=1; }
  done
  return "$result"
}

restarts() { # SIGNAL
  port=$(free_port)
  rm -f "$work/log" "$work/notify" "$work"/worker-*
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: web, pool: web, routes: [{alpn: echo, pool: echo}]}
	profiles:
	  web: {certfile: $work/ec.pem, keyfile: $work/ec.key, alpn_preferred_protocols: [echo, web]}
	pools:
	  web: {socket: $work/web.sock}
	  echo: {socket: $work/echo.sock}
	limits: {handshakers: 2}
	admin: {socket: $work/admin.sock}
	END
  SLUICED=$SLUICED PEERS=$PEERS timeout "$LIMIT" python3 - "$port" "$work" "$1" "$RESTARTS" <<-'END'
	import atexit, os, re, signal, socket, ssl, subprocess, sys, threading, time

	port, work, how, rounds = int(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
	peers = os.environ["PEERS"]
	listener = socket.socket()
	listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
	listener.bind(("127.0.0.1", port))
	listener.listen(4096)
	told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	told.bind(work + "/notify")
	told.settimeout(20)
	store = {}

	def end(pid):
	    try:
	        os.kill(pid, 9)
	    except OSError:
	        pass

	def start():
	    fds = {"sluiced.socket": listener.fileno(), **store}
	    pid = os.fork()
	    if pid == 0:
	        above = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds.values())]
	        for i, fd in enumerate(above):
	            os.dup2(fd, 3 + i)
	        log = os.open(work + "/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
	        os.dup2(log, 2)
	        os.execve(os.environ["SLUICED"], ["sluiced", "--config", work + "/sluiced.conf"],
	                  {"NOTIFY_SOCKET": work + "/notify", "PATH": os.environ["PATH"], "LISTEN_PID": str(os.getpid()),
	                   "LISTEN_FDS": str(len(fds)), "LISTEN_FDNAMES": ":".join(fds)})
	    atexit.register(end, pid)  # also when what follows fails
	    while True:
	        text, kept, _, _ = socket.recv_fds(told, 500, 4)
	        if b"FDSTORE=1" in text:
	            store[re.search(rb"FDNAME=(.*)", text)[1].decode()] = kept[0]
	        if text.startswith(b"READY=1"):
	            return pid

	def stop(pid):
	    os.kill(pid, getattr(signal, how))
	    status = os.waitpid(pid, 0)[1]
	    assert how == "SIGKILL" or status == 0, f"ends with status {status}"

	def connect(protocol):
	    context = ssl.create_default_context(cafile=work + "/ca.pem")
	    context.set_alpn_protocols([protocol])
	    tls = context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=20), server_hostname="localhost")
	    tls.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
	    return tls

	def worker(pool, mode):
	    process = subprocess.Popen([peers + "/worker", f"{work}/{pool}.sock", mode, pool], stdout=subprocess.PIPE)
	    atexit.register(process.kill)
	    assert process.stdout.readline() == b"attached\n", f"worker {pool} does not attach"
	    threading.Thread(target=process.stdout.read, daemon=True).start()

	def echo(tls, word):
	    tls.sendall(word)
	    assert tls.recv(len(word)) == word, "is not echoed"

	daemon = start()
	worker("web", "answer")
	worker("echo", "echo")
	held = [connect("echo") for i in range(8)]
	storm = subprocess.Popen([peers + "/storm", str(port), work + "/ca.pem", "0", "40", "300"],
	                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
	atexit.register(storm.kill)
	gaps, first = [], []
	for i in range(rounds):
	    time.sleep(1)
	    began = time.monotonic()
	    stop(daemon)
	    daemon = start()
	    served = time.monotonic()
	    tls = connect("web")
	    tls.sendall(b"hello\n")
	    assert b"worker=web" in tls.recv(1000) + tls.recv(1000)
	    first.append((time.monotonic() - served) * 1000)
	    gaps.append((served - began) * 1000)
	    for tls in held:
	        echo(tls, b"round %d" % i)
	    log = open(work + "/log").read()
	    known = re.findall(r"(\d+) sessions of the broker before this one", log)
	    assert len(known) == i + 1 and int(known[-1]) >= len(held), f"known: {known}"
	out, _ = storm.communicate()
	lines = out.splitlines()
	failed = [line for line in lines if line.startswith("failed ")]
	print(f"# {how} {rounds} times: away {min(gaps):.0f} to {max(gaps):.0f} ms, first answer {max(first):.0f} ms later",
	      f"at most; {lines[-1]}")
	for line in failed[:5]:
	    print("#", line)
	refused = [line for line in failed if " connect " in line]
	assert not refused, "connections were refused"
	assert max(first) <= 1000, "no answer within a second"
	if how == "SIGTERM":
	    assert not failed, "requests failed"
	else:
	    assert len(failed) <= 40 * rounds, "more failed than can have been under way"
	os.kill(daemon, 15)
	os.waitpid(daemon, 0)
	END
}

prepare_daemon
ktap_plan 3
attempt "the unit says what a restart without loss needs" unit
attempt "started again under requests: none fails, and sessions go on" restarts SIGTERM
attempt "killed and started again: nobody is refused, and sessions go on" restarts SIGKILL
exit "$ktap_failed"
