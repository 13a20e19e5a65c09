#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Who may connect: what a profile's policy makes of certificates with which something is wrong, identities of
# each kind and rules for each, hosts whose options replace all of their profile's, sessions that resume
# and never at another host, and servers that programs have verified.
# Environment: as tests/daemon/lib.sh
# shellcheck disable=SC2317,SC2154 # the functions are called by the harness; variables of lib.sh
set -euo pipefail
# shellcheck source=tests/daemon/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/daemon/verify-lib.sh
. "$(dirname "$0")/verify-lib.sh"

SLUICECTL=${SLUICECTL:-$(dirname "$SLUICE")/sluicectl}

configure() {
  main=$(free_port)
  cat >"$work/sluiced.conf" <<-END
	listeners:
	  - {name: main, address: "127.0.0.1:$main", profile: main, pool: app}
	profiles:
	  main:
	    certfile: $work/ec.pem
	    keyfile: $work/ec.key
	    cacertfile: $work/ca.pem
	    verify: verify_peer
	    fail_if_no_peer_cert: true
	    session_tickets: stateless
	    hosts:
	      - {names: [open.test], verify: verify_none, fail_if_no_peer_cert: false}
	      - {names: [optional.test], fail_if_no_peer_cert: false}
	      - {names: [alien.test], cacertfile: $work/alien.pem}
	      - {names: [old.test], versions: [tlsv1.2], ciphers: [TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384]}
	      - {names: [other.test], certfile: $work/rsa.pem, keyfile: $work/rsa.key}
	      - {names: [first.test]}
	      - {names: [second.test]}
	      - {names: [dns.test], peer_identity: dns, allow_peers: ["dns:client.test"]}
	      - {names: [email.test], peer_identity: email, allow_peers: ["email:@mail.test"]}
	      - {names: [uri.test], peer_identity: uri, allow_peers: ["uri:https://id.test/a"]}
	      - {names: [spiffe.test], peer_identity: spiffe, allow_peers: ["spiffe://id.test/web/*"]}
	      - {names: [ip.test], peer_identity: ip, allow_peers: ["ip:10.0.0.0/8"]}
	      - {names: [issuer.test], allow_peers: ["issuer:daemon CA"]}
	      - {names: [noissuer.test], deny_peers: ["issuer:daemon CA"]}
	      - {names: [cert.test], allow_peers: ["cert:$(digest client)"]}
	      - {names: [key.test], allow_peers: ["key:$(digest client key)"]}
	      - {names: [cakey.test], allow_peers: ["issuer-key:$(digest ca key)"]}
	      - {names: [nodns.test], peer_identity: dns, deny_peers: ["dns:client.test"]}
	      - {names: [nokey.test], deny_peers: ["key:$(digest client key)"]}
	      - names: [lenient.test]
	        verify_policy: {expired: accept, unknown_ca: log, selfsigned_peer: log, ext_key_usage: accept}
	      - names: [ext.test]
	        verify_policy: {extensions: {1.3.6.1.4.1.99999.1: accept, 1.3.6.1.4.1.99999.4: refuse}}
	      - {names: [anyext.test], verify_policy: {critical_ext: log}}
	      - {names: [pinned.test], verify_policy: {selfsigned_peer: accept}, allow_peers: ["cert:$(digest alien)"]}
	  checked: {role: client, cacertfile: $work/ca.pem}
	  lenient: {role: client, cacertfile: $work/ca.pem, verify_policy: {hostname: accept}}
	  picky: {role: client, verify: verify_none, verify_policy: {hostname: refuse}}
	  named: {role: client, cacertfile: $work/ca.pem, peer_identity: dns, allow_peers: ["dns:localhost"]}
	  stranger: {role: client, cacertfile: $work/ca.pem, deny_peers: ["dns:localhost"]}
	pools:
	  app: {socket: $work/app.sock}
	services:
	  tls: {socket: $work/tls.sock, profiles: [checked, lenient, picky, named, stranger]}
	limits: {handshakers: 2, per_source: 1000}
	admin: {socket: $work/admin.sock}
	END
}

starts() {
  start_daemon && start_worker app answer app
}

# --- the policy

defaults() {
  port=$main
  answers '* verified=1 identity= * bad_certs=0 *' with client localhost &&
    answers '* verified=1 * bad_certs=0 *' with harmless localhost &&
    refused 'certificate expired' with expired localhost &&
    refused 'bad certificate' with alien localhost &&
    refused 'unsupported certificate' with unknown localhost &&
    refused 'unsupported certificate' with server localhost
}

accepts() {
  local version
  port=$main
  for version in 1_2 1_3; do
    answers '* verified=0 * bad_cert=expired *' with expired lenient.test "-tls$version" &&
      answers '* verified=0 * bad_cert=selfsigned_peer *' with alien lenient.test "-tls$version" &&
      answers '* verified=0 * bad_cert=ext_key_usage *' with server lenient.test "-tls$version" &&
      answers '* verified=1 * bad_certs=0 *' with client lenient.test "-tls$version" &&
      refused 'unsupported certificate' with unknown lenient.test "-tls$version" || return 1
  done
  told 'accepted in spite of: selfsigned_peer' && told ' accepted=expired ' || return 1
  ! log_has 'accepted in spite of: expired' || { say "what is accepted was logged as a warning"; return 1; }
}

extensions() {
  port=$main
  answers '* verified=1 * bad_cert=critical_ext *' with known ext.test &&
    answers '* verified=1 * bad_certs=0 *' with harmless ext.test &&
    refused 'unsupported certificate' with unknown ext.test &&
    refused 'certificate unknown' with forbidden ext.test &&
    answers '* bad_cert=critical_ext *' with unknown anyext.test &&
    told 'accepted in spite of: critical_ext'
}

pinned() {
  port=$main
  answers '* verified=0 * bad_cert=selfsigned_peer *' with alien pinned.test &&
    refused 'access denied' with client pinned.test
}

# What is accepted with a session is what its first handshake found.
resumes_accepted() {
  local version
  port=$main
  for version in 1_2 1_3; do
    rm -f "$work/session"
    with expired lenient.test "-tls$version" -sess_out "$work/session" >/dev/null
    answers '* resumed=1 verified=0 * bad_cert=expired *' with expired lenient.test "-tls$version" \
      -sess_in "$work/session" || return 1
  done
}

in_sessions() {
  local id fd
  port=$main
  mkfifo "$work/hold"
  openssl s_client -connect "127.0.0.1:$port" -servername lenient.test -CAfile "$work/ca.pem" -quiet \
    -cert "$work/expired.pem" -key "$work/expired.key" <"$work/hold" >/dev/null 2>&1 &
  pids+=("$!")
  exec {fd}>"$work/hold"
  # shellcheck disable=SC2016 # eval expands it
  await 5 eval '"$SLUICECTL" -s "$work/admin.sock" -j sessions sni=lenient.test state=live | grep -q "\"id\""' || {
    say "no session"
    return 1
  }
  id=$("$SLUICECTL" -s "$work/admin.sock" -j sessions sni=lenient.test state=live |
    grep -o '"id": *[0-9]*' | tail -n 1 | grep -o '[0-9]*$')
  "$SLUICECTL" -s "$work/admin.sock" -j session "$id" >"$work/shown" 2>&1 || true
  exec {fd}>&-
  grep -q '"accepted": *"expired"' "$work/shown" || { say "session $id: $(cat "$work/shown")"; return 1; }
}

# --- who it is

identities() {
  port=$main
  answers '* verified=1 identity=client.test *' with dns dns.test &&
    answers '* identity=someone@mail.test *' with email email.test &&
    answers '* identity=https://id.test/a *' with uri uri.test &&
    answers '* identity=spiffe://id.test/web/1 *' with spiffe spiffe.test &&
    answers '* identity=10.1.2.3 *' with ip ip.test &&
    refused 'bad certificate' with email dns.test &&
    refused 'bad certificate' with uri spiffe.test
}

rules() {
  port=$main
  answers 'worker=*' with client issuer.test && answers 'worker=*' with client cert.test &&
    answers 'worker=*' with client key.test && answers 'worker=*' with client cakey.test &&
    answers 'worker=*' with dns key.test &&
    refused 'access denied' with dns cert.test &&
    refused 'access denied' with client noissuer.test &&
    refused 'access denied' with client nodns.test &&
    refused 'access denied' with client nokey.test
}

# --- hosts

hosts() {
  port=$main
  answers '* sni=open.test * verified=0 *' ask_any open.test &&
    refused 'certificate required' ask_any localhost -tls1_3 &&
    answers '* sni=optional.test * verified=0 *' ask_any optional.test &&
    answers '* sni=optional.test * verified=1 *' with client optional.test &&
    answers '* sni=alien.test * verified=1 *' with alien alien.test &&
    refused 'unknown ca' with client alien.test &&
    answers '* version=TLSv1.2 suite=TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384 *' with client old.test &&
    refused 'protocol version' with client old.test -tls1_3
}

# The names of the CAs that a server would like, and whether it asks at all.
asks_for() { # HOST
  echo | timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername "$1" "-tls$2" 2>&1
}

acceptable_cas() {
  local version
  port=$main
  for version in 1_2 1_3; do
    asks_for localhost "$version" >"$work/cas" || true
    grep -A 1 'Acceptable client certificate CA names' "$work/cas" | grep -q 'daemon CA' || {
      say "not our CA: $(grep -A 2 Acceptable "$work/cas")"
      return 1
    }
    asks_for alien.test "$version" >"$work/cas" || true
    grep -A 1 'Acceptable client certificate CA names' "$work/cas" | grep -q "nobody's" || {
      say "not the host's CA: $(grep -A 2 Acceptable "$work/cas")"
      return 1
    }
    asks_for open.test "$version" >"$work/cas" || true
    grep -q 'No client certificate CA names sent' "$work/cas" || { say "open.test asks"; return 1; }
  done
}

# resumed_at VERSION FROM AT: 1 where a session that FROM gave resumes at AT.
resumed_at() {
  local out
  rm -f "$work/session"
  with dns "$2" "-tls$1" -sess_out "$work/session" >/dev/null
  [ -s "$work/session" ] || { echo none; return; }
  out=$(with dns "$3" "-tls$1" -sess_in "$work/session")
  out=${out##* resumed=}
  echo "${out%% *}"
}

resumption() {
  local version result=0
  port=$main
  for version in 1_2 1_3; do
    [ "$(resumed_at "$version" dns.test dns.test)" = 1 ] || { say "$version: does not resume"; result=1; }
    answers '* resumed=1 verified=1 identity=client.test *' with dns dns.test "-tls$version" \
      -sess_in "$work/session" || result=1
    [ "$(resumed_at "$version" first.test second.test)" = 0 ] || { say "$version: crosses hosts"; result=1; }
    [ "$(resumed_at "$version" open.test first.test)" = 0 ] || { say "$version: crosses from open"; result=1; }
    [ "$(resumed_at "$version" localhost first.test)" = 0 ] || { say "$version: crosses from the default"; result=1; }
    [ "$(resumed_at "$version" first.test localhost)" = 0 ] || { say "$version: crosses to the default"; result=1; }
    [ "$(resumed_at "$version" first.test dns.test)" = 0 ] || { say "$version: crosses to an identity"; result=1; }
  done
  return "$result"
}

# --- servers that programs have verified

via() { # PROFILE HOST
  timeout 60 "$PEERS/via" "$work/tls.sock" client "$1" "$2" "$echo_port" 1 2>&1
}

as_client() {
  serve echo --mode echo --cert "$work/ec.pem" --key "$work/ec.key" && echo_port=$port
  answers 'hello; * verified=1 *' via checked localhost && answers 'hello; * verified=1 *' via checked 127.0.0.1 &&
    answers 'failed *HOSTNAME*' via checked other.test &&
    answers 'hello; * verified=0 *' via lenient other.test &&
    answers 'hello; * verified=0 *' via picky localhost &&
    answers 'failed *HOSTNAME*' via picky other.test &&
    answers 'hello; * verified=1 *' via named localhost &&
    answers 'failed *PEER_REFUSED*access*denied*' via stranger localhost
}

prepare_peers
configure
ktap_plan 13
attempt "the daemon starts" starts
attempt "OC-33 without a policy nothing that is wrong is accepted" defaults # test: OC-33 without a policy nothing that is wrong is accepted
attempt "a policy accepts what it names, and it is told" accepts
attempt "OC-32 extensions are accepted and refused by OID" extensions # test: OC-32 extensions are accepted and refused by OID
attempt "a certificate that is pinned needs no CA" pinned
attempt "what was accepted is there after resumption" resumes_accepted
attempt "sluicectl session has what was accepted" in_sessions
attempt "identities are DNS names, e-mail addresses, URIs, SPIFFE IDs and addresses" identities
attempt "peers are allowed and denied by issuer, certificate and keys" rules
attempt "SV-15 a host replaces all options" hosts # test: SV-15 a host replaces all options
attempt "SV-02 SV-06 each host names its own CAs, or asks nobody" acceptable_cas # test: SV-02 SV-06 each host names its own CAs, or asks nobody
attempt "SV-07 SV-19 sessions keep the identity and do not cross hosts" resumption # test: SV-07 SV-19 sessions keep the identity and do not cross hosts
attempt "OC-34 OC-39 programs have servers verified" as_client # test: OC-34 OC-39 programs have servers verified
exit "$ktap_failed"
