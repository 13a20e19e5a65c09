#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `sluice serve` with files and uploads under load: what arrives is what is there, byte for byte, for many
# clients at once; whoever reads slowly, resets, or asks while a file is cut or grows harms nobody and is never
# told a lie; and a young connection's first bytes can be read as soon as they are there.
# Environment: as tests/interop/lib.sh; SLUICE_TEST_LONG: more clients, larger files
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
SLUICE_INTEROP_SIZE=${SLUICE_INTEROP_SIZE:-3000000}
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"
clients=$(($(nproc) * 25)) upload=20000000
[ -z "${SLUICE_TEST_LONG:-}" ] || clients=400 upload=104857600

bench() { # OPTION...
  timeout 120 "$SLUICE" bench "127.0.0.1:$web" --cacert "$work/ca.pem" "$@" >"$work/bench.log" 2>&1 || {
    say "bench $*: $(tail -n 4 "$work/bench.log" | tr '\n' ' ')"
    return 1
  }
}

resident() { awk '/^VmRSS/ { print $2 }' "/proc/$1/status"; }

# fetch OUT PATH CURL'S-OPTION...
fetch() {
  local out=$1 path=$2
  shift 2
  curl -sS --cacert "$work/ca.pem" -m "$LIMIT" -o "$out" "$@" "https://127.0.0.1:$web/$path" 2>"$out.err"
}

at_once() {
  bench --mode download --path /data --size "$SIZE" --verify-body "$sum" -c "$clients" --threads 2 \
    --count "$((clients * 2))" --keep-alive &&
    bench --mode download --path /data --size "$SIZE" --verify-body "$sum" -c 20 --threads 2 --count 60
}

every_size() {
  local n result=0
  # About what fits a record, a buffer, a pipe, and where pages are sent instead of copies.
  for n in 0 1 16383 16384 16385 32767 32768 65535 65536 65537 73728 131072 262145 600001; do
    head -c "$n" "$work/www/data" >"$work/www/part"
    bench --mode download --path /part --size "$n" -c 1 --count 2 --keep-alive \
      --verify-body "$(sha256sum "$work/www/part" | cut -d' ' -f1)" || { say "$n bytes"; result=1; }
  done
  return "$result"
}

ranges() {
  local from n result=0
  for from in 0 1 16384 100001 "$((SIZE - 70000))"; do
    for n in 1 16384 70000; do
      fetch "$work/range" data -r "$from-$((from + n - 1))" || result=1
      if [ "$(stat -c %s "$work/range")" != "$n" ] ||
        ! cmp -s -i "$from:0" -n "$n" "$work/www/data" "$work/range"; then
        say "bytes $from to $((from + n - 1)): $(stat -c %s "$work/range")"
        result=1
      fi
    done
  done
  return "$result"
}

# The server's memory does not grow by what a slow reader has not taken.
slow_readers() {
  local i before after readers=() result=0
  before=$(resident "$server")
  for ((i = 0; i < 20; i++)); do
    curl -sS --cacert "$work/ca.pem" -m 2 --limit-rate 10K -o /dev/null \
      "https://127.0.0.1:$web/large" 2>/dev/null &
    readers+=("$!")
  done
  sleep 1
  bench --mode download --path /data --size "$SIZE" --verify-body "$sum" -c 4 --count 8 || result=1
  after=$(resident "$server")
  for i in "${readers[@]}"; do wait "$i" || true; done
  # 20 buffers of a read and what is sealed of it are 3 MB, and sanitizers keep what was freed; what the clients
  # asked for is 600 MB.
  [ "$((after - before))" -lt 24576 ] || {
    say "20 slow readers: from $before to $after kB"
    result=1
  }
  return "$result"
}

# A client that is gone in the middle, with a reset.
cat >"$work/reset.py" <<'END'
import socket, ssl, struct, sys
context = ssl.create_default_context(cafile=sys.argv[2])
context.verify_flags &= ~ssl.VERIFY_X509_STRICT # on since Python 3.13; our CA has no key usage
for i in range(20):
    raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    tls = context.wrap_socket(raw, server_hostname="localhost")
    tls.sendall(sys.argv[3].encode().decode("unicode_escape").encode())
    if sys.argv[4] == "read":
        tls.recv(1000 * (i + 1))
    tls.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    tls.close()
END
resets() {
  python3 "$work/reset.py" "$web" "$work/ca.pem" 'GET /large HTTP/1.1\r\nHost: x\r\n\r\n' read &&
    python3 "$work/reset.py" "$web" "$work/ca.pem" \
      'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc' no &&
    kill -0 "$server" &&
    bench --mode download --path /data --size "$SIZE" --verify-body "$sum" -c 4 --count 8
}

# cut_short BYTES: how a download ends whose file loses all but BYTES while it is under way.
cut_short() {
  local status=0 reader
  truncate -s 16000000 "$work/www/cut"
  rm -f "$work/cut"
  fetch "$work/cut" cut --limit-rate 5M &
  reader=$!
  await_size "$work/cut" 1 "$reader"
  truncate -s "$1" "$work/www/cut"
  wait "$reader" || status=$?
  # 18: fewer bytes than promised; 56: the connection ended without close_notify.
  [ "$status" = 18 ] || [ "$status" = 56 ] || {
    say "cut to $1 bytes: curl's status $status, $(stat -c %s "$work/cut") bytes"
    return 1
  }
}

changes() {
  local result=0
  cut_short 0 || result=1
  cut_short 12000000 || result=1
  # One that grows: what was promised, and no more; the next request sees the rest.
  truncate -s 9000000 "$work/www/grow"
  fetch "$work/grow" grow --limit-rate 9M &
  await_size "$work/grow" 1 "$!"
  truncate -s 10000000 "$work/www/grow"
  wait "$!" || result=1
  [ "$(stat -c %s "$work/grow")" = 9000000 ] || { say "grew: $(stat -c %s "$work/grow")"; result=1; }
  fetch "$work/grow" grow -r 8999999- || result=1
  [ "$(stat -c %s "$work/grow")" = 1000001 ] || { say "then: $(stat -c %s "$work/grow")"; result=1; }
  return "$result"
}

uploads() {
  local before after result=0
  before=$(resident "$server")
  bench --mode upload --size "$upload" -c 4 --threads 2 --count 8 --keep-alive || result=1
  bench --mode upload --size 70001 -c 8 --count 40 || result=1
  bench --mode upload --size 0 -c 1 --count 2 --keep-alive || result=1
  after=$(resident "$server")
  [ "$((after - before))" -lt 24576 ] || { say "uploads: from $before to $after kB"; result=1; }
  return "$result"
}

# expecting VERSION BEGINNING: of what is answered to a request that waits for 100 Continue; of HTTP/1.0 nobody does.
expecting() {
  local said
  said=$({ printf 'POST /a HTTP/%s\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 3\r\nConnection: close\r\n\r\n' "$1"
    sleep 0.3
    printf abc
  } | timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$web" -CAfile "$work/ca.pem" -quiet -ign_eof 2>/dev/null)
  [[ $said == "$2"*'"bytes": 3, "sha256": "ba7816bf'* ]] || { say "HTTP/$1, expecting: $said"; return 1; }
}

# What curl sends, waiting for 100 Continue or not, and what the answer says of it.
upload_answers() {
  local said
  fetch "$work/said" x -T "$work/www/data" || return 1
  said=$(cat "$work/said")
  [ "$said" = "{\"bytes\": $SIZE, \"sha256\": \"$sum\"}" ] || { say "PUT: $said"; return 1; }
  fetch "$work/said" x -H 'Expect:' --data-binary @"$work/www/data" || return 1
  said=$(cat "$work/said")
  [ "$said" = "{\"bytes\": $SIZE, \"sha256\": \"$sum\"}" ] || { say "POST: $said"; return 1; }
  # Two requests in one connection, the second right behind the body of the first.
  said=$(printf 'POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabcGET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n' |
    timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$web" -CAfile "$work/ca.pem" -quiet -ign_eof 2>/dev/null)
  [[ $said == *'"bytes": 3, "sha256": "ba7816bf'*hello* ]] || { say "pipelined: $said"; return 1; }
  expecting 1.1 'HTTP/1.1 100 ' && expecting 1.0 'HTTP/1.1 200 '
}

too_large() {
  local said
  said=$(fetch "$work/said" x -w '%{http_code}' -H 'Expect:' -H "Content-Length: 200000001" -d x || true)
  [ "$said" = 413 ] || { say "beyond the limit: $said"; return 1; }
  said=$(curl -sS --cacert "$work/ca.pem" -m 5 -o /dev/null -w '%{http_code}' -d x "https://127.0.0.1:$plain/")
  [ "$said" = 405 ] || { say "without --upload-max: $said"; return 1; }
}

workers() {
  local used
  serve workers "${ours[@]}" --workers 3 || return 1
  web=$port bench --mode download --path /data --size "$SIZE" --verify-body "$sum" -c 24 --threads 2 \
    --count 72 --keep-alive || return 1
  # Each has had some of the connections: its thread has used the processor.
  used=$(for task in "/proc/$server/task"/*; do awk '{ print $14 + $15 }' "$task/stat"; done | awk '$1 > 0' | wc -l)
  stop "$server"
  [ "$used" -ge 3 ] || { say "only $used threads of 3 did something"; return 1; }
}

# first_byte PORT: how many bytes of the answer a client needs until it can read the first of the body. What a
# link brings at a time is a segment; its clock is left out.
first_byte() {
  python3 - "$1" "$work/ca.pem" <<'END'
import socket, ssl, sys
raw = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
context = ssl.create_default_context(cafile=sys.argv[2])
context.verify_flags &= ~ssl.VERIFY_X509_STRICT # on since Python 3.13; our CA has no key usage
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
def pump(step):
    while True:
        try:
            return step()
        except ssl.SSLWantReadError:
            raw.sendall(outgoing.read())
            incoming.write(raw.recv(65536))
pump(tls.do_handshake)
tls.write(b"GET /data HTTP/1.1\r\nHost: x\r\n\r\n")
raw.sendall(outgoing.read())
taken, got = 0, b""
while b"\r\n\r\n" not in got or got.endswith(b"\r\n\r\n"):
    data = raw.recv(1448)
    taken += len(data)
    incoming.write(data)
    try:
        got += tls.read(65536)
    except ssl.SSLWantReadError:
        pass
print(taken)
END
}

first_bytes() {
  local with without
  serve small "${ours[@]}" --tickets 0 -o dynamic_record_size=true || return 1
  with=$(first_byte "$port")
  stop "$server"
  serve full "${ours[@]}" --tickets 0 || return 1
  without=$(first_byte "$port")
  stop "$server"
  say "bytes until the first of the body can be read: $with with dynamic_record_size, $without without"
  [ "$with" -le 2896 ] && [ "$without" -gt 16384 ]
}

ktap_plan 11
prepare
echo hello >"$work/www/small"
truncate -s 30000000 "$work/www/large"
sum=$(sha256sum "$work/www/data" | cut -d' ' -f1)
ours=(--cert "$work/ec.pem" --key "$work/ec.key" --root "$work/www" --quiet)
serve plain "${ours[@]}" || exit 1
plain=$port
serve web "${ours[@]}" --upload-max 200000000 || exit 1
web=$port

attempt "a file is whole for many clients at once" at_once
attempt "files of every size are whole" every_size
attempt "ranges are the bytes that were asked for" ranges
attempt "slow readers cost no memory and hold nobody up" slow_readers
attempt "clients that reset in the middle harm nobody" resets
attempt "a file that changes meanwhile is never taken for whole" changes
attempt "uploads arrive as they were sent, in bounded memory" uploads
attempt "the answer to an upload tells what came" upload_answers
attempt "uploads that are too large, or not wanted, are refused" too_large
attempt "workers share the connections" workers
attempt "a young connection's first bytes need no whole record" first_bytes
exit "$ktap_failed"
