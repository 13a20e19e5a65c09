#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Keys that change after the hand-over: OpenSSL and a worker change theirs all the time under checked
# traffic. On the kernel path the worker has no secrets, and every new key is put into the socket by the
# broker; the kernel's counters must have seen all of them. On the user path the worker does it itself.
# Environment: as tests/daemon/lib.sh; WORKER: the program.
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

WORKER=${WORKER:-$build/examples/example-worker}
BYTES=20000000
EVERY=20000
LIMIT=120

# start_all OPTION...: sluiced with one listener and one pool, at $port; lines for the profile.
start_all() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: web, address: "127.0.0.1:$port", profile: default, pool: web}
	profiles:
	  default:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	$(printf '    %s\n' "$@")
	pools:
	  web: {socket: $work/web.sock}
	limits: {handshakers: 2}
	admin: {socket: $work/admin.sock}
	END
  start_daemon || return 1
  "$WORKER" "$work/web.sock" 2>"$work/worker.log" &
  worker=$!
  pids+=("$worker")
}

stop_daemon() {
  stop "$worker"
  stop "$daemon"
}

changes() {
  local before after rx tx result=0
  start_all "key_update_at: $EVERY" || return 1
  before=("$(counter TlsRxRekeyOk)" "$(counter TlsTxRekeyOk)")
  timeout "$LIMIT" "$PEERS/openssl" client "$port" "$work/ca.pem" - "$BYTES" "$EVERY" \
    >"$work/peer.out" 2>&1 || {
    say "$(tail -n 3 "$work/peer.out" | tr '\n' ' '); $(tail -n 3 "$work/sluiced.log" "$work/worker.log")"
    result=1
  }
  after=("$(counter TlsRxRekeyOk)" "$(counter TlsTxRekeyOk)")
  rx=$((after[0] - before[0]))
  tx=$((after[1] - before[1]))
  if [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = kernel ]; then
    if [ "$rx" -lt 999 ] || [ "$tx" -lt 999 ]; then
      say "the kernel saw $rx and $tx new keys"
      result=1
    fi
  fi
  stop_daemon
  return "$result"
}

can_rekey() {
  [ "$(path_of TLS_AES_128_GCM_SHA256 auto)" = user ] ||
    grep -q 'new keys when receiving (KeyUpdate) *yes' "$work/probe"
}

prepare_daemon
"$SLUICE" probe >"$work/probe"
ktap_plan 1
# test: a thousand new keys in each direction after the hand-over
if can_rekey; then
  attempt "a thousand new keys in each direction after the hand-over" changes
else
  skip "a thousand new keys in each direction after the hand-over" "this kernel cannot change keys"
fi
exit "$ktap_failed"
