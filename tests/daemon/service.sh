#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluiced under a service manager: it takes the socket that it inherits, tells when it serves and when it
# ends, and that it is alive.
# Environment: SLUICE, SLUICED, WORKER: the programs.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/../interop/lib.sh"

build=$(dirname "$SLUICE")/..
export SLUICED=${SLUICED:-$build/daemon/sluiced} WORKER=${WORKER:-$build/examples/example-worker}

managed() {
  local port
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: web}
	profiles:
	  default: {certfile: $work/ec.pem, keyfile: $work/ec.key}
	pools:
	  web: {socket: $work/web.sock}
	admin: {socket: $work/admin.sock}
	END
  timeout "$LIMIT" python3 - "$port" "$work" <<-'END'
	import atexit, os, socket, ssl, subprocess, sys, time

	port, work = int(sys.argv[1]), sys.argv[2]
	listener = socket.socket()
	listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
	listener.bind(("127.0.0.1", port))
	listener.listen(10)
	told = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
	told.bind(work + "/notify")
	told.settimeout(10)
	def end(pid):
	    try:
	        os.kill(pid, 9)
	    except OSError:
	        pass

	daemon = os.fork()
	if daemon == 0:
	    os.dup2(listener.fileno(), 3)
	    os.set_inheritable(3, True)
	    os.execve(os.environ["SLUICED"], ["sluiced", "--config", work + "/sluiced.conf"],
	              {"LISTEN_FDS": "1", "LISTEN_PID": str(os.getpid()), "WATCHDOG_USEC": "1000000",
	               "NOTIFY_SOCKET": work + "/notify", "PATH": os.environ["PATH"]})
	atexit.register(end, daemon)  # also when what follows fails
	while not told.recv(200).startswith(b"READY=1"):
	    pass
	worker = subprocess.Popen([os.environ["WORKER"], work + "/web.sock"])
	atexit.register(worker.kill)
	time.sleep(0.3)
	context = ssl.create_default_context(cafile=work + "/ca.pem")
	with context.wrap_socket(socket.create_connection(("127.0.0.1", port)),
	                         server_hostname="localhost") as tls:
	    tls.sendall(b"hello")
	    assert tls.recv(5) == b"hello", "is not echoed"
	assert all(told.recv(200) == b"WATCHDOG=1" for i in range(3)), "says nothing in between"
	os.kill(daemon, 15)
	while not told.recv(200).startswith(b"STOPPING=1"):
	    pass
	status = os.waitpid(daemon, 0)[1]
	worker.kill()
	worker.wait()
	assert status == 0, f"ends with status {status}"
	END
}

prepare
ktap_plan 1
# test: readiness, an inherited socket, the watchdog and the end
attempt "readiness, an inherited socket, the watchdog and the end" managed
exit "$ktap_failed"
