#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Certificates of a directory: names, conflicts, added and removed one by one, exchanged in every way while
# clients connect, many of them, keys that are not needed any more, and a keeper that hangs.
# Environment: as tests/daemon/lib.sh; SLUICE_TEST_LONG=1: 10,000 certificates, 50 rotations of each kind
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

CERTS=${SLUICE_DAEMON_CERTS:-$([ "${SLUICE_TEST_LONG:-}" ] && echo 10000 || echo 300)}
ROUNDS=$([ "${SLUICE_TEST_LONG:-}" ] && echo 50 || echo 3)
dir=$work/certs
many=$work/many

configure() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app}
	profiles:
	  main:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    handshake_timeout: 2000
	    hosts_dir: $dir
	    hosts:
	      - {names: [mine.test], certfile: $work/rsa.pem, keyfile: $work/rsa.key}
	pools:
	  app: {socket: $work/app.sock}
	limits: {handshakers: 2, per_source: 1000}
	admin: {socket: $work/admin.sock}
	END
}

ctl() {
  "$build/tools/sluicectl" --socket "$work/admin.sock" "$@"
}

# pair NAME "SAN,..." FILE: a certificate of our CA with its key in FILE.
pair() {
  sign "$1" "$2" ec -pkeyopt ec_paramgen_curve:P-256 >/dev/null 2>&1
  cat "$work/$1.pem" "$work/$1.key" >"$3"
}

# place FILE NAME: puts a file into the directory in one step.
place() {
  cp "$1" "$dir/.new"
  mv "$dir/.new" "$dir/$2"
}

# fingerprint of what a client gets that asks for a name
served() {
  timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername "$1" </dev/null 2>/dev/null |
    openssl x509 -noout -fingerprint -sha256 2>/dev/null
}

of_file() {
  openssl x509 -noout -fingerprint -sha256 -in "$1" 2>/dev/null
}

# serves NAME FILE: a client that asks for a name gets the certificate of a file.
serves() {
  [ "$(served "$1")" = "$(of_file "$2")" ]
}

shows() { # NAME FILE
  await 5 serves "$1" "$2" || { say "$1 is not served from $2; $(tail -n 2 "$work/sluiced.log")"; return 1; }
}

stat_of() {
  ctl stats --tsv | awk -F '\t' -v name="$1" '$2 == name { print $3 }'
}

prepare_certs() {
  mkdir "$dir"
  pair one 'DNS:one.test,DNS:ONE-more.test,IP:127.0.0.1' "$dir/one.pem"
  pair star 'DNS:*.star.test,DNS:star.test' "$dir/star.pem"
  pair exact 'DNS:exact.star.test' "$work/exact-both.pem"
  cp "$work/exact.pem" "$dir/exact.pem"
  cp "$work/exact.key" "$dir/exact.key"
  pair mine 'DNS:mine.test,DNS:other.test' "$dir/mine.pem"
  pair twice 'DNS:one.test,DNS:twice.test' "$dir/twice.pem" # one.test is the name of one.pem
  echo 'not PEM' >"$dir/broken.pem"
  : >"$dir/empty.pem"
  mkdir "$dir/directory.pem"
  mkfifo "$dir/fifo.pem"
  ln -s nowhere "$dir/dangling.pem"
  truncate -s 10M "$dir/large.pem"
  cp "$work/one.pem" "$dir/keyless.pem"
  cp "$work/one.pem" "$dir/mismatch.pem"
  cp "$work/star.key" "$dir/mismatch.key"
  pair nameless 'IP:127.0.0.1' "$dir/nameless.pem"
  cp "$dir/broken.pem" "$dir/.hidden.pem"
  cp "$dir/broken.pem" "$dir/notes.txt"
  cp "$work/one.key" "$dir/alone.key"
}

bad_files='broken empty directory fifo dangling large keyless mismatch'

checks() {
  local name result=0
  "$SLUICED" --config "$work/sluiced.conf" --check >"$work/check.out" 2>"$work/check.err" ||
    { say "status $?: $(tail -n 1 "$work/check.err")"; return 1; }
  for name in $bad_files nameless twice; do
    grep -q "$name.pem" "$work/check.err" || { say "--check says nothing of $name.pem"; result=1; }
  done
  grep -q 'alone.key: there is no alone.pem' "$work/check.err" || { say "nothing of alone.key"; result=1; }
  ! grep -qE 'hidden|notes|exact' "$work/check.err" || { say "$(grep -E 'hidden|notes|exact' "$work/check.err")"; result=1; }
  return "$result"
}

names() {
  serves one.test "$work/one.pem" && serves one-more.test "$work/one.pem" &&
    serves x.star.test "$work/star.pem" && serves star.test "$work/star.pem" &&
    serves exact.star.test "$work/exact.pem" && serves x.y.star.test "$work/ec.pem" &&
    serves other.test "$work/mine.pem" && serves mine.test "$work/rsa.pem" &&
    serves twice.test "$work/twice.pem" && serves unknown.test "$work/ec.pem" &&
    answers 'worker=app *' ask one.test && answers 'worker=app *' ask x.star.test -tls1_2
}

lists() {
  local name result=0
  ctl certs --json >"$work/list"
  python3 - "$work/list" "$dir" <<-'END' || result=1
	import json, sys
	rows, top = json.load(open(sys.argv[1])), sys.argv[2]
	good = {row["file"]: row for row in rows if row.get("problem") is None}
	bad = {row["file"]: row["problem"] for row in rows if row.get("problem")}
	one = good[top + "/one.pem"]
	assert one["hosts"] == ["one.test", "one-more.test"], one
	assert one["days_left"] == 1 and one["key_type"] == "P-256" and one["profile"] == "main", one
	assert one["not_after"].endswith("Z") and len(one["key_sha256"]) == 64, one
	assert any(row["key_type"] == "RSA 2048" and row["hosts"] == ["mine.test"] for row in good.values())
	assert "is not in force" in bad[top + "/broken.pem"], bad
	assert "does not belong" in bad[top + "/mismatch.pem"], bad
	assert "one.test is the name of" in bad[top + "/twice.pem"] and "/one.pem" in bad[top + "/twice.pem"], bad
	assert "too large" in bad[top + "/large.pem"] or "large" in bad[top + "/large.pem"], bad
	END
  for name in $bad_files nameless twice; do
    ctl certs | grep -q "$name.pem .*[a-z]" || { say "certs does not show $name.pem"; result=1; }
  done
  return "$result"
}

# The first of two files by name has a name; the other gets it when the first has gone.
conflicts() {
  log_has "one.test is the name of $dir/one.pem, which comes first, and of $dir/twice.pem" || return 1
  mv "$dir/one.pem" "$work/one-away.pem"
  shows one.test "$work/twice.pem" && serves one-more.test "$work/ec.pem" || return 1
  place "$work/one-away.pem" one.pem
  shows one.test "$work/one.pem"
}

one_by_one() {
  pair added DNS:added.test "$work/added-both.pem"
  serves added.test "$work/ec.pem" || return 1
  place "$work/added-both.pem" added.pem
  shows added.test "$work/added.pem" || return 1
  rm "$dir/added.pem"
  shows added.test "$work/ec.pem" || return 1
  # In two files, in both orders.
  cp "$work/added.pem" "$dir/added.pem"
  sleep 0.5
  cp "$work/added.key" "$dir/added.key"
  shows added.test "$work/added.pem" || return 1
  rm "$dir/added.key" "$dir/added.pem"
  shows added.test "$work/ec.pem"
}

# --- exchanged while clients connect

load_begins() {
  mkfifo "$work/load" 2>/dev/null || true
  "$PEERS/hammer" "$port" "$work/ca.pem" 0 2 server_name_indication=rotate.test \
    <"$work/load" >"$work/hammer.out" 2>"$work/hammer.err" &
  load=$!
  exec {stop_load}>"$work/load"
}

load_ends() {
  exec {stop_load}>&-
  wait "$load" || { say "$(cat "$work/hammer.out") $(sort "$work/hammer.err" | uniq -c | head -n 3)"; return 1; }
  [[ $(cat "$work/hammer.out") == good=[1-9]* ]] || { say "$(cat "$work/hammer.out")"; return 1; }
}

# keeps LABEL: what was in force is, after everything that can be seen has been looked at.
keeps() {
  await 5 eval "ctl certs | grep -q 'rotate.pem .*stays in force'" || { say "$1: not told"; return 1; }
  serves rotate.test "$before" || { say "$1: not what was in force"; return 1; }
}

rotate_once() { # NUMBER
  local next=$work/rotate-$(($1 % 2)).pem both=$work/rotate-$(($1 % 2))-both.pem
  before=$work/rotate-$((1 - $1 % 2)).pem
  # Everything that is not whole or does not match leaves what there was.
  : >"$dir/rotate.pem" && keeps empty &&
    echo garbage >"$dir/rotate.pem" && keeps garbage &&
    head -c 300 "$both" >"$dir/rotate.pem" && keeps half &&
    cat "$next" "$work/star.key" >"$dir/rotate.pem" && keeps 'wrong key' &&
    truncate -s 10M "$dir/rotate.pem" && keeps '10 MB' &&
    rm "$dir/rotate.pem" && ln -s nowhere "$dir/rotate.pem" && keeps unreadable || return 1
  rm "$dir/rotate.pem"
  # In place and in pieces, or by a rename.
  if [ $(($1 % 2)) -eq 0 ]; then
    head -c 500 "$both" >"$dir/rotate.pem"
    sleep 0.3
    tail -c +501 "$both" >>"$dir/rotate.pem"
  else
    place "$both" rotate.pem
  fi
  shows rotate.test "$next"
}

rotates() {
  local i result=0
  pair rotate-0 DNS:rotate.test "$work/rotate-0-both.pem"
  pair rotate-1 DNS:rotate.test "$work/rotate-1-both.pem"
  place "$work/rotate-0-both.pem" rotate.pem
  shows rotate.test "$work/rotate-0.pem" || return 1
  load_begins
  for ((i = 1; i <= ROUNDS; i++)); do rotate_once "$i" || { result=1; break; }; done
  load_ends || result=1
  rm -f "$dir/rotate.pem"
  return "$result"
}

# --- reloads

reload_changes_nothing() {
  ctl reload >/dev/null && log_has 'certificates: 0 loaded' && serves one.test "$work/one.pem"
}

# A certificate that two hosts have gives its key back when both are gone.
shared() {
  local before
  keys() { [ "$(stat_of keeper_keys)" = "$1" ]; }
  any_keys() { [ "$(stat_of keeper_keys)" -gt 0 ]; }
  await 5 any_keys || return 1
  before=$(stat_of keeper_keys)
  cp "$work/sluiced.conf" "$work/sluiced.conf.before"
  sed -i "s|    hosts:|&\n      - {names: [a.test], certfile: $work/p384.pem, keyfile: $work/p384.key}\n      - {names: [b.test], certfile: $work/p384.pem, keyfile: $work/p384.key}|" "$work/sluiced.conf"
  ctl reload >/dev/null || return 1
  await 10 keys $((before + 1)) || { say "$before keys, then $(stat_of keeper_keys)"; return 1; }
  ctl reload >/dev/null && ctl reload >/dev/null && serves b.test "$work/p384.pem" || return 1
  mv "$work/sluiced.conf.before" "$work/sluiced.conf"
  ctl reload >/dev/null || return 1
  await 10 keys "$before" || { say "$before keys, now $(stat_of keeper_keys)"; return 1; }
}

# Two at once, by signal and by command: none is lost, none disturbs the other.
two_reloads() {
  local before after
  before=$(stat_of reloads)
  kill -HUP "$daemon"
  kill -HUP "$daemon"
  ctl reload >/dev/null 2>"$work/busy" || grep -q 'under way' "$work/busy" || { say "$(cat "$work/busy")"; return 1; }
  await 5 eval "[ \"\$(stat_of reloads)\" -gt $before ]"
  await 5 eval "ctl reload >/dev/null 2>&1" || return 1
  after=$(stat_of reloads)
  [ "$after" -gt $((before + 1)) ] || { say "$before reloads, then $after"; return 1; }
}

# --- many

fill_many() {
  mkdir -p "$many"
  "$build/tests/peers/make-certs" "$many" "$CERTS" "$work/ca.pem" "$work/ca.key" >/dev/null
}

many_certificates() {
  local keys ms
  fill_many || return 1
  keys=$(stat_of keeper_keys)
  sed -i "s|hosts_dir: .*|hosts_dir: $many|" "$work/sluiced.conf"
  ctl reload >/dev/null || { say "$(tail -n 2 "$work/sluiced.log")"; return 1; }
  serves h0.many.test "$many/h0.pem" && serves "h$((CERTS - 1)).many.test" "$many/h$((CERTS - 1)).pem" || return 1
  say "$(grep -o 'certificates: .*' "$work/sluiced.log" | tail -n 1)"
  # The keys of the other directory are not needed any more; two of the configuration are.
  await 10 eval "[ \"\$(stat_of keeper_keys)\" -eq $((CERTS + 2)) ]" ||
    { say "$keys keys, then $(stat_of keeper_keys), not $((CERTS + 2))"; return 1; }
  # One more is no reload of all.
  cp "$work/added-both.pem" "$many/added.pem"
  shows added.test "$work/added.pem" || return 1
  ms=$(grep -o 'certificates: 1 loaded in [0-9]*' "$work/sluiced.log" | tail -n 1 | grep -o '[0-9]*$')
  [ "$ms" -le 500 ] || { say "one of $CERTS took $ms ms"; return 1; }
  rm "$many/added.pem"
  await 5 eval "[ \"\$(stat_of keeper_keys)\" -eq $((CERTS + 2)) ]" || { say "the key of a file that has gone stays"; return 1; }
}

# --- a keeper that hangs

keeper_hangs() {
  local stopped took began=${EPOCHREALTIME/./}
  stopped=$(keeper)
  kill -STOP "$stopped"
  await 7 log_has "the keeper (pid $stopped) hangs" || { say "nobody noticed"; return 1; }
  await 6 serves h0.many.test "$many/h0.pem" || { say "no service; $(tail -n 2 "$work/sluiced.log")"; return 1; }
  took=$(((${EPOCHREALTIME/./} - began) / 1000))
  say "service is back after $took ms"
  # It is noticed after 4 to 4.5 s; then there is a second, and what it takes to load so many keys.
  [ "$took" -le $((5500 + CERTS)) ] || return 1
  [ "$(keeper)" != "$stopped" ] || return 1
  await 5 eval "[ \"\$(stat_of keeper_keys)\" -eq $((CERTS + 2)) ]" || { say "keys: $(stat_of keeper_keys)"; return 1; }
}

# What cannot be read again has no key then; the others have.
keeper_dies_without_a_file() {
  local old
  await 5 eval "[ -n \"\$(keeper)\" ]" || { say "no keeper: $(tail -n 3 "$work/sluiced.log")"; return 1; }
  old=$(keeper)
  mv "$work/rsa.key" "$work/rsa.away"
  mv "$many/h1.pem" "$work/h1.away"
  kill -9 "$old"
  await 10 log_has 'handshakes for it fail' && await 10 serves h0.many.test "$many/h0.pem" || return 1
  ! answers 'worker=*' ask mine.test >/dev/null || return 1
  mv "$work/rsa.away" "$work/rsa.key"
  mv "$work/h1.away" "$many/h1.pem"
  shows h1.many.test "$many/h1.pem" && ctl reload >/dev/null && answers '*' serves mine.test "$work/rsa.pem"
}

# shellcheck disable=SC2016 # the programs are for sh and awk
prepare_daemon
prepare_certs
configure
ktap_plan 13
attempt "--check names the files that are not in force" checks
attempt "the daemon starts with those that are whole" eval 'start_daemon && start_worker app answer app'
attempt "names, wildcards and hosts of the configuration have their order" names
attempt "sluicectl certs shows what is in force and what is not" lists
attempt "a certificate that two hosts share" shared
attempt "of two files the first by name has a name" conflicts
attempt "certificates are added and removed one by one" one_by_one
attempt "$ROUNDS rotations under load: what is not whole changes nothing, no handshake fails" rotates
attempt "a reload loads only what changed" reload_changes_nothing
attempt "two reloads at once" two_reloads
attempt "$CERTS certificates: one more is no reload, and keys that are not needed go" many_certificates
attempt "a keeper that hangs is replaced" keeper_hangs
attempt "a keeper that dies while a file is missing" keeper_dies_without_a_file
exit "$ktap_failed"
