#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# OCSP responses that the daemon fetches for its certificates: of a profile, of a host, of files of a directory;
# kept through reloads and whatever the responder answers then.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

here=$(dirname "$0")
web=$work/web
dir=$work/certs

# with_responder NAME DNS-NAME PORT: a certificate that names our responder.
with_responder() {
  sign "$1" "DNS:$2"$'\n'"authorityInfoAccess=OCSP;URI:http://127.0.0.1:$3/ocsp" \
    ec -pkeyopt ec_paramgen_curve:P-256 >>"$work/certificates.log" 2>&1
}

# index STATE: what the CA knows of all certificates, V or R.
index() {
  local pem serial revoked=
  [ "$1" = V ] || revoked=250101000000Z
  for pem in "$work"/{ec,host,file,other}.pem; do
    serial=$(openssl x509 -noout -serial -in "$pem" | sed 's/.*=//')
    printf '%s\t350101000000Z\t%s\t%s\tunknown\t/CN=%s\n' "$1" "$revoked" "$serial" "$serial"
  done >"$web/index.new"
  mv "$web/index.new" "$web/index.txt"
}

mode() {
  echo "$1" >"$web/mode"
}

asked() {
  grep -c POST "$work/web.log" || true
}

more_asked() {
  [ "$(asked)" -ge "$1" ]
}

# fetch_again: all of them, and until the responder has been asked.
fetch_again() {
  local want=$(($(asked) + 3))
  kill -HUP "$daemon"
  await 8 more_asked "$want" || { say "it asks for $(($(asked) - want + 3)) of 3"; return 1; }
}

ctl() {
  "$build/tools/sluicectl" --socket "$work/admin.sock" "$@"
}

configure() { # PROFILE-LINE FETCH
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app}
	profiles:
	  main:
	    certfile: $work/ec-chain.pem
	    keyfile: $work/ec.key
	    hosts_dir: $dir
	    $1
	    hosts:
	      - {names: [host.test], certfile: $work/host-chain.pem, keyfile: $work/host.key}
	      - {names: [rsa.test], certfile: $work/rsa.pem, keyfile: $work/rsa.key, ocsp_fetch: false}
	      - {names: [other.test], certfile: $work/other-chain.pem, keyfile: $work/other.key}
	pools:
	  app: {socket: $work/app.sock}
	limits: {handshakers: 2}
	admin: {socket: $work/admin.sock}
	$2
	END
}

# stapled NAME: status and time of what is stapled, or "none".
stapled() {
  timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername "$1" -status </dev/null 2>/dev/null |
    awk '/Cert Status:/ { status = $3 } /This Update:/ { sub(/.*This Update: /, ""); print status, $0; exit }
      /OCSP response: no response sent/ { print "none"; exit }'
}

has_good() {
  [[ $(stapled "$1") == good* ]]
}

# state FILE: what sluicectl says of the certificate in it.
state() {
  ctl certs --json | grep "/$1" | grep -o '"staple":[^,]*'
}

refused() { # PROFILE-LINE FETCH TEXT
  local out
  configure "$1" "$2"
  out=$("$SLUICED" --config "$work/sluiced.conf" --check 2>&1) && { say "$1 is taken"; return 1; }
  [[ $out == "$work/sluiced.conf:"*":"*": "*"$3"* ]] || { say "$out"; return 1; }
}

checked() {
  refused 'ocsp_fetch: true' '' 'nothing is fetched without the section fetch' || return 1
  refused "{ocsp_fetch: true}" '' '' || return 1
  refused "ocsp_fetch: maybe" '' 'takes false or true' || return 1
  touch "$work/ec.ocsp"
  refused "ocsp_fetch: true"$'\n'"    ocsp_file: $work/ec.ocsp" "fetch: {hosts: [\"127.0.0.1:$pki\"]}" \
    'there is ocsp_file too'
}

begins() {
  configure 'ocsp_fetch: true' "fetch: {hosts: [\"127.0.0.1:$pki\"], timeout: 1000}"
  start_daemon && start_worker app answer app
}

appears() {
  local name
  for name in localhost host.test file.test; do
    await 8 has_good "$name" || { say "$name: $(stapled "$name")"; return 1; }
  done
  for name in ec-chain.pem host-chain.pem file.pem; do
    [ "$(state "$name")" = '"staple":"good"' ] || { say "$name: $(ctl certs)"; return 1; }
  done
  [ "$(stapled rsa.test)" = none ] || { say "rsa.test has one"; return 1; }
  [ "$(stapled other.test)" = none ] || { say "other.test has one"; return 1; }
  log_has 'ocsp_fetch: .*other-chain.pem: the host of its OCSP responder is not among the hosts of fetch' ||
    { say "the host that is not allowed is not told"; return 1; }
  ctl stats --tsv | grep -q $'^staples\tstate=good\t3$' || { say "$(ctl stats --tsv | grep staple)"; return 1; }
}

# Nothing is asked for that is good, and nobody is without in between.
reloads() {
  local before want
  before=$(asked) want=$(stapled localhost)
  ctl reload >"$work/out" || return 1
  [ "$(stapled localhost)" = "$want" ] || { say "the reload has lost it"; return 1; }
  sleep 0.5
  [ "$(asked)" = "$before" ] || { say "it is asked for again"; return 1; }
}

# keeps TEXT: told once, and what there is stays.
keeps() {
  local want
  want=$(stapled localhost)
  kill -HUP "$daemon"
  await 8 log_has "fetch: .*/ocsp, for .*/ec-chain.pem: $1" || { say "no '$1': $(grep 'fetch:' "$work/sluiced.log" | tail -n 1)"; return 1; }
  if [[ $want != good* ]] || [ "$(stapled localhost)" != "$want" ]; then
    say "$1: $(stapled localhost)"
    return 1
  fi
  [ "$(state ec-chain.pem)" = '"staple":"good"' ] || { say "$1: $(state ec-chain.pem)"; return 1; }
  await 5 eval "ctl certs --json | grep /ec-chain.pem | grep -q '\"staple_problem\":\"$1'" ||
    { say "$1: $(ctl certs --json | grep /ec-chain.pem)"; return 1; }
}

bad_responders() {
  index R
  keeps 'it has been revoked' || return 1
  index V
  mode garbage
  keeps 'the OCSP response is malformed' || return 1
  mode error
  keeps 'the server answers with status 503' || return 1
  mode slow
  keeps 'the server takes too long' || return 1
  mode good
}

newer() {
  local before
  before=$(stapled localhost)
  fetch_again || return 1
  is_newer() { [ "$(stapled localhost)" != "$before" ] && has_good localhost; }
  await 5 is_newer || { say "the old one is stapled"; return 1; }
  await 5 log_has 'fetch: .*/ocsp, for .*/ec-chain.pem: good again' || return 1
}

# The checks are made by a process that is gone again.
leaves_nothing() {
  [ -z "$(children sluice-crls)" ] || { say "sluice-crls runs"; return 1; }
  configure '' ''
  ctl reload >"$work/out" || return 1
  is_none() { [ "$(stapled localhost)" = none ]; }
  await 5 is_none || { say "it is stapled still"; return 1; }
  [ -z "$(children sluice-fetch)" ] || { say "sluice-fetch runs"; return 1; }
}

prepare_daemon
port=$(free_port)
pki=$(free_port)
mkdir "$dir" "$web"
with_responder ec localhost "$pki"
with_responder host host.test "$pki"
with_responder file file.test "$pki"
with_responder other other.test 1
for name in ec host other; do cat "$work/$name.pem" "$work/ca.pem" >"$work/$name-chain.pem"; done
cat "$work/file.pem" "$work/ca.pem" "$work/file.key" >"$dir/file.pem"
cp "$work/ca.pem" "$work/ca.key" "$web"
index V
mode good
python3 "$here/pki-server.py" "$pki" "$web" >"$work/web.log" 2>&1 &
pids+=($!)
await 10 grep -qs serves "$work/web.log"
ktap_plan 7
attempt "what cannot be fetched is refused" checked
attempt "the daemon starts" begins
attempt "responses are fetched and stapled, of hosts that may be" appears
attempt "a reload keeps what is good" reloads
attempt "what the responder answers instead leaves the last good one" bad_responders
attempt "a newer one takes its place" newer
attempt "without the key nothing is left" leaves_nothing
exit "$ktap_failed"
