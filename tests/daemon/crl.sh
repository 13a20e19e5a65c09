#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Revocation lists in the daemon: of files and of a directory, exchanged, broken, removed, expired, added and
# deleted by hand, and one that is large.
# Environment: as tests/daemon/lib.sh; SLUICE_TEST_LONG=1: 300,000 entries
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/daemon/crl-lib.sh
. "$(dirname "$0")/crl-lib.sh"

ENTRIES=$([ "${SLUICE_TEST_LONG:-}" ] && echo 300000 || echo 30000)
crl=$work/ca.crl
dir=$work/crls

refused_without() {
  local out
  configure_crls '' 'crl_check: true'
  out=$("$SLUICED" --config "$work/sluiced.conf" --check 2>&1) && return 1
  [[ $out == *'there are no revocation lists; add the section crls'* ]]
}

refused_broken() {
  local out
  echo nonsense >"$work/broken.crl"
  configure_crls "{files: [$work/broken.crl]}" 'crl_check: true'
  out=$("$SLUICED" --config "$work/sluiced.conf" --check 2>&1) && return 1
  [[ $out == *"broken.crl: there is no CRL in it"* ]]
}

revoked_stays_out() {
  gets_in client || { say "good client: $(tail -n 2 "$work/ask.err")"; return 1; }
  stays_out bad || return 1
  log_has 'it has been revoked: keyCompromise'
}

# Without a reload: the file is exchanged.
exchanged() {
  gets_in late || return 1
  revoke late
  issue "$crl"
  await 5 stays_out late && gets_in client
}

# keeps COMMAND...: after it the revoked stay out, and the good get in.
keeps() {
  "$@"
  await 5 log_has "$expect" || { say "no '$expect' in the log"; return 1; }
  stays_out bad && gets_in client
}

garbage() {
  echo nonsense >"$crl"
}

truncated() {
  issue "$work/whole.crl"
  head -c 200 "$work/whole.crl" >"$crl"
  sleep 0.4
  stays_out bad
  tail -c +201 "$work/whole.crl" >>"$crl"
}

removed() {
  rm "$crl"
}

unreadable() {
  rm -f "$crl"
  mkdir "$crl"
}

survives_bad_files() {
  local expect='there is no CRL in it; what it had stays in force'
  keeps garbage || return 1
  expect='ca.crl: this is not PEM; what it had stays in force'
  keeps truncated || return 1
  expect='ca.crl: No such file or directory; what it had stays in force'
  keeps removed || return 1
  expect='ca.crl: not a file; what it had stays in force'
  keeps unreadable || return 1
  ctl reload >"$work/out" || return 1
  ctl crl list --json | grep -q '"problem":"not a file"' || return 1
  rmdir "$crl"
  issue "$crl"
  problem_gone() { ctl crl list --json | grep -q '"problem":null'; }
  await 5 problem_gone && stays_out bad
}

expires() {
  issue "$crl" -crlsec 2
  await 5 in_force 1
  await 8 log_has 'ca.crl, by CN=daemon CA: its next update is over' || return 1
  stays_out client || return 1 # nothing is known of anybody
  log_has 'the CRL has expired' || return 1
  [ "$(ctl stats --tsv | awk -F '\t' '$1 == "crls_expired" { print $3 }')" = 1 ] || return 1
  issue "$crl"
  await 5 gets_in client && stays_out bad
}

reload_section() {
  mkdir -p "$dir"
  revoke client
  issue "$dir/from-dir.crl"
  issue "$dir/.hidden.crl"
  echo nonsense >"$dir/wrong.pem"
  configure_crls "{dir: $dir}" 'crl_check: true'
  ctl reload >"$work/out" || return 1
  stays_out client || return 1
  ctl crl list >"$work/list" || return 1
  grep -q "from-dir.crl" "$work/list" && grep -q 'missing.*wrong.pem.*there is no CRL' "$work/list" || return 1
  rm "$dir/from-dir.crl"
  await 5 in_force 0 && stays_out third
}

by_hand() {
  issue "$work/by-hand.pem"
  ctl crl add "$work/broken.crl" >"$work/out" 2>&1 && return 1
  grep -q 'there is no CRL in it; nothing has changed' "$work/out" || return 1
  ctl crl add "$work/by-hand.pem" --uri http://crl.test/1 >"$work/out" || return 1
  gets_in third && stays_out bad || return 1
  rm "$work/by-hand.pem"
  ctl reload >"$work/out" && gets_in third || return 1
  ctl crl list --json | grep -q '"source":"added".*"uri":"http://crl.test/1"' || return 1
  cp "$work/broken.crl" "$work/by-hand.pem" # what it had stays, and whoever adds it is told
  ctl crl add "$work/by-hand.pem" --uri http://crl.test/1 >"$work/out" 2>&1 && return 1
  grep -q 'there is no CRL in it; nothing has changed' "$work/out" && gets_in third || return 1
  ctl crl del http://crl.test/1 >"$work/out" || return 1
  in_force 0 && stays_out third || return 1
  ctl crl del http://crl.test/1 >"$work/out" 2>&1 && return 1
  grep -q 'nothing was added by this path or URI' "$work/out"
}

# The longest that sluicectl waits while a CRL is loaded, in milliseconds.
longest_answer() {
  local i from to longest=0
  for ((i = 0; i < 40; i++)); do
    from=${EPOCHREALTIME/./}
    ctl status >/dev/null || return 1
    to=${EPOCHREALTIME/./}
    [ $((to - from)) -le "$longest" ] || longest=$((to - from))
  done
  echo $((longest / 1000))
}

large() {
  local pid before after
  awk -v n="$ENTRIES" 'BEGIN { for (i = 1; i <= n; i++)
    printf "R\t491231235959Z\t250101000000Z\t%032X\tunknown\t/CN=c\n", i * 7919 + 1e9 }' >>"$work/index.txt"
  issue "$work/large.crl"
  openssl crl -in "$work/large.crl" -outform DER -out "$work/large.der"
  pid=$(handshakers | head -n 1)
  before=$(awk '/^Private_Dirty:|^RssAnon:/ { s += $2 } END { print s }' "/proc/$pid/status")
  mv "$work/large.der" "$dir/large.crl"
  longest_answer >"$work/longest"
  await 20 in_force 1 || return 1
  stays_out bad && stays_out client || return 1
  gets_in third || return 1
  after=$(awk '/^RssAnon:/ { s += $2 } END { print s }' "/proc/$pid/status")
  echo "# $(stat -c %s "$dir/large.crl") bytes, $ENTRIES entries: $(grep -o 'crls: 1 in force.*' "$work/sluiced.log" | tail -n 1);" \
    "a handshaker grew by $((after - before)) kB; the longest answer meanwhile: $(cat "$work/longest") ms"
  [ $((after - before)) -lt 4096 ] && [ "$(cat "$work/longest")" -lt 500 ]
}

# What looks as it was is read again where no file is trusted to be, and after a job that failed.
read_again() {
  local before
  jobs_done() { [ "$(grep -c 'in force, [0-9]* files read' "$work/sluiced.log")" -gt "$before" ]; }
  before=$(grep -c 'in force, [0-9]* files read' "$work/sluiced.log")
  mv "$dir/wrong.pem" "$work/wrong.pem"
  await 5 jobs_done && ctl reload >"$work/out" || return 1
  before=$(grep -c 'in force, [0-9]* files read' "$work/sluiced.log")
  ctl reload >"$work/out" || return 1
  if jobs_done; then say "a file that is as it was is read"; return 1; fi
  ctl pem clear >"$work/out" && jobs_done && in_force 1 || return 1
  tail -n 5 "$work/sluiced.log" | grep -q '1 in force, 1 files read'
}

# kill_loader FILE: touches it, unless it is "", and kills the sluice-crls that comes; it lives for milliseconds, and
# no other child is started meanwhile.
kill_loader() {
  python3 - "$daemon" "$1" <<-'END'
	import os, signal, sys, time
	daemon, touched = sys.argv[1:]
	children = lambda: open(f"/proc/{daemon}/task/{daemon}/children").read().split()
	before = children()
	if touched:
	    os.utime(touched)
	else:
	    print("ready", flush=True)
	end = time.monotonic() + 5
	while time.monotonic() < end:
	    for pid in set(children()) - set(before):
	        os.kill(int(pid), signal.SIGKILL)
	        sys.exit(0)
	sys.exit("sluice-crls was not seen")
	END
}

# Killed in the middle, sluice-crls changes nothing.
crashes() {
  kill_loader "$dir/large.crl" || return 1
  await 5 log_has 'crls: nothing changes: sluice-crls has ended' || return 1
  stays_out bad && gets_in third && in_force 1
}

# delete_and_kill: adds a list and deletes it, and kills the loader then. Fails if that one was faster.
delete_and_kill() {
  local killer
  ctl crl add "$work/more.crl" --uri http://crl.test/2 >"$work/out" && in_force 2 || return 1
  kill_loader '' >"$work/killer" &
  killer=$!
  await 5 grep -qs ready "$work/killer" || return 1
  if ctl crl del http://crl.test/2 >"$work/out" 2>&1; then
    kill "$killer"
    wait "$killer"
    return 1
  fi
  wait "$killer"
}

# clear_and_kill: a reload that reads all lists, whose loader is killed. Fails if that one was faster.
clear_and_kill() {
  local killer
  kill_loader '' >"$work/killer" &
  killer=$!
  await 5 grep -qs ready "$work/killer" || return 1
  if ctl pem clear >"$work/out" 2>&1; then
    kill "$killer"
    wait "$killer"
    return 1
  fi
  wait "$killer"
}

reload_tells() {
  await 5 clear_and_kill || { say "no loader is killed: $(cat "$work/out")"; return 1; }
  grep -q 'the configuration is new; revocation lists are as they were: sluice-crls has ended' "$work/out" || { say "$(cat "$work/out")"; return 1; }
  ctl pem clear >"$work/out" && in_force 1
}

# A list that is deleted is gone even if the job that should write the set without it fails.
deleted_at_last() {
  cp "$dir/large.crl" "$work/more.crl"
  await 5 delete_and_kill || { say "no loader is killed: $(cat "$work/out")"; return 1; }
  grep -q 'it is in force until that is tried again' "$work/out" || { say "$(cat "$work/out")"; return 1; }
  in_force 2 || return 1
  touch "$dir/large.crl"
  await 5 in_force 1
}

prepare_daemon
prepare_ca
for name in bad late third; do new_client "$name"; done
revoke bad keyCompromise
issue "$crl"
ktap_plan 13
# test: crl_check without revocation lists is refused
attempt "crl_check without revocation lists is refused" refused_without
# test: a file that is wrong is refused at the start
attempt "a file that is wrong is refused at the start" refused_broken
configure_crls "{files: [$crl]}" 'crl_check: true'
start_daemon
start_worker quick answer quick
# test: CR_01_a_revoked_client_stays_out
attempt "CR_01_a_revoked_client_stays_out" revoked_stays_out
# test: CR_01_a_file_that_is_exchanged_counts_at_once
attempt "CR_01_a_file_that_is_exchanged_counts_at_once" exchanged
# test: files that are wrong keep what they had
attempt "files that are wrong keep what they had" survives_bad_files
# test: a list that expires is told, and proves nothing
attempt "a list that expires is told, and proves nothing" expires
# test: a directory, and another section at a reload
attempt "a directory, and another section at a reload" reload_section
# test: CR_11_CR_13_lists_added_and_deleted_by_hand
attempt "CR_11_CR_13_lists_added_and_deleted_by_hand" by_hand
# test: a large list holds up nobody
attempt "a large list holds up nobody" large
# test: files are read again when no file is trusted
attempt "files are read again when no file is trusted" read_again
# test: a loader that is killed changes nothing
attempt "a loader that is killed changes nothing" crashes
# test: a list that is deleted when the loader is killed
attempt "a list that is deleted when the loader is killed" deleted_at_last
# test: a reload tells that its revocation lists are not in force
attempt "a reload tells that its revocation lists are not in force" reload_tells
exit "$ktap_failed"
