#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `sluice bench` against our server, OpenSSL's and Python's: how many operations there were is exact,
# what came is what was served, every failure is counted and shows in the exit status, and a server
# that stalls shows in an open loop's latencies. How fast anything is, is not tested.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
SLUICE_INTEROP_SIZE=${SLUICE_INTEROP_SIZE:-300000}
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

# bench STATUS TARGET OPTION...: the results are in $work/out.json; the exit status must be STATUS.
bench() {
  local wanted=$1 target=$2 status=0
  shift 2
  rm -f "$work/out.json"
  timeout "$LIMIT" "$SLUICE" bench "$target" --cacert "$work/ca.pem" --json "$work/out.json" "$@" \
    >"$work/said" 2>&1 || status=$?
  [ "$status" = "$wanted" ] && return
  say "bench $*: status $status, not $wanted: $(tail -n 3 "$work/said" | tr '\n' ' ')"
  return 1
}

# finds EXPRESSION...: each is true of the results, whose form is checked first (docs/bench.md).
cat >"$work/finds.py" <<'END'
import json, sys
FORM = {
    "schema": str, "seconds": float, "versions": {"sluice": str, "boringssl": str, "kernel": str},
    "settings": {"target": str, "address": str, "mode": str, "loop": str, "rate": int,
                 "connections": int, "threads": int, "keep_alive": bool, "read_rate": int, "ramp": int,
                 "warm_up": int},
    "operations": {"ok": int, "failed": int, "unfinished": int, "unsent": int, "warm_up": int,
                   "per_second": float},
    "handshakes": {"full": int, "resumed": int},
    "bytes": {"received": int, "sent": int, "received_per_second": float,
              "sent_per_second": float},
    "latency_ns": {"from": str, "corrected_for_coordinated_omission": bool, "error_bound": float,
                   "count": int, "min": int, "mean": float, "p50": int, "p90": int, "p99": int,
                   "p99_9": int, "max": int, "buckets": list},
    "errors": {"total": int, "kinds": list},
    "client": {"cpu_seconds": float, "busiest_thread": float, "limited": bool,
               "instructions_scope": (str, type(None)), "instructions": (int, type(None)),
               "instructions_per_operation": (float, type(None)),
               "instructions_per_byte": (float, type(None)), "memory_per_connection": (int, type(None))},
    "series": {"interval": float, "operations": list, "bytes": list},
    "connection": (dict, type(None)),
}
CONNECTION = {"version": str, "suite": str, "group": (str, type(None)), "tx_path": str,
              "rx_path": str}

def check(form, value, at):
    if not isinstance(form, dict):
        assert isinstance(value, form), f"{at} is {value!r}"
        return
    assert set(form) == set(value), f"{at} has {sorted(set(form) ^ set(value))}"
    for key in form:
        check(form[key], value[key], f"{at}.{key}")

r = json.load(open(sys.argv[1]))
check(FORM, r, "results")
if r["connection"]:
    check(CONNECTION, r["connection"], "connection")
ops, lat, errors = r["operations"], r["latency_ns"], {k["name"]: k["count"] for k in r["errors"]["kinds"]}
assert r["schema"] == "sluice-bench/1"
assert lat["count"] == ops["ok"] == sum(n for _, n in lat["buckets"]), "latencies are not of all"
assert lat["min"] <= lat["p50"] <= lat["p90"] <= lat["p99"] <= lat["p99_9"] <= lat["max"]
assert r["errors"]["total"] == sum(errors.values()) >= ops["failed"]
assert sum(r["series"]["operations"]) <= ops["ok"]
for expression in sys.argv[2:]:
    assert eval(expression), f"not so: {expression}; {ops} {r['handshakes']} {errors}"
END
finds() {
  python3 "$work/finds.py" "$work/out.json" "$@" 2>"$work/why" && return
  say "$(tail -n 1 "$work/why")"
  return 1
}

# --- our server

handshakes() {
  bench 0 "localhost:$web" --count 37 -c 5 -t 2 &&
    finds 'ops["ok"] == 37' 'r["handshakes"] == {"full": 37, "resumed": 0}' 'not errors' \
      'r["connection"]["version"] == "TLSv1.3"' 'r["settings"]["loop"] == "closed"' &&
    bench 0 "127.0.0.1:$web" --count 5 --tls1.2 --groups x25519,secp256r1 \
      --ciphers TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 &&
    finds 'ops["ok"] == 5' \
      'r["connection"]["suite"] == "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"'
}

resumed() { # version
  bench 0 "localhost:$web" --mode resume --count 20 -c 4 "--tls$1" &&
    finds 'ops["ok"] == 20' 'r["handshakes"]["resumed"] == 20' 'r["handshakes"]["full"] == 4'
}
resumptions() {
  resumed 1.2 && resumed 1.3
}

requests() {
  bench 0 "localhost:$web" --mode request --path /data --size "$SIZE" --verify-body "$sum" \
    --count 40 -c 4 --keep-alive &&
    finds 'ops["ok"] == 40' 'r["handshakes"]["full"] == 4' "r['bytes']['received'] > 40 * $SIZE" &&
    bench 0 "localhost:$web" --mode download --path /data --size "$SIZE" --verify-body "$sum" \
      --count 10 -c 3 -t 3 &&
    finds 'ops["ok"] == 10' 'r["handshakes"]["full"] == 10'
}

echoes() {
  bench 0 "localhost:$echo" --mode echo --size 1000003 --count 6 -c 2 --keep-alive &&
    finds 'ops["ok"] == 6' 'r["handshakes"]["full"] == 2' \
      'r["bytes"]["received"] == r["bytes"]["sent"] == 6 * 1000003'
}

# By schedule: as many as were due, done or not; none more and none less.
schedule() {
  bench 0 "localhost:$web" --mode request --path /small --keep-alive --rate 200 -d 1 -c 8 -t 3 \
    --ramp 1 --warm-up 1 --html "$work/out.html" &&
    finds 'ops["ok"] + ops["unsent"] + ops["unfinished"] == 200' 'ops["warm_up"] <= 200' \
      'lat["corrected_for_coordinated_omission"]' 'lat["from"] == "intended_start"' &&
    bench 0 "localhost:$web" --mode request --path /small --keep-alive --rate 400 --count 150 -t 3 &&
    finds 'ops["ok"] == 150' 'r["seconds"] >= 149 / 400'
}

# Nothing is said for the duration, then each connection has its request; its latency is the request's.
idle() {
  bench 0 "localhost:$web" --mode idle -c 50 -t 3 -d 1 --ramp 1 --path /data --verify-body "$sum" &&
    finds 'ops["ok"] == 50' 'r["handshakes"] == {"full": 50, "resumed": 0}' 'r["seconds"] >= 1' \
      'lat["min"] < 1e9' 'r["client"]["memory_per_connection"] > 500' &&
    bench 1 "localhost:$web" --mode idle --count 3 && bench 1 "localhost:$web" --mode idle --rate 3
}

# A rate holds for each connection, and what comes is whole.
slow_reader() {
  local path
  for path in user auto; do
    bench 0 "localhost:$web" --mode download --path /data --verify-body "$sum" --count 3 -c 3 \
      --read-rate "$((SIZE * 2))" --record-path "$path" || return 1
    finds 'ops["ok"] == 3' 'r["seconds"] >= 0.45' 'lat["min"] > 450e6' || return 1
  done
}

page() {
  python3 - "$work/out.html" <<-'END' && return
	import sys, xml.etree.ElementTree as tree
	text = open(sys.argv[1]).read()
	for svg in (text[i:text.index("</svg>", i) + 6] for i in range(len(text)) if text.startswith("<svg", i)):
	    line = tree.fromstring(svg).find("polyline")
	    assert len(line.get("points").split()) > 3, "a plot without a line"
	assert text.count("<svg") == 2 and "://" not in text and "src=" not in text, "not self-contained"
	END
  say "the page is not as it should be"
  return 1
}

# --- failures

failures() {
  local nobody
  nobody=$(free_port)
  bench 2 "127.0.0.1:$nobody" --count 7 -c 3 &&
    finds 'errors == {"SLUICE_E_CONNECT": 7}' 'ops["failed"] == 7' 'r["connection"] is None' &&
    bench 2 "127.0.0.1:$nobody" --mode resume --count 7 -c 3 && finds 'ops["failed"] == 7' &&
    bench 4 "localhost:$web" --servername other.example --count 4 &&
    finds 'errors == {"SLUICE_E_HOSTNAME": 4}' &&
    bench 5 "localhost:$web" --mode request --path /none --count 4 &&
    finds 'errors == {"HTTP_STATUS_404": 4}' 'ops["ok"] == 0' &&
    bench 5 "localhost:$web" --mode download --path /data --size 7 --count 4 &&
    finds 'errors == {"BODY_LENGTH": 4}' &&
    bench 5 "localhost:$web" --mode download --path /small --verify-body "$sum" --count 4 &&
    finds 'errors == {"BODY_SHA256": 4}' &&
    bench 1 "localhost:$web" --verify-body 12 || return 1
}

# One that takes connections and says nothing, and one that sends what nobody can read.
silence() {
  local port
  port=$(free_port)
  python3 -c 'import signal, socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
signal.pause()' "$port" &
  pids+=($!)
  await_listen "$port" $! &&
    bench 6 "127.0.0.1:$port" --count 3 --timeout 200 && finds 'errors == {"SLUICE_E_TIMEOUT": 3}'
}
nonsense() {
  local port
  port=$(free_port)
  python3 -c 'import socket, sys
s = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
while True:
    c = s.accept()[0]
    c.recv(65536)
    c.sendall(b"SSH-2.0-OpenSSH_9.2\r\n" * 1000)
    c.close()' "$port" &
  pids+=($!)
  await_listen "$port" $! &&
    bench 5 "127.0.0.1:$port" --count 5 -c 2 && finds 'ops["failed"] == 5' 'r["connection"] is None'
}

untrusted() {
  local status=0
  "$SLUICE" bench "localhost:$web" --count 3 >"$work/said" 2>&1 || status=$?
  [ "$status" = 4 ] && has_line '^  SLUICE_E_VERIFY +3: ' &&
    "$SLUICE" bench "localhost:$web" --insecure --count 3 --quiet
}
has_line() {
  grep -qE "$1" "$work/said" && return
  say "no '$1' in: $(tail -n 5 "$work/said")"
  return 1
}

# await_connection PORT: until somebody is connected to it.
await_connection() {
  local i
  for ((i = 0; i < 300; i++)); do
    grep -qE "^ *[0-9]+: [0-9A-F]+:$(printf %04X "$1") [0-9A-F:]+ 01 " /proc/net/tcp && return
    sleep 0.02
  done
  say "nobody connects to $1"
  return 1
}

# What is due in the first half of the time in which the server stands still waits for the other half.
stall() {
  local pid
  bench 0 "127.0.0.1:$victim_port" --mode request --path /small --keep-alive --rate 200 --count 300 \
    -c 2 &
  pid=$!
  await_connection "$victim_port" || return 1
  kill -STOP "$victim"
  sleep 0.7
  kill -CONT "$victim"
  wait "$pid" && finds 'ops["ok"] == 300' 'lat["p99"] >= 300e6' 'lat["p90"] >= 100e6' 'not errors'
}

# background TARGET: a load without an end, as $load.
background() {
  "$SLUICE" bench "$1" --cacert "$work/ca.pem" -d 600 --json "$work/out.json" >"$work/said" 2>&1 &
  load=$!
  pids+=("$load")
}

# Then it dies. The first error may be of a connection that it took along, or of the next one.
death() {
  local status=0
  background "127.0.0.1:$victim_port"
  await_connection "$victim_port" || return 1
  sleep 0.3
  kill -KILL "$victim"
  { wait "$victim" || true; } 2>/dev/null
  sleep 0.3
  kill -INT "$load"
  wait "$load" || status=$?
  [[ $status == [25] ]] && finds 'ops["ok"] > 0' '"SLUICE_E_CONNECT" in errors'
}

interrupted() {
  background "localhost:$web"
  await_connection "$web" || return 1
  sleep 0.3
  kill -INT "$load"
  wait "$load" && finds 'ops["ok"] > 0' 'r["seconds"] < 500'
}

# --- other servers

openssl_server() {
  local port
  port=$(free_port)
  (cd "$work/www" && exec openssl s_server -accept "$port" -cert "$work/ec.pem" -key "$work/ec.key" \
    -WWW -quiet) >"$work/openssl.log" 2>&1 &
  pids+=($!)
  await_listen "$port" $! || return 1
  bench 0 "127.0.0.1:$port" --mode download --path /data --verify-body "$sum" --size "$SIZE" \
    --count 8 -c 2 && finds 'ops["ok"] == 8' 'r["handshakes"]["full"] == 8' &&
    bench 0 "127.0.0.1:$port" --mode resume --count 6 -c 1 &&
    finds 'r["handshakes"] == {"full": 1, "resumed": 6}'
}

# Takes uploads, and answers in chunks.
cat >"$work/python-server.py" <<'END'
import hashlib, http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        print(len(body), hashlib.sha256(body).hexdigest(), file=open(sys.argv[2], "a"))
        self.send_response(204)
        self.end_headers()
    def do_GET(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in (b"a" * 70000, b"b", b""):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
    def log_message(self, *args):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
END
python_server() {
  local port
  port=$(free_port)
  python3 "$work/python-server.py" "$port" "$work/uploads" "$work/ec.pem" "$work/ec.key" \
    2>"$work/python.log" &
  pids+=($!)
  await_listen "$port" $! || return 1
  bench 0 "127.0.0.1:$port" --mode upload --size 700001 --count 6 -c 2 --keep-alive &&
    finds 'ops["ok"] == 6' 'r["bytes"]["sent"] > 6 * 700001' || return 1
  if [ "$(wc -l <"$work/uploads")" != 6 ] || [ "$(sort -u "$work/uploads" | wc -l)" != 1 ] ||
    ! grep -q '^700001 ' "$work/uploads"; then
    say "not six times the same 700001 bytes: $(tr '\n' ' ' <"$work/uploads")"
    return 1
  fi
  bench 0 "127.0.0.1:$port" --mode request --size 70001 --count 6 -c 2 --keep-alive &&
    finds 'ops["ok"] == 6' 'r["handshakes"]["full"] == 2'
}

# A head that came before is not parsed again: what follows it counts all the same. One of an interim response has
# no length of its own.
cat >"$work/heads.py" <<'END'
import socket, ssl, sys
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"
CONTINUE, EARLY = b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
ANSWERS = [[HEAD + b"hello"], [HEAD + b"hello"], [HEAD + b"hel", b"lo"], [HEAD[:20], HEAD[20:] + b"hello"],
           [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"],
           [CONTINUE + HEAD + b"hello"], [CONTINUE, HEAD + b"hello"], [EARLY + HEAD + b"hello"],
           [EARLY, HEAD + b"hello"], [EARLY, HEAD + b"hello"],
           [HEAD + b"hello"], [HEAD, b"hello"], [HEAD + b"hallo"], [HEAD + b"hello, and more"]]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    conn = context.wrap_socket(listener.accept()[0], server_side=True)
    try:
        for answer in ANSWERS:
            if not conn.recv(4096):
                break
            for part in answer:
                conn.sendall(part)
        conn.recv(1)
    except OSError:
        pass
    conn.close()
END
known_heads() {
  local port hello=2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824
  local args=(--mode request --keep-alive -c 1 --verify-body "$hello")
  port=$(free_port)
  python3 "$work/heads.py" "$port" "$work/ec.pem" "$work/ec.key" 2>"$work/heads.log" &
  pids+=($!)
  await_listen "$port" $! || return 1
  bench 0 "127.0.0.1:$port" "${args[@]}" --count 12 &&
    finds 'ops["ok"] == 12' 'r["handshakes"]["full"] == 1' &&
    bench 5 "127.0.0.1:$port" "${args[@]}" --count 13 && finds 'errors == {"BODY_SHA256": 1}' &&
    bench 5 "127.0.0.1:$port" --mode request --keep-alive -c 1 --count 14 &&
    finds 'errors == {"SLUICE_E_PROTOCOL": 1}' 'ops["ok"] == 13'
}

ktap_plan 18
prepare
echo hello >"$work/www/small"
sum=$(sha256sum "$work/www/data" | cut -d' ' -f1)
ours=(--cert "$work/ec.pem" --key "$work/ec.key" --root "$work/www" --quiet)
serve web "${ours[@]}" || exit 1
web=$port
serve echo "${ours[@]}" --mode echo || exit 1
echo=$port
serve victim "${ours[@]}" || exit 1
victim_port=$port victim=$server

attempt "full handshakes, as many as asked for" handshakes
attempt "resumed handshakes, TLS 1.2 and 1.3" resumptions
attempt "requests and downloads bring what is served" requests
attempt "an echo brings back what was sent" echoes
attempt "an open loop begins what its schedule has" schedule
attempt "connections that are held are asked at the end" idle
attempt "a slow reader gets what is served" slow_reader
attempt "the page is whole and asks for nothing" page
attempt "failures are counted by name and show in the status" failures
attempt "a server that never answers is out of time" silence
attempt "what is not TLS is a failure" nonsense
attempt "a certificate that nobody vouches for is a failure" untrusted
attempt "a server that stalls shows in an open loop's latencies" stall
attempt "a server that dies is a failure" death
attempt "an interrupted load still reports" interrupted
attempt "with OpenSSL's server" openssl_server
attempt "heads that came before" known_heads
attempt "with Python's server: uploads, and chunks" python_server
exit "$ktap_failed"
