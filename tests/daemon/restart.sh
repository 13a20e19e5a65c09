#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# A broker that is killed under traffic and started again by its service manager, which kept its memory:
# not a byte is lost, the new one knows the sessions, and on the kernel path their keys change again.
# The same through sluice-relay, which attaches again, and whose plain worker stays.
# Environment: SLUICE, SLUICED, RELAY, WORKER, PEERS, SLUICECTL: the programs.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/../interop/lib.sh"

build=$(dirname "$SLUICE")/..
export SLUICED=${SLUICED:-$build/daemon/sluiced} WORKER=${WORKER:-$build/examples/example-worker}
export SLUICECTL=${SLUICECTL:-$build/tools/sluicectl} PEERS=${PEERS:-$build/tests/peers}
export RELAY=${RELAY:-$build/daemon/sluice-relay}
ECHO=$(cd "$(dirname "$0")" && pwd)/echo-worker.py
export ECHO
LIMIT=60

# restarted aware|plain BYTES KEY-UPDATE-EVERY
restarted() {
  local port pool kind=$1 bytes=$2 every=$3 result=0
  port=$(free_port)
  pool=$(printf "%064d" 1) # as long as one may be
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: $pool}
	profiles:
	  default: {certfile: $work/ec.pem, keyfile: $work/ec.key, key_update_at: 20000}
	pools:
	  $pool: {socket: $work/web.sock, users: [$relay_user]}
	limits: {handshakers: 1}
	admin: {socket: $work/admin.sock}
	END
  timeout "$LIMIT" python3 - "$port" "$work" "$kind" "$bytes" "$every" <<-'END' || result=1
	import atexit, os, signal, socket, subprocess, sys, time

	port, work, kind, size, every = int(sys.argv[1]), *sys.argv[2:]
	told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	told.bind(work + "/notify")
	told.settimeout(10)

	def end(pid):
	    try:
	        os.kill(pid, 9)
	    except OSError:
	        pass

	def stored(text, fds):
	    if b"FDSTOREREMOVE=1" in text:
	        kept.clear()
	    elif b"FDSTORE=1" in text:
	        kept.insert(0, fds[0])  # as systemd

	def start():
	    pid = os.fork()
	    if pid == 0:
	        env = {"NOTIFY_SOCKET": work + "/notify", "PATH": os.environ["PATH"]}
	        moved = [os.dup(fd) for fd in kept]
	        for i, fd in enumerate(moved):
	            os.dup2(fd, 3 + i)
	        env.update(LISTEN_FDS=str(len(kept)), LISTEN_PID=str(os.getpid()),
	                   LISTEN_FDNAMES=":".join(["sluice-sessions"] * len(kept)))
	        log = os.open(work + "/log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
	        os.dup2(log, 2)
	        os.execve(os.environ["SLUICED"], ["sluiced", "--config", work + "/sluiced.conf"], env)
	    atexit.register(end, pid)  # also when what follows fails
	    while True:
	        text, fds, _, _ = socket.recv_fds(told, 500, 1)
	        stored(text, fds)
	        if text.startswith(b"READY=1"):
	            return pid

	def sessions():
	    out = subprocess.run([os.environ["SLUICECTL"], "--socket", work + "/admin.sock", "--json", "sessions"],
	                         capture_output=True, text=True, timeout=10)
	    return out.stdout

	junk = os.memfd_create("of another version")
	os.truncate(junk, 12345)
	kept = [junk]
	daemon = start()
	assert len(kept) == 1 and kept[0] != junk, f"kept is {kept}, of these {junk} cannot be read"
	def run(*words):
	    process = subprocess.Popen(words, stderr=open(work + "/log", "a"))
	    atexit.register(process.kill)
	    return process

	def connect(size, every):
	    return subprocess.Popen([os.environ["PEERS"] + "/openssl", "client", str(port), work + "/ca.pem",
	                             "-", size, every], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)

	if kind == "aware":
	    workers = [run(os.environ["WORKER"], work + "/web.sock")]
	else:
	    becoming = ["--as", "nobody"] if os.getuid() == 0 else []
	    workers = [run(os.environ["RELAY"], "--pool", work + "/web.sock",
	                   "--offer", work + "/plain.sock", *becoming)]
	    while "offering" not in open(work + "/log").read():
	        time.sleep(0.02)
	    workers.append(run("python3", os.environ["ECHO"], work + "/plain.sock", "echo", "/dev/null"))
	time.sleep(0.3)
	client = connect(size, every)
	kills = 0
	for i in range(3):
	    time.sleep(0.25)
	    if client.poll() is not None:
	        break
	    os.kill(daemon, signal.SIGKILL)
	    os.waitpid(daemon, 0)
	    daemon = start()
	    kills += 1
	    known = sessions()
	    assert client.poll() is not None or '"TLSv1.3"' in known, \
	        "the session is not known: " + known
	out, status = client.communicate()[0], client.wait()
	if kind == "plain":  # it never left, and its relay attached again
	    again = connect("1000", every)
	    assert (again.communicate(), again.wait())[1] == 0, \
	        "no new connection: " + open(work + "/log").read()[-600:]
	    assert [worker.poll() for worker in workers] == [None, None], "a worker ended"
	for worker in reversed(workers):
	    worker.kill()
	    worker.wait()
	os.kill(daemon, signal.SIGTERM)
	os.waitpid(daemon, 0)
	assert kills > 0, "the traffic was over before a kill"
	assert status == 0, f"the client ends with {status}: {out.decode()[-300:]}; {open(work + '/log').read()[-600:]}"
	print(f"# killed {kills} times under {int(size) // 1000000} MB each way")
	END
  rm -f "$work/notify" "$work/log"
  return "$result"
}

can_rekey() {
  [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = user ] ||
    grep -q 'new keys when receiving (KeyUpdate) *yes' "$work/probe"
}

# survives TEST-NAME ARGUMENT...
survives() {
  if can_rekey; then
    attempt "$1" restarted "${@:2}"
  else
    skip "$1" "this kernel cannot change keys"
  fi
}

prepare
chmod 711 "$work" # of sockets that another user may connect to
ktap_plan 2
# test: a broker killed under traffic loses no byte, and keys change again
survives "a broker killed under traffic loses no byte, and keys change again" aware 200000000 200000
# test: the same through a relay, whose plain worker notices nothing
survives "the same through a relay, whose plain worker notices nothing" plain 120000000 200000
exit "$ktap_failed"
