#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Several certificates of one profile and host: which a client gets, whose keys sign, what sluicectl tells, and
# a reload; keys that are encrypted, with the password in a file.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"

# configure ENTRY...: of certs_keys
configure() {
  [ -n "${port:-}" ] || port=$(free_port)
  {
    cat <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$port", profile: main, pool: app}
	profiles:
	  main:
	    password_file: $work/password
	    certs_keys:
	END
    printf '      - %s\n' "$@"
    cat <<-END
	    hosts:
	      - {names: [one.test], certfile: $work/p384.pem, keyfile: $work/p384.key}
	      - names: [two.test]
	        certs_keys:
	          - {certfile: $work/ed.pem, keyfile: $work/ed.key}
	          - {certfile: $work/wild.pem, keyfile: $work/wild-encrypted.key, password: second}
	pools:
	  app: {socket: $work/app.sock}
	limits: {handshakers: 1, per_source: 1000}
	admin: {socket: $work/admin.sock}
	END
  } >"$work/sluiced.conf"
}

prepare_several() {
  printf 'first, with # and \\\n' >"$work/password"
  openssl pkey -in "$work/ec.key" -aes256 -passout "file:$work/password" -out "$work/ec-encrypted.key"
  openssl pkey -in "$work/wild.key" -aes128 -passout pass:second -out "$work/wild-encrypted.key"
  cat "$work/rsa.pem" "$work/rsa.key" >"$work/rsa-both.pem"
  ec_entry="{certfile: $work/ec.pem, keyfile: $work/ec-encrypted.key}"
  rsa_entry=$work/rsa-both.pem
}

ctl() {
  "$build/tools/sluicectl" --socket "$work/admin.sock" "$@"
}

# gets NAME HOST OPENSSL-OPTION...: a client is served with the certificate of a file.
gets() {
  local name=$1 host=$2 out
  shift 2
  out=$({ echo hello; sleep 0.2; } | timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" \
    -servername "$host" -CAfile "$work/ca.pem" -verify_return_error "$@" 2>"$work/gets.err") || true
  [[ $out == *"$(openssl x509 -in "$work/$name.pem")"* ]] ||
    { say "$host $*: not $name; $(tail -n 1 "$work/gets.err"); $(grep -E '^ *[0i]:|subject=' <<<"$out" | tr '\n' ' ')"; return 1; }
}

by_the_client() {
  gets ec none.test -tls1_3 &&
    gets ec none.test -tls1_2 &&
    gets rsa none.test -tls1_3 -sigalgs rsa_pss_rsae_sha256 &&
    gets rsa none.test -tls1_2 -sigalgs RSA+SHA256 &&
    gets rsa none.test -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256 &&
    gets ec none.test -tls1_2 -cipher ECDHE-ECDSA-AES128-GCM-SHA256 &&
    gets rsa none.test -tls1_2 -curves X25519
}

by_the_host() {
  gets p384 one.test -tls1_3 &&
    gets ed two.test -tls1_3 &&
    gets wild two.test -tls1_3 -sigalgs ECDSA+SHA256 &&
    gets wild two.test -tls1_2 -sigalgs ECDSA+SHA256
}

# nobody gets what he cannot take, and the next one is served
not_at_all() {
  gets ed two.test -tls1_3 -sigalgs rsa_pss_rsae_sha256 >/dev/null || true
  grep -q 'alert handshake failure' "$work/gets.err" || { say "no alert: $(cat "$work/gets.err")"; return 1; }
  gets ed two.test -tls1_3
}

told() {
  local rows
  rows=$(ctl certs --tsv)
  for want in 'ec.pem' 'rsa-both.pem' 'p384.pem' 'ed.pem' 'wild.pem'; do
    grep -q "$want" <<<"$rows" || { say "sluicectl certs has no $want: $rows"; return 1; }
  done
}

reloads() {
  configure "$rsa_entry" "$ec_entry"
  ctl reload >"$work/reload.out" 2>&1 || { say "$(cat "$work/reload.out")"; return 1; }
  gets rsa none.test -tls1_3 && gets ec none.test -tls1_3 -sigalgs ECDSA+SHA256
}

loaded() {
  grep -c "certificates: $1 loaded" "$work/sluiced.log" || true
}

# AP-11: whatever the stamps say; live connections keep what they have.
cleared() {
  local before=$(($(loaded 5)))
  sleep 0.3 # files that are older than a stamp's doubt
  ctl reload >/dev/null && ctl reload >/dev/null || return 1
  [ "$(loaded 0)" -gt 0 ] ||
    { say "a reload loads what it has: $(grep 'certificates:' "$work/sluiced.log" | tail -n 3)"; return 1; }
  ctl pem clear >"$work/clear.out" || { say "$(cat "$work/clear.out")"; return 1; }
  [ "$(loaded 5)" -eq $((before + 1)) ] || { say "$(grep 'certificates:' "$work/sluiced.log" | tail -n 3)"; return 1; }
  kill -HUP "$daemon"
  await 5 eval "[ \"\$(loaded 5)\" -eq $((before + 2)) ]" || { say "SIGHUP: $(tail -n 2 "$work/sluiced.log")"; return 1; }
  ! ctl pem empty >/dev/null 2>&1 || return 1
  gets rsa none.test -tls1_3
}

# What is wrong with one refuses all, and names it.
refused() {
  configure "$rsa_entry" "{certfile: $work/ec.pem, keyfile: $work/rsa.key}"
  ! ctl reload >"$work/reload.out" 2>&1 || { say "a key of another certificate is taken"; return 1; }
  configure "$rsa_entry" "{certfile: $work/ec.pem, key_file: $work/rsa.key}"
  ! ctl reload >>"$work/reload.out" 2>&1 || { say "a key that is none is taken"; return 1; }
  grep -q 'takes certfile, keyfile, password, password_file' "$work/reload.out" ||
    { say "$(cat "$work/reload.out")"; return 1; }
  printf 'wrong\n' >"$work/password"
  configure "$ec_entry"
  ! ctl reload >"$work/reload.out" 2>&1 || { say "a wrong password is taken"; return 1; }
  grep -q 'password is wrong' "$work/reload.out" || { say "$(cat "$work/reload.out")"; return 1; }
  ! grep -rq 'first, with' "$work/sluiced.log" "$work/reload.out" || { say "a password is told"; return 1; }
  rm "$work/password"
  ! ctl reload >"$work/reload.out" 2>&1 || { say "no password file is taken"; return 1; }
  grep -q 'password_file' "$work/reload.out" || { say "$(cat "$work/reload.out")"; return 1; }
  gets rsa none.test -tls1_3
}

prepare_daemon
prepare_several
configure "$ec_entry" "$rsa_entry"
ktap_plan 8
# test: the daemon starts with encrypted keys
attempt "the daemon starts with encrypted keys" eval 'start_daemon && start_worker app answer one'

# test: each client gets the first certificate that it can take
attempt "each client gets the first certificate that it can take" by_the_client
# test: hosts have their own
attempt "hosts have their own" by_the_host
# test: what suits nobody disturbs nobody else
attempt "what suits nobody disturbs nobody else" not_at_all
# test: sluicectl certs has all of them
attempt "sluicectl certs has all of them" told
# test: a reload changes the order
attempt "a reload changes the order" reloads
# test: AP_11_pem_clear_and_SIGHUP_load_everything_again
attempt "AP_11_pem_clear_and_SIGHUP_load_everything_again" cleared
# test: a reload with something wrong is refused
attempt "a reload with something wrong is refused" refused
exit "$ktap_failed"
