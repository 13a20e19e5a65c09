#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# sluice-metrics: what it answers is OpenMetrics, and true; whoever asks badly, slowly or too much disturbs
# neither the daemon nor other scrapers; and it is started again when it dies.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2015,SC2016,SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

SLUICECTL=${SLUICECTL:-$build/tools/sluicectl}
PYTHON=${PYTHON:-/usr/bin/python3} # which has what Debian packages
HERE=$(cd "$(dirname "$0")/../.." && pwd)
metrics=$work/metrics.sock

configure() { # METRICS
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app}
	  - {name: empty, address: "127.0.0.1:$((port + 1))", profile: main, pool: empty}
	profiles:
	  main: {certfile: $work/ec.pem, keyfile: $work/ec.key}
	pools:
	  app: {socket: $work/app.sock}
	  empty: {socket: $work/empty.sock, wait: 100}
	limits: {handshakers: 2, drain: 100}
	admin: {socket: $work/admin.sock}
	metrics: {$1}
	END
}

starts() {
  port=$(free_port)
  http=$(free_port)
  while [ "$http" -ge "$port" ] && [ "$http" -le $((port + 1)) ]; do http=$((http + 2)); done
  configure "socket: $metrics, address: \"127.0.0.1:$http\""
  start_daemon && start_worker app answer app
}

scrape() { # FILE
  curl -sS --max-time 10 --unix-socket "$metrics" -o "$1" -w '%{http_code} %{content_type}' http://localhost/metrics
}

# sample SERIES: its value in the last scrape
sample() {
  awk -v series="$1" '{ at = length($0); while (substr($0, at, 1) != " ") at-- }
    substr($0, 1, at - 1) == series { print substr($0, at + 1) }' "$work/scrape"
}

# --- what is answered

openmetrics() {
  local wanted='200 application/openmetrics-text; version=1.0.0; charset=utf-8' where
  for where in "--unix-socket $metrics http://localhost/metrics" "http://127.0.0.1:$http/metrics"; do
    # shellcheck disable=SC2086 # words
    [ "$(curl -sS --max-time 10 -o "$work/scrape" -w '%{http_code} %{content_type}' $where)" = "$wanted" ] || {
      say "not 200, or of another type: $where"
      return 1
    }
    "$PYTHON" - "$work/scrape" <<-'END' || return 1
	import sys
	from prometheus_client.openmetrics.parser import text_string_to_metric_families
	text = open(sys.argv[1]).read()
	families = list(text_string_to_metric_families(text))
	names = {f.name for f in families}
	assert text.endswith("# EOF\n")
	assert all(n.startswith("sluiced_") for n in names) and len(names) == len(families) > 20
	assert all(f.documentation.endswith(".") for f in families)
	assert next(f for f in families if f.name == "sluiced_handshake_seconds").unit == "seconds"
	END
  done
}

is_true() {
  local i result=0
  answers 'worker=*' ask localhost || return 1
  answers 'worker=*' ask localhost -tls1_2 || return 1
  for ((i = 0; i < 3; i++)); do printf 'GET / HTTP/1.0\r\n\r\n' >"/dev/tcp/127.0.0.1/$port"; done
  openssl s_client -connect "127.0.0.1:$((port + 1))" -servername localhost </dev/null >/dev/null 2>&1 || true
  await 10 has_ended || { say "$(grep sessions_ended "$work/scrape")"; return 1; }
  while read -r series value; do
    [ "$(sample "$series")" = "$value" ] || { say "$series is '$(sample "$series")', not $value"; result=1; }
  done <<-'END'
	sluiced_connections_total{listener="main"} 5
	sluiced_connections_total{listener="empty"} 1
	sluiced_handshakes_failed_total{listener="main",reason="SLUICE_E_HTTP_REQUEST"} 3
	sluiced_sessions_handed_over_total{pool="app"} 2
	sluiced_sessions_handed_over_total{pool="empty"} 0
	sluiced_sessions_ended_total{pool="empty",reason="no_worker"} 1
	sluiced_handshake_seconds_count 3
	sluiced_handshake_stage_seconds_count{stage="queue"} 3
	sluiced_handshake_stage_seconds_count{stage="sign"} 3
	sluiced_handshake_stage_seconds_count{stage="handover"} 2
	sluiced_handshake_seconds_bucket{le="+Inf"} 3
	sluiced_sessions{state="live"} 0
	sluiced_pool_workers{pool="app"} 1
	sluiced_process_crashes_total{process="keeper"} 0
	END
  [ "$(awk '/^sluiced_handshakes_total.*TLSv1.2/ { print $2 }' "$work/scrape")" = 1 ] || { say "no TLSv1.2"; result=1; }
  ! grep -q localhost "$work/scrape" || { say "a label is of a peer's choice"; result=1; }
  return "$result"
}

has_ended() {
  scrape "$work/scrape" >/dev/null
  [ "$(awk '/^sluiced_sessions_ended_total/ { n += $2 } END { print n }' "$work/scrape")" = 3 ]
}

as_sluicectl() {
  "$SLUICECTL" --socket "$work/admin.sock" stats --tsv >"$work/stats" || return 1
  grep -q $'^handshakes_failed\tlistener=main,reason=SLUICE_E_HTTP_REQUEST\t3$' "$work/stats" &&
    grep -q $'^handshake_stage_seconds\tstage=sign,count\t3$' "$work/stats" &&
    grep -qE $'^handshake_seconds\tp99_us\t[1-9][0-9]*$' "$work/stats" && return
  say "$(grep -E '^handshake' "$work/stats" | tr '\n' ' ')"
  return 1
}

dashboard() {
  scrape "$work/scrape" >/dev/null
  "$PYTHON" - "$HERE/tools/grafana/sluiced.json" "$work/scrape" <<-'END'
	import json, re, sys
	from prometheus_client.openmetrics.parser import text_string_to_metric_families
	board = json.load(open(sys.argv[1]))
	there = set()
	suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"], "info": ["_info"]}
	for family in text_string_to_metric_families(open(sys.argv[2]).read()):
	    there |= {family.name + s for s in suffixes.get(family.type, [""])}
	texts = [t["expr"] for p in board["panels"] for t in p["targets"]]
	texts += [v["query"] for v in board["templating"]["list"]]
	used = set(re.findall(r"\bsluiced_\w+", " ".join(texts)))
	if len(used) < 20 or used - there:
	    print("#", len(used), "names; not in a scrape:", *sorted(used - there))
	    sys.exit(1)
	END
}

# --- who asks badly

code() { # CURL-OPTION...
  curl -s --max-time 10 -o "$work/body" -w '%{http_code}' "$@" || true
}

bad_requests() {
  local result=0 url=http://127.0.0.1:$http
  [ "$(code "$url/")" = 404 ] || { say "/ is there"; result=1; }
  [ "$(code "$url/metrics/../../etc/passwd" --path-as-is)" = 404 ] || { say "a path leads out"; result=1; }
  [ "$(code -X DELETE "$url/metrics")" = 405 ] || { say "DELETE is taken"; result=1; }
  [ "$(head -c 100000 /dev/zero | code --data-binary @- "$url/metrics")" = 405 ] || { say "POST is taken"; result=1; }
  [ "$(code -I "$url/metrics")" = 200 ] || { say "HEAD is not taken"; result=1; }
  case "$(code -H "X: $(head -c 20000 /dev/zero | tr '\0' x)" "$url/metrics")" in
    431 | 413 | 000) ;;
    *) say "a head of 20000 bytes is taken"; result=1 ;;
  esac
  head -c 100000 /dev/urandom >"/dev/tcp/127.0.0.1/$http" 2>/dev/null || true
  [ "$(code "$url/metrics")" = 200 ] || { say "no answer afterwards"; result=1; }
  return "$result"
}

# More than have a place: half a request, a byte now and then, an answer that is not read. Whoever asks at the
# other socket is answered, the daemon does its work, and the places are free again after a while.
slow() {
  local result=0 process
  process=$(children sluice-metrics)
  python3 - "$http" "$work/slow" <<-'END' &
	import socket, sys, time
	clients = []
	for i in range(40):
	    s = socket.socket()
	    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
	    s.connect(("127.0.0.1", int(sys.argv[1])))
	    s.setblocking(False)
	    s.send([b"GET /met", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50, b""][i % 3])
	    clients.append(s)
	open(sys.argv[2], "w").close()
	while True:
	    time.sleep(1)
	    for s in clients[::3]:
	        try:
	            s.send(b"x")
	        except OSError:
	            pass
	END
  slow=$!
  pids+=("$slow")
  await 10 test -e "$work/slow"
  [[ $(scrape "$work/scrape") == 200* ]] || { say "the other socket does not answer"; result=1; }
  answers 'worker=*' ask localhost || result=1
  [ "$(count_files "$process")" -le 64 ] || { say "$(count_files "$process") descriptors"; result=1; }
  if [ -n "${SLUICE_TEST_LONG:-}" ]; then
    curl -sS --max-time 90 -o "$work/body" "http://127.0.0.1:$http/metrics" || { say "no place is ever free"; result=1; }
  fi
  stop "$slow"
  [ "$(code "http://127.0.0.1:$http/metrics")" = 200 ] || { say "no answer when they are gone"; result=1; }
  [ "$(children sluice-metrics)" = "$process" ] || { say "it is another process"; result=1; }
  return "$result"
}

many() {
  local before
  before=$(count_files "$daemon")
  python3 - "$metrics" <<-'END' || return 1
	import socket, sys, threading
	good = []
	def ask():
	    for _ in range(5):
	        s = socket.socket(socket.AF_UNIX)
	        s.settimeout(20)
	        s.connect(sys.argv[1])
	        s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	        data = b""
	        while chunk := s.recv(65536):
	            data += chunk
	        good.append(data.startswith(b"HTTP/1.1 200") and data.endswith(b"# EOF\n"))
	threads = [threading.Thread(target=ask) for _ in range(30)]
	for t in threads:
	    t.start()
	for t in threads:
	    t.join()
	if len(good) != 150 or not all(good):
	    print("#", len(good), "answers,", good.count(True), "whole")
	    sys.exit(1)
	END
  [ "$(count_files "$daemon")" -le "$before" ] || { say "the broker keeps descriptors"; return 1; }
}

# --- when it is gone

again() {
  local first
  first=$(children sluice-metrics)
  kill -SEGV "$first"
  await 10 log_has "sluice-metrics (pid $first) ended by signal" || { say "its death is not told"; return 1; }
  await 10 eval '[[ $(scrape "$work/scrape") == 200* ]]' || { say "it does not answer again"; return 1; }
  [ "$(sample 'sluiced_process_crashes_total{process="metrics"}')" = 1 ] || { say "it is not counted"; return 1; }
  answers 'worker=*' ask localhost
}

stopped() {
  local process result=0
  process=$(children sluice-metrics)
  kill -STOP "$process"
  answers 'worker=*' ask localhost || result=1
  "$SLUICECTL" --socket "$work/admin.sock" status >/dev/null || result=1
  kill -CONT "$process"
  [[ $(scrape "$work/scrape") == 200* ]] || { say "it does not go on"; result=1; }
  return "$result"
}

ends() {
  local process
  process=$(children sluice-metrics)
  stop "$daemon"
  [ ! -e "/proc/$process" ] && [ ! -e "$metrics" ] || { say "it is still there"; return 1; }
}

refused() {
  local address out result=0
  for address in 0.0.0.0:9180 '[::]:9180' :9180 192.0.2.1:9180 '[2001:db8::1]:9180' '[::ffff:192.0.2.1]:9180'; do
    configure "address: \"$address\""
    if out=$("$SLUICED" --config "$work/sluiced.conf" --check 2>&1); then
      say "$address is taken"
      result=1
    elif [[ $out != *"\"$address\" is not of the loopback"* ]]; then
      say "$address: $out"
      result=1
    fi
  done
  for address in 127.0.0.1:9180 127.8.8.8:9180 '[::1]:9180'; do
    configure "address: \"$address\""
    "$SLUICED" --config "$work/sluiced.conf" --check >"$work/check" 2>&1 || { say "$(cat "$work/check")"; result=1; }
  done
  return "$result"
}

prepare_daemon
ktap_plan 11
starts || exit 1
# test: a scrape is OpenMetrics
attempt "a scrape is OpenMetrics" openmetrics
# test: counts are true and bounded
attempt "counts are true and bounded" is_true
# test: sluicectl stats tells the same
attempt "sluicectl stats tells the same" as_sluicectl
# test: every metric of the dashboard is in a scrape
attempt "every metric of the dashboard is in a scrape" dashboard
# test: what is no scrape is refused
attempt "what is no scrape is refused" bad_requests
# test: slow scrapers disturb nobody
attempt "slow scrapers disturb nobody" slow
# test: many scrapers are all answered
attempt "many scrapers are all answered" many
# test: sluice-metrics is started again when it dies
attempt "sluice-metrics is started again when it dies" again
# test: sluice-metrics that stands disturbs nobody
attempt "sluice-metrics that stands disturbs nobody" stopped
# test: sluice-metrics ends with the daemon
attempt "sluice-metrics ends with the daemon" ends
# test: counts are told on this machine alone
attempt "counts are told on this machine alone" refused
exit "$ktap_failed"
