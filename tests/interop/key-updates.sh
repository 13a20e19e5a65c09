#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Peers that really change their keys: OpenSSL, GnuTLS and Erlang, each in both roles, against our
# server and our client. Traffic goes both ways at once and is compared; both ends change keys all
# the time. On the kernel path the kernel's own counters must have seen every one of them.
# GnuTLS refuses more than eight KeyUpdates a second, so there ours are few.
# Environment: SLUICE, the program; PEERS, the directory of the peers.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(cd "$(dirname "$0")" && pwd)

PEERS=${PEERS:-$(dirname "$SLUICE")/../tests/peers}
LIMIT=200

# epochs JSON: how often the keys changed: ours, the peer's.
# shellcheck disable=SC2001 # not with this pattern
epochs() {
  sed 's/.*"tx":{[^}]*"epoch":\([0-9]*\)}.*"rx":{[^}]*"epoch":\([0-9]*\)}.*/\1 \2/' <<<"$1"
}

# enough LINE OURS THEIRS: whether the keys changed at least so often.
enough() {
  local got
  read -r -a got <<<"$(epochs "$1")"
  if [ "${got[0]:-0}" -ge "$2" ] && [ "${got[1]:-0}" -ge "$3" ]; then return 0; fi
  say "keys changed ${got[*]} times where $2 and $3 were due: $1"
  return 1
}

# counter NAME: one of /proc/net/tls_stat, 0 where there is none.
counter() {
  awk -v name="$1" '$1 == name { n = $2 } END { print n + 0 }' /proc/net/tls_stat 2>/dev/null || echo 0
}

counters() { # the good ones, then the sum of the bad ones
  echo "$(counter TlsRxRekeyOk) $(counter TlsTxRekeyOk)" \
    $(($(counter TlsRxRekeyError) + $(counter TlsTxRekeyError) + $(counter TlsDecryptError)))
}

# counted MODE BEFORE RX TX: what the kernel has counted since; on the user path nothing.
counted() {
  local before after rx tx
  read -r -a before <<<"$2"
  read -r -a after <<<"$(counters)"
  if [ "$(path_of TLS_AES_128_GCM_SHA256 "$1")" = user ]; then rx=0 tx=0; else rx=$3 tx=$4; fi
  if [ $((after[0] - before[0])) -lt "$rx" ] || [ $((after[1] - before[1])) -lt "$tx" ] ||
    [ "${after[2]}" -ne "${before[2]}" ]; then
    say "kernel: $2 before, ${after[*]} after, where $rx and $tx more were due and no errors"
    return 1
  fi
}

peer() { # NAME ARGUMENT...
  local name=$1
  shift
  case "$name" in
    erlang) escript "$here/../peers/erlang.escript" "$@" ;;
    *) "$PEERS/$name" "$@" ;;
  esac
}

# judge LINE MODE BEFORE OURS: whether theirs changed 1,000 times and ours as often, or as they may.
judge() {
  local ours=1000
  [ "$4" -ge 1000 ] || ours=$(($4 - 1))
  enough "$1" "$ours" 1000 && counted "$2" "$3" 1000 "$ours"
}

we_serve() { # peer, mode, bytes, theirs every, ours every
  local before result=0 line
  before=$(counters)
  serve "ku-$1-$2" --cert "$work/ec.pem" --key "$work/ec.key" --mode echo --record-path "$2" \
    --key-update-every "$5" || return 1
  timeout "$LIMIT" bash -c "$(declare -f peer); PEERS='$PEERS' here='$here'
    peer $1 client $port $work/ca.pem - $3 $4" >"$work/peer.out" 2>&1 || {
    say "$(tail -n 3 "$work/peer.out" | tr '\n' ' ')"
    result=1
  }
  line=$(last_connection "ku-$1-$2" 1)
  judge "$line" "$2" "$before" $(($3 / $5)) || result=1
  stop "$server"
  return "$result"
}

we_connect() { # peer, mode, bytes, theirs every, ours every
  local before result=0 listen pid
  before=$(counters)
  listen=$(free_port)
  timeout "$LIMIT" bash -c "$(declare -f peer); PEERS='$PEERS' here='$here'
    peer $1 server $listen $work/ec.pem $work/ec.key $3 $4" >"$work/peer.out" 2>&1 &
  pid=$!
  pids+=("$pid")
  await_listen "$listen" "$pid" || return 1
  timeout "$LIMIT" "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" --json \
    --record-path "$2" --keep-open --key-update-every "$5" \
    <"$work/data-$3" >"$work/back" 2>"$work/words" || {
    say "$(grep error "$work/words")"
    result=1
  }
  wait "$pid" || { say "$(tail -n 3 "$work/peer.out" | tr '\n' ' ')"; result=1; }
  same "$work/data-$3" "$work/back" "$1" || result=1
  judge "$(grep '"end"' "$work/words")" "$2" "$before" $(($3 / $5)) || result=1
  return "$result"
}

can_rekey() { # mode
  [ "$(path_of TLS_AES_128_GCM_SHA256 "$1")" = user ] ||
    grep -q 'new keys when receiving (KeyUpdate) *yes' "$work/probe"
}

# both PEER BYTES THEIRS OURS: both roles; the kernel path where it can change keys.
both() {
  local mode role result=0
  [ -e "$work/data-$2" ] || head -c "$2" /dev/urandom >"$work/data-$2"
  for mode in "${modes[@]}"; do
    can_rekey "$mode" || mode=user
    for role in we_serve we_connect; do
      "$role" "$1" "$mode" "$2" "$3" "$4" || {
        say "... $role, record path $mode"
        result=1
      }
    done
  done
  return "$result"
}

try() { # NAME PEER...
  local name=$1 peer=$2
  shift
  if [ "$peer" = erlang ] && ! command -v escript >/dev/null; then
    skip "$name" "no Erlang here"
  elif [ "$peer" != erlang ] && [ ! -x "$PEERS/$peer" ]; then
    skip "$name" "this peer is not built: no development files of $peer"
  else
    attempt "$name" both "$@"
  fi
}

prepare
# Erlang is slow where there is one CPU; the number of updates stays.
MB=1000000
some=$((20 * MB))
[ -z "${SLUICE_TEST_LONG:-}" ] || some=$((100 * MB))
ktap_plan 3
# test: KY-13 OpenSSL and we change keys 1,000 times each under 100 MB
try "KY-13 OpenSSL and we change keys 1,000 times each under 100 MB" openssl $((100 * MB)) 99000 99000
# test: GnuTLS changes keys 1,000 times
try "GnuTLS changes keys 1,000 times" gnutls "$some" $((some / 1100)) $((some / 2))
# test: Erlang and we change keys 1,000 times each
try "Erlang and we change keys 1,000 times each" erlang "$some" $((some / 1100)) $((some / 1100))
exit "$ktap_failed"
