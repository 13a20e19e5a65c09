#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Stapled OCSP responses of the daemon: of a profile, of a host, of files of a directory; newer ones by a
# reload and by the directory's watch; what will not do leaves what there is.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

dir=$work/certs

# responds NAME FILE [ARGUMENTS]: a response of our CA for a certificate; valid for an hour unless told.
responds() {
  local name=$1 out=$2 serial
  shift 2
  [ $# -gt 0 ] || set -- -nmin 60
  serial=$(openssl x509 -noout -serial -in "$work/$name.pem" | sed 's/.*=//')
  printf 'V\t350101000000Z\t\t%s\tunknown\t/CN=%s\n' "$serial" "$name" >"$work/index.txt"
  openssl ocsp -index "$work/index.txt" -CA "$work/ca.pem" -rsigner "$work/ca.pem" -rkey "$work/ca.key" \
    -issuer "$work/ca.pem" -cert "$work/$name.pem" -no_nonce -respout "$out.new" "$@" \
    >"$work/ocsp.log" 2>&1 || { cat "$work/ocsp.log"; return 1; }
  mv "$out.new" "$out"
}

# chain NAME FILE: the certificate with its CA and its key.
chain() {
  cat "$work/$1.pem" "$work/ca.pem" "$work/$1.key" >"$2.new"
  mv "$2.new" "$2"
}

configure() {
  port=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app}
	profiles:
	  main:
	    certfile: $work/ec-chain.pem
	    keyfile: $work/ec.key
	    ocsp_file: $work/ec.ocsp
	    hosts_dir: $dir
	    hosts:
	      - {names: [rsa.test], certfile: $work/rsa.pem, keyfile: $work/rsa.key, ocsp_file: $work/rsa.ocsp}
	      - {names: [p384.test], certfile: $work/p384.pem, keyfile: $work/p384.key}
	      - {names: [again.test], depth: 3}
	pools:
	  app: {socket: $work/app.sock}
	limits: {handshakers: 2}
	admin: {socket: $work/admin.sock}
	END
}

# essence: of a response as a text, about which certificate it is and when it was made; or "none".
essence() {
  awk '/Serial Number:/ && !serial { serial = $3 } /This Update:/ { sub(/.*This Update: /, ""); print serial, $0; exit }
    /OCSP response: no response sent/ { print "none"; exit }'
}

# stapled NAME [VERSION]: what a client gets that asks for a name.
stapled() {
  timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername "$1" -status "${2:--tls1_3}" \
    </dev/null 2>/dev/null | essence
}

updated() {
  openssl ocsp -respin "$1" -noverify -resp_text 2>/dev/null | essence
}

staples() { # NAME FILE [VERSION]
  local want
  want=$(updated "$2")
  [ -n "$want" ] && [ "$(stapled "$1" "${3:--tls1_3}")" = "$want" ]
}

staples_none() {
  [ "$(stapled "$1")" = none ]
}

reload() {
  kill -HUP "$daemon"
}

of_files() {
  staples localhost "$work/ec.ocsp" || { say "the profile's"; return 1; }
  staples localhost "$work/ec.ocsp" -tls1_2 || { say "the profile's, TLS 1.2"; return 1; }
  staples rsa.test "$work/rsa.ocsp" -tls1_2 || { say "the host's"; return 1; }
  staples again.test "$work/ec.ocsp" || { say "of a host with the profile's certificate"; return 1; }
  staples_none p384.test || { say "a host with another certificate has the profile's"; return 1; }
}

of_a_directory() {
  staples wild.wild.test "$dir/wild.ocsp" || { say "wild.ocsp is not stapled"; return 1; }
  staples_none ed.test || { say "something is stapled for ed.test"; return 1; }
  responds ed "$dir/ed.ocsp"
  await 5 staples ed.test "$dir/ed.ocsp" || { say "ed.ocsp is not seen"; return 1; }
  cp "$dir/ed.ocsp" "$work/ed-old.ocsp"
  printf 'no response' >"$dir/ed.ocsp.new" && mv "$dir/ed.ocsp.new" "$dir/ed.ocsp"
  await 5 log_has 'ed.ocsp.*stays in force' || { say "a broken one is not told"; return 1; }
  staples ed.test "$work/ed-old.ocsp" || { say "the last good one is gone"; return 1; }
  rm "$dir/ed.ocsp"
  await 5 staples_none ed.test || { say "one that was taken away is stapled"; return 1; }
}

refusals() { # PATTERN: how often the log has it
  grep -c -- "$1" "$work/sluiced.log" || true
}

refused_twice() {
  [ "$(refusals 'ec.ocsp.*not about it')" -ge 2 ]
}

by_reload() {
  cp "$work/ec.ocsp" "$work/older.ocsp"
  sleep 1.1 # a later second: times have no smaller unit
  responds ec "$work/ec.ocsp"
  reload
  await 5 staples localhost "$work/ec.ocsp" || { say "the newer one is not stapled"; return 1; }
  cp "$work/ec.ocsp" "$work/kept.ocsp"
  cp "$work/rsa.ocsp" "$work/ec.ocsp"
  reload
  await 5 log_has 'ec.ocsp.*not about it' || { say "another's is not refused"; return 1; }
  reload
  await 5 refused_twice || { say "another's is not refused the second time"; return 1; }
  staples localhost "$work/kept.ocsp" || { say "a refused reload has changed what is stapled"; return 1; }
  rm "$work/ec.ocsp"
  mkfifo "$work/ec.ocsp"
  reload
  await 5 log_has 'ec.ocsp.*not a file' || { say "a FIFO is not refused"; return 1; }
  rm "$work/ec.ocsp"
  cp "$work/older.ocsp" "$work/ec.ocsp"
  reload
  await 5 log_has 'ec.ocsp.*older than the one in force' || { say "an older one is not refused"; return 1; }
  cp "$work/kept.ocsp" "$work/ec.ocsp"
  reload
  await 5 staples localhost "$work/ec.ocsp"
}

prepare_daemon
mkdir "$dir"
cat "$work/ec.pem" "$work/ca.pem" >"$work/ec-chain.pem"
chain wild "$dir/wild.pem"
chain ed "$dir/ed.pem"
responds ec "$work/ec.ocsp"
responds rsa "$work/rsa.ocsp"
responds wild "$dir/wild.ocsp"
configure
ktap_plan 4
# test: the daemon starts
attempt "the daemon starts" eval 'start_daemon && start_worker app answer app'
# test: a profile's and a host's file is stapled, each to its own certificate
attempt "a profile's and a host's file is stapled, each to its own certificate" of_files
# test: files of a directory have theirs beside them, and changes are seen
attempt "files of a directory have theirs beside them, and changes are seen" of_a_directory
# test: a reload brings a newer one, and is refused with what will not do
attempt "a reload brings a newer one, and is refused with what will not do" by_reload
exit "$ktap_failed"
