#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Revocation lists that the daemon fetches itself: when they come, stay away, are not what they should be; and
# the process that fetches them killed and stopped.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/daemon/crl-lib.sh
. "$(dirname "$0")/crl-lib.sh"

here=$(dirname "$0")
web=$work/web

# --- the server

start_server() {
  rm -f "$work/web.log"
  python3 "$here/pki-server.py" "$pki" "$web" >"$work/web.log" 2>&1 &
  server=$!
  pids+=("$server")
  await 10 grep -qs serves "$work/web.log"
}

end_server() {
  kill "$server"
  wait "$server" 2>/dev/null || true
}

mode() {
  echo "$1" >"$web/mode"
}

# asked [PATTERN]: how often.
asked() {
  grep -c -- "${1:-.}" "$work/web.log" || true
}

more_asked() { # PATTERN NUMBER
  [ "$(asked "$1")" -gt "$2" ]
}

# fetch_again: everything is, and until the server was asked.
fetch_again() {
  local before
  before=$(asked GET)
  kill -HUP "$daemon"
  await 5 more_asked GET "$before"
}

told() {
  grep -c -- "$1" "$work/sluiced.log" || true
}

crls() {
  ctl crl list --json
}

# --- tests

refused() { # SECTION TEXT
  local out
  configure_crls "$1" 'crl_check: true'
  out=$("$SLUICED" --config "$work/sluiced.conf" --check 2>&1) && { say "$1 is taken"; return 1; }
  [[ $out == "$work/sluiced.conf:"*":"*": "*"$2"* ]] || { say "$out"; return 1; }
}

checked() {
  local newline=$'\n'
  refused '{urls: ["http://127.0.0.1:1/ca.crl"]}' 'nothing is fetched without the section fetch' || return 1
  refused "{urls: [\"http://127.0.0.1:1/ca.crl\"]}${newline}fetch: {hosts: [crl.test, \"127.0.0.1:2\"]}" \
    'do not have "127.0.0.1:1"; add it' || return 1
  refused "{urls: [\"https://crl.test/ca.crl\"]}${newline}fetch: {hosts: [crl.test]}" 'is no http URL' || return 1
  refused "{urls: [\"http://crl.test/ca.crl\"]}${newline}fetch: {hosts: [crl.test, \"10.0.0.1/8\"]}" \
    '"10.0.0.1/8" has bits behind its prefix' || return 1
  refused "{urls: []}${newline}fetch: {timeout: 1000}" 'hosts'
}

# Nobody waits: what is not here yet is undetermined.
waits_for_nobody() {
  local from=${EPOCHREALTIME/./} ms
  stays_out client || { say "without a list it gets in"; return 1; }
  ms=$(((${EPOCHREALTIME/./} - from) / 1000))
  [ "$ms" -lt 1000 ] || { say "the handshake took $ms ms"; return 1; }
  crls | grep -q '"state":"missing","source":"url","file":"http://127.0.0.1' || { say "$(crls)"; return 1; }
  await 5 log_has 'fetch: .*/ca.crl: the server takes too long' || { say "it is not told"; return 1; }
}

comes() {
  mode good
  fetch_again
  await 5 gets_in client || { say "no list came: $(tail -n 2 "$work/sluiced.log")"; return 1; }
  stays_out bad || return 1
  log_has 'it has been revoked: keyCompromise' || return 1
  crls | grep -q '"source":"url","file":"http://127.0.0.1.*"fetched":"20.*"next_fetch":"20.*"problem":null' ||
    { say "$(crls)"; return 1; }
}

# What is as it was is not sent again; what is new counts, and what was good once does not come back.
refreshes() {
  cp "$web/ca.crl" "$work/old.crl"
  fetch_again
  await 5 more_asked ' 304' 0 || { say "it was sent again"; return 1; }
  gets_in late || return 1
  revoke late
  sleep 1.1 # a later second: times have no smaller unit
  issue "$web/ca.crl"
  fetch_again
  await 5 stays_out late || { say "the new list is not in force"; return 1; }
  gets_in client || return 1
  stays_out bad || return 1
  mv "$web/ca.crl" "$work/new.crl"
  cp "$work/old.crl" "$web/ca.crl"
  fetch_again
  await 5 log_has 'fetch: .*/ca.crl: the CRL is older than the one in force' || { say "an older one is taken"; return 1; }
  stays_out late || { say "a revocation has been taken back"; return 1; }
  mv "$work/new.crl" "$web/ca.crl"
}

# keeps TEXT: what was told once, however often it was so, and what there is stays in force.
keeps() {
  kill -HUP "$daemon"
  await 5 log_has "fetch: .*$1" || { say "no '$1' in the log"; return 1; }
  crls | grep -q "\"problem\":\".*$1" || { say "$(crls)"; return 1; }
  stays_out bad || { say "$1: nobody is revoked"; return 1; }
  gets_in client || { say "$1: the list is gone"; return 1; }
  kill -HUP "$daemon"
  sleep 0.7
  [ "$(told "$1")" = 1 ] || { say "'$1' is told $(told "$1") times"; return 1; }
}

bad_servers() {
  end_server
  keeps 'the server cannot be reached' || return 1
  start_server
  mode error
  keeps 'the server answers with status 503' || return 1
  mode garbage
  keeps 'there is no CRL in it' || return 1
  mode good
  kill -HUP "$daemon"
  is_good() { crls | grep -q '"problem":null'; }
  await 5 is_good && log_has 'ca.crl: good again'
}

# replaced PID: another process has come, and brings what is new.
replaced() {
  another() {
    local now
    now=$(children sluice-fetch)
    [ "$now" ] && [ "$now" != "$1" ]
  }
  await 10 another "$1" || { say "there is no new sluice-fetch"; return 1; }
  revoke "$2"
  issue "$web/ca.crl"
  fetch_again
  await 5 stays_out "$2" || { say "the new list is not in force"; return 1; }
  gets_in client || { say "$(tail -n 2 "$work/ask.err")"; return 1; }
}

killed() {
  local pid
  pid=$(children sluice-fetch)
  kill -KILL "$pid"
  await 5 log_has "sluice-fetch (pid $pid) ended by signal 9" || { say "its end is not told"; return 1; }
  replaced "$pid" third || return 1
  pid=$(children sluice-fetch)
  kill -STOP "$pid"
  kill -HUP "$daemon"
  await 8 log_has "sluice-fetch (pid $pid) hangs" || { say "it is not found out"; return 1; }
  replaced "$pid" fourth || return 1
  [ "$(ctl stats --tsv | awk -F '\t' '/process_crashes/ && /fetch/ { print $3 }')" = 2 ] ||
    { say "$(ctl stats --tsv | grep crash)"; return 1; }
}

# A URL that is not named any more takes its lists with it; without the section there is no process.
taken_out() {
  configure_crls '{files: []}' 'crl_check: true'
  ctl reload >"$work/out" || return 1
  await 5 in_force 0 || { say "its list is in force"; return 1; }
  [ -z "$(children sluice-fetch)" ] || { say "sluice-fetch runs"; return 1; }
  stays_out client
}

prepare_daemon
prepare_ca
for name in bad late third fourth; do new_client "$name"; done
mkdir "$web"
pki=$(free_port)
mode slow
revoke bad keyCompromise
issue "$web/ca.crl"
start_server
ktap_plan 8
# test: what cannot be fetched is refused
attempt "what cannot be fetched is refused" checked
configure_crls "{urls: [\"http://127.0.0.1:$pki/ca.crl\"]}"$'\n'"fetch: {hosts: [\"127.0.0.1:$pki\"], timeout: 1000}" \
  'crl_check: true'
# test: the daemon starts
attempt "the daemon starts" eval 'start_daemon && start_worker quick answer quick'
# test: CR_10_no_handshake_waits_for_a_fetch
attempt "CR_10_no_handshake_waits_for_a_fetch" waits_for_nobody
# test: CR_10_a_list_that_was_fetched_counts
attempt "CR_10_a_list_that_was_fetched_counts" comes
# test: CR_10_a_newer_list_takes_its_place
attempt "CR_10_a_newer_list_takes_its_place" refreshes
# test: CR_10_without_its_server_the_last_list_stays
attempt "CR_10_without_its_server_the_last_list_stays" bad_servers
# test: sluice-fetch killed and stopped is replaced
attempt "sluice-fetch killed and stopped is replaced" killed
# test: a URL that is taken out
attempt "a URL that is taken out" taken_out
exit "$ktap_failed"
