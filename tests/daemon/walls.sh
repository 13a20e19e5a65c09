#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What stands between the processes of sluiced: private keys are in the keeper's memory and nowhere else;
# keeper, handshakers and sluice-metrics run as nobody, without privileges, files and most system calls; so does
# sluice-relay.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

configure() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app}
	profiles:
	  main:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    hosts:
	      - {names: [rsa.test], certfile: $work/rsa.pem, keyfile: $work/rsa.key}
	pools:
	  app: {socket: $work/app.sock}
	  plain: {socket: $work/plain.sock, users: [$relay_user]}
	limits: {handshakers: 2}
	admin: {socket: $work/admin.sock}
	metrics: {socket: $work/metrics.sock}
	END
}

starts() {
  start_daemon && start_worker app answer app &&
    answers 'worker=*' ask localhost && answers 'worker=*' ask rsa.test || return 1
  "${RELAY:-$build/daemon/sluice-relay}" --pool "$work/plain.sock" --offer "$work/offer.sock" \
    --as nobody 2>"$work/relay.log" &
  relay=$!
  pids+=("$relay")
  await 10 grep -q offering "$work/relay.log" || { say "relay: $(cat "$work/relay.log")"; return 1; }
}

# --- memory

# hex of a number from what `openssl pkey -text` shows under a heading
number() { # KEY HEADING
  openssl pkey -in "$work/$1.key" -noout -text |
    awk -v heading="$2:" '$1 == heading { on = 1; next } on && /^ / { printf "%s", $0; next } { on = 0 }' |
    tr -d ' :' | sed 's/^00//'
}

# Numbers are in memory as in files, or as machine words: the other way round.
reversed() {
  echo "$1" | fold -w 2 | tac | tr -d '\n'
}

# has PID HEX: whether a process has these bytes in its memory; if that cannot be read, it has.
has() {
  local status=0
  "$PEERS/has-bytes" "$1" "$2" || status=$?
  [ "$status" -ne 2 ] || say "the memory of $1 cannot be read"
  [ "$status" -ne 1 ]
}

all_processes() {
  echo "$daemon"
  handshakers
  children sluice-metrics
  echo "$worker"
  echo "$relay"
}

secrets() {
  local scalar prime
  scalar=$(number ec priv)
  prime=$(number rsa prime1)
  printf '%s\n' "$scalar" "$(reversed "$scalar")" "${prime:0:128}" "$(reversed "${prime: -128}")"
  # The PEM file's body, as text and decoded.
  sed -n 2p "$work/ec.key" | od -An -v -tx1 | tr -d ' \n' | sed 's/0a$//'
  echo
  openssl pkey -in "$work/ec.key" -outform DER | od -An -v -tx1 | tr -d ' \n' | cut -c1-120
}

keys_are_in_the_keeper() {
  local secret found=0
  while read -r secret; do
    ! has "$(keeper)" "$secret" || found=$((found + 1))
  done < <(secrets)
  # The numbers of each key in some form: that is the control of the search.
  [ "$found" -ge 2 ] || { say "only $found of the secrets are found in the keeper"; return 1; }
}

keys_are_nowhere_else() {
  local secret pid result=0
  while read -r secret; do
    [ "${#secret}" -ge 60 ] || { say "a secret is too short: $secret"; return 1; }
    for pid in $(all_processes); do
      ! has "$pid" "$secret" || {
        say "$(tr '\0' ' ' <"/proc/$pid/cmdline") has ${secret:0:8}..."
        result=1
      }
    done
  done < <(secrets)
  return "$result"
}

# --- privileges

confined_processes() {
  keeper
  handshakers
  children sluice-metrics
  echo "$relay"
}

status() { # PID FIELD
  awk -v field="$2:" '$1 == field { $1 = ""; print substr($0, 2) }' "/proc/$1/status"
}

confined() {
  local pid field result=0
  [ -n "$(children sluice-metrics)" ] || { say "there is no sluice-metrics"; return 1; }
  for pid in $(confined_processes); do
    for field in 'Uid 65534 65534 65534 65534' 'Gid 65534 65534 65534 65534' 'Groups ' \
      'NoNewPrivs 1' 'Seccomp 2' 'CapEff 0000000000000000' 'CapPrm 0000000000000000'; do
      [ "$(status "$pid" "${field%% *}" | sed 's/ *$//')" = "${field#* }" ] || {
        say "$pid: ${field%% *} is $(status "$pid" "${field%% *}"), not ${field#* }"
        result=1
      }
    done
    grep -qE '^Max core file size +0 +0 ' "/proc/$pid/limits" || { say "$pid: may dump core"; result=1; }
    # A process that is not dumpable has files of root's in /proc (proc(5)).
    [ "$(stat -c %u "/proc/$pid/maps")" = 0 ] || { say "$pid: is dumpable"; result=1; }
  done
  return "$result"
}

boxed() {
  local pid result=0
  for pid in $(keeper; handshakers; children sluice-metrics); do
    grep -qE '^Max data size +1073741824 +1073741824 ' "/proc/$pid/limits" || { say "$pid: has no limit of memory"; result=1; }
    [[ $(readlink "/proc/$pid/root") == */sluice-*' (deleted)' && -z $(ls -A "/proc/$pid/root/") ]] || {
      say "$pid: its root is $(readlink "/proc/$pid/root")"
      result=1
    }
  done
  return "$result"
}

only_sockets() {
  local pid link result=0
  for pid in $(confined_processes); do
    for link in "/proc/$pid/fd/"*; do
      case "$(basename "$link") $(readlink "$link")" in
        [012]' '*) ;;
        *' socket:'* | *' anon_inode:'*) ;;
        *) say "$pid: $(basename "$link") is $(readlink "$link")"; result=1 ;;
      esac
    done
    # The catalogue of profiles is mapped, and is no key's.
    awk '$6 ~ /^\// { print $6 }' "/proc/$pid/maps" | sort -u |
      grep -vE '\.so(\.[0-9.]+)?$|/sluice-(keeper|handshaker|metrics|relay)$|^/memfd:sluice-catalog|/(locale|gconv)' >"$work/mapped" || true
    [ ! -s "$work/mapped" ] || { say "$pid: maps $(tr '\n' ' ' <"$work/mapped")"; result=1; }
  done
  return "$result"
}

# --- system calls

dies() { # WHO CALL
  local out status=0
  out=$("$PEERS/confined" "$1" "$2" 2>&1 </dev/null) || status=$?
  [[ $out == confined* ]] || { say "$1: $out"; return 1; }
  [ "$status" = 159 ] && return 0 # SIGSYS
  say "$1 $2: status $status, $out"
  return 1
}

forbidden() {
  local call result=0
  for call in open socket ptrace execve fork kill ${2:-connect}; do
    { dies "$1" "$call" || result=1; } 2>/dev/null
  done
  return "$result"
}

allowed() {
  local call
  for call in time ${2:-}; do
    [[ $("$PEERS/confined" "$1" "$call") == *survived ]] || { say "$1: $call is not allowed"; return 1; }
  done
}

handshakers_have_sockets_only() {
  allowed handshaker getsockopt && dies keeper getsockopt 2>/dev/null
}

metrics_accepts() {
  allowed metrics accept && dies handshaker accept 2>/dev/null && dies keeper accept 2>/dev/null
}

# It attaches again when the daemon was restarted; a ring of its own making would know no limits.
a_relay_has_local_sockets() {
  allowed relay getsockopt && allowed relay local && forbidden relay ring
}

# It connects to the network and to nothing on this machine; nobody connects to it.
fetch_has_the_network() {
  local call result=0
  for call in socket udp connect; do
    allowed fetch "$call" || result=1
  done
  for call in open local accept ptrace execve fork kill ring; do
    { dies fetch "$call" || result=1; } 2>/dev/null
  done
  return "$result"
}

# Whoever starts it as root says whom it is to become, and that is not root.
relay_is_not_root() {
  local who status
  for who in '' '--as root'; do
    status=0
    # shellcheck disable=SC2086 # words are meant
    timeout 5 "${RELAY:-$build/daemon/sluice-relay}" --pool "$work/app.sock" --offer "$work/root.sock" $who \
      2>"$work/root.log" || status=$?
    [ "$status" = 2 ] || { say "status $status: $(cat "$work/root.log")"; return 1; }
  done
}

another_user() {
  local pid result=0
  stop "$daemon"
  echo 'user: daemon' >>"$work/sluiced.conf"
  start_daemon || return 1
  for pid in $(keeper; handshakers; children sluice-metrics); do
    [ "$(status "$pid" Uid | cut -d' ' -f1)" = "$(id -u daemon)" ] &&
      [ "$(status "$pid" Gid | cut -d' ' -f1)" = "$(id -g daemon)" ] || result=1
  done
  return "$result"
}

prepare_daemon
configure
ktap_plan 16
attempt "the daemon starts, and signs with each key" starts
attempt "private keys are in the keeper's memory" keys_are_in_the_keeper
attempt "private keys are in nobody else's" keys_are_nowhere_else
attempt "keeper, handshakers, sluice-metrics and a relay are nobody, without privileges, not dumpable" confined
attempt "keeper, handshakers and sluice-metrics have an empty root and a limit of memory" boxed
attempt "they have sockets and no files" only_sockets
attempt "a forbidden system call ends the keeper" forbidden keeper
attempt "a forbidden system call ends a handshaker" forbidden handshaker
attempt "a forbidden system call ends sluice-metrics" forbidden metrics
attempt "what they need is allowed" allowed keeper
attempt "only handshakers may ask sockets" handshakers_have_sockets_only
attempt "only sluice-metrics may accept, of the daemon's" metrics_accepts
attempt "a relay may make local sockets and use its ring, no more" a_relay_has_local_sockets
attempt "sluice-fetch may connect to the network, no more" fetch_has_the_network
attempt "a relay is not root" relay_is_not_root
attempt "they are whom option user names" another_user
exit "$ktap_failed"
