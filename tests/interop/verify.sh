#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# What `sluice verify` says of certificates that OpenSSL made, by its words and its exit status, and of
# requests that are none.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

# judged STATUS PATTERN OPTION...: how `sluice verify` must end, and the words on either output.
judged() {
  local wanted=$1 pattern=$2 status=0
  shift 2
  "$SLUICE" verify "$@" </dev/null >"$work/out" 2>&1 || status=$?
  if [ "$status" -eq "$wanted" ] && grep -q -- "$pattern" "$work/out"; then return 0; fi
  say "with $*: status $status instead of $wanted, or no '$pattern': $(head -n 1 "$work/out")"
  return 1
}

# explained PATTERN...: each is in the output of the last that was judged.
explained() {
  local pattern
  for pattern; do
    grep -q -- "$pattern" "$work/out" && continue
    say "no '$pattern' in: $(cat "$work/out")"
    return 1
  done
}

# make_crl NAME CA: what $work/index has, signed by CA.
make_crl() {
  touch "$work/index" "$work/index.attr"
  openssl ca -gencrl -crldays 2 -md sha256 -cert "$work/$2.pem" -keyfile "$work/$2.key" -out "$work/$1.crl.pem" \
    -config <(printf '[ca]\ndefault_ca=a\n[a]\ndatabase=%s/index\n' "$work")
}

make_chain() {
  local ca=(-CA "$work/sub.pem" -CAkey "$work/sub.key" -days 2)
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=root" \
    -keyout "$work/ca.key" -out "$work/ca.pem"
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=sub" \
    -keyout "$work/sub.key" -out "$work/sub.csr"
  openssl x509 -req -in "$work/sub.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial 2 \
    -days 2 -out "$work/sub.pem" -extfile <(printf 'basicConstraints=critical,CA:TRUE\n')
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=leaf" \
    -keyout "$work/leaf.key" -out "$work/leaf.csr"
  openssl x509 -req -in "$work/leaf.csr" "${ca[@]}" -set_serial 3 -out "$work/leaf.pem" \
    -extfile <(printf 'subjectAltName=DNS:www.example.test,IP:192.0.2.1,IP:2001:db8::1\nextendedKeyUsage=serverAuth\n')
  cat "$work/leaf.pem" "$work/sub.pem" >"$work/chain.pem"
  make_crl ca ca
  make_crl sub sub
  printf 'R\t350101000000Z\t260101000000Z,keyCompromise\t03\tunknown\t/CN=leaf\n' >"$work/index"
  make_crl revoked sub
  openssl crl -in "$work/sub.crl.pem" -outform DER -out "$work/sub.crl.der"
  mkdir "$work/anchors" "$work/empty"
  cp "$work/ca.pem" "$work/anchors/one.crt"
  echo "not a certificate, and not named as one" >"$work/anchors/README"
}

accepted() {
  local good=(--chain "$work/chain.pem" --trust "$work/ca.pem")
  judged 0 '^2: CN=root' "${good[@]}" &&
    judged 0 '^accepted' "${good[@]}" --host www.example.test &&
    judged 0 '^accepted' "${good[@]}" --ip 192.0.2.1 &&
    judged 0 '^accepted' "${good[@]}" --ip 2001:DB8:0::1 &&
    judged 0 '^accepted' --chain "$work/chain.pem" --trust "$work/anchors" --depth 1 &&
    judged 0 '"path":\["CN=leaf","CN=sub"\]' --chain "$work/leaf.pem" --trust "$work/sub.pem" \
      --partial-chain --json
}

rejected() {
  local good=(--chain "$work/chain.pem" --trust "$work/ca.pem")
  judged 1 '^rejected: Hostname mismatch' "${good[@]}" --host example.test &&
    judged 1 '^rejected: IP address mismatch' "${good[@]}" --ip 192.0.2.2 &&
    judged 1 'purpose' "${good[@]}" --client &&
    judged 1 'longer than option depth' "${good[@]}" --depth 0 &&
    judged 1 'has expired' "${good[@]}" --time 2099-01-01T00:00:00Z &&
    judged 1 'not yet valid' "${good[@]}" --time 1000000000 &&
    judged 1 '"alert":"unknown_ca"' --chain "$work/leaf.pem" --trust "$work/ca.pem" --json &&
    judged 1 'unable to get local issuer' --chain "$work/leaf.pem" --trust "$work/sub.pem" &&
    judged 1 'rejected' --chain "$work/chain.pem" --trust "$work/leaf.pem"
}

# Each check has a line, and none is called ok that was not made.
checks() {
  local good=(--chain "$work/chain.pem" --trust "$work/ca.pem") digest
  digest=$(openssl x509 -in "$work/leaf.pem" -noout -fingerprint -sha256 | sed 's/.*=//;s/://g' | tr A-F a-f)
  judged 0 '^accepted$' "${good[@]}" --host www.example.test --crl "$work/ca.crl.pem" --crl "$work/sub.crl.pem" &&
    explained '^0: CN=leaf$' "^   issued by CN=sub, until 20.*Z, P-256, SHA-256 ${digest:0:16}$" \
      '^   trusted, until' '^ok  *trust anchor  *certificate 2 is trusted$' '^ok  *signatures  *ecdsa-with-SHA256$' \
      '^ok  *dates  *at 20' '^ok  *purpose  *serverAuth$' '^ok  *path length  *intermediates: 1 of at most 10$' \
      '^ok  *name constraints  *there are none$' '^ok  *critical extensions$' '^not asked  *policies$' \
      '^ok  *name  *www.example.test is DNS:www.example.test$' '^not asked  *ocsp$' \
      '^ok  *revocation  *certificate 0, by the CRL of CN=sub, until 20' \
      '^ok  *revocation  *certificate 1, by the CRL of CN=root, until 20' &&
    judged 0 '^accepted$' "${good[@]}" --ip 2001:db8::1 --policies any --crl "$work/ca.crl.pem" --crl-check best_effort &&
    explained '^ok  *name  *2001:db8::1 is IP:2001:db8::1$' '^ok  *policies$' \
      '^undetermined  *revocation  *certificate 0: .*there is no CRL' '^ok  *revocation  *certificate 1' &&
    judged 1 '^rejected: certificate has expired (certificate [0-2], X.509 error 10, alert certificate_expired)$' \
      "${good[@]}" --time 2099-01-01T00:00:00Z --ip 192.0.2.9 --crl "$work/ca.crl.pem" &&
    explained '^failed  *dates  *.*certificate 1: certificate has expired' '^ok  *signatures' \
      '^failed  *name  *certificate 0: IP address mismatch$' '^not reached  *revocation$' &&
    judged 1 '(certificate 0, X.509 error 20, alert unknown_ca)$' --chain "$work/leaf.pem" --trust "$work/ca.pem" &&
    explained '^failed  *trust anchor  *certificate 0: unable' '^not reached  *signatures$' \
      '^not reached  *name constraints$' '^ok  *dates' '^not asked  *name$' &&
    judged 1 '^rejected: it has been revoked: keyCompromise (certificate 0, .*, alert certificate_revoked)$' \
      "${good[@]}" --crl "$work/revoked.crl.pem" --crl "$work/ca.crl.pem" &&
    explained '^failed  *revocation  *certificate 0: it has been revoked: keyCompromise, by the CRL of CN=sub' \
      '^ok  *revocation  *certificate 1' &&
    for _ in $(seq 130); do cat "$work/sub.pem"; done | cat "$work/leaf.pem" - >"$work/many.pem" &&
    judged 1 '^rejected: too many others' --chain "$work/many.pem" --trust "$work/ca.pem" &&
    explained '^failed  *search  *certificate 0: too many others' '^not reached  *trust anchor$' &&
    judged 1 '^rejected' "${good[@]}" --policies any --explicit-policy &&
    explained '^failed  *policies  *certificate 0: ' '^ok  *signatures' &&
    judged 1 '"check":"trust_anchor","result":"failed"' --chain "$work/leaf.pem" --trust "$work/ca.pem" --json &&
    explained '"certificates":\[{"subject":"CN=leaf","issuer":"CN=sub","not_after":"20' "\"sha256\":\"$digest\"" \
      '"trusted":false'
}

# A batch is told of checks only if that is asked for.
checks_of_a_batch() {
  head -n 1 "$work/requests" | "$SLUICE" verify --batch - >"$work/out" &&
    grep -q '"result":"accepted"' "$work/out" && ! grep -q '"checks"\|"certificates"' "$work/out" &&
    head -n 1 "$work/requests" | "$SLUICE" verify --batch - --checks >"$work/out" &&
    explained '"path":\["CN=leaf","CN=sub","CN=root"\],"certificates":' '"check":"dates","result":"ok"' \
      '"check":"names_and_usages","result":"not_asked"' &&
    head -n 1 "$work/requests" | sed 's/"id"/"names": ["other.test"], "crls": [], "id"/' |
    "$SLUICE" verify --batch - --checks >"$work/out" &&
    explained '"result":"rejected"' '"check":"names_and_usages","result":"failed","detail":"Hostname mismatch"' \
      '"check":"revocation","result":"not_reached"'
}

unusable() {
  local good=(--chain "$work/chain.pem" --trust "$work/ca.pem")
  judged 2 'either --chain or --batch' &&
    judged 2 '--trust or --system' --chain "$work/chain.pem" &&
    judged 2 'No such file' --chain "$work/none.pem" --trust "$work/ca.pem" &&
    judged 2 'No such file' --chain "$work/chain.pem" --trust "$work/none" &&
    judged 2 'no file in' --chain "$work/chain.pem" --trust "$work/empty" &&
    judged 2 'no PEM certificate' --chain "$work/anchors/README" --trust "$work/ca.pem" &&
    judged 2 'not an address' "${good[@]}" --ip localhost &&
    judged 2 'not a DNS name' "${good[@]}" --host 192.0.2.1 &&
    judged 2 'exclude each other' "${good[@]}" --host a.test --ip 192.0.2.1 &&
    judged 2 '--time' "${good[@]}" --time tomorrow &&
    judged 2 '--depth' "${good[@]}" --depth -1 &&
    judged 2 '--what' "${good[@]}" --what
}

revoked() {
  local good=(--chain "$work/chain.pem" --trust "$work/ca.pem")
  judged 0 '^accepted' "${good[@]}" --crl "$work/ca.crl.pem" --crl "$work/sub.crl.pem" &&
    judged 0 '^accepted' "${good[@]}" --crl "$work/sub.crl.der" --crl-check peer &&
    judged 1 'undetermined: there is no CRL' "${good[@]}" --crl "$work/sub.crl.pem" &&
    judged 1 'undetermined: there is no CRL' "${good[@]}" --crl-check true &&
    judged 0 '^accepted' "${good[@]}" --crl "$work/sub.crl.pem" --crl-check best_effort &&
    judged 1 'revoked: keyCompromise' "${good[@]}" --crl "$work/revoked.crl.pem" --crl-check best_effort &&
    judged 1 '"crl_reason":1,' "${good[@]}" --crl "$work/revoked.crl.pem" --crl-check peer --json &&
    judged 0 '^accepted' "${good[@]}" --crl "$work/revoked.crl.pem" --crl-check false &&
    judged 2 'No such file' "${good[@]}" --crl "$work/none" &&
    judged 2 'there is no CRL in it' "${good[@]}" --crl "$work/ca.pem" &&
    judged 2 'crl-check' "${good[@]}" --crl-check maybe
}

policies() {
  local good=(--chain "$work/chain.pem" --trust "$work/ca.pem")
  judged 0 '^accepted' "${good[@]}" --policies 1.2.3.4 --inhibit-any-policy --inhibit-policy-mapping &&
    judged 1 'invalid or inconsistent certificate policy\|no explicit policy' "${good[@]}" --policies any --explicit-policy &&
    judged 2 'is no OID' "${good[@]}" --policies 1.2.x
}

# Requests with what this run has made, and what each verdict must be.
batch() {
  local status=0
  python3 - "$work" >"$work/requests" <<-'END'
	import json, sys
	work = sys.argv[1]
	read = lambda name: open(f"{work}/{name}.pem").read()
	good = {"chain": read("chain"), "trust": read("ca")}
	crls = [read("ca.crl"), read("sub.crl")]
	ders = ["".join(crl.split("\n")[1:-2]) for crl in crls]
	for wanted, request in [
	    ("accepted", good),
	    ("accepted", {**good, "name": "www.example.test", "peer": "server", "depth": 1}),
	    ("rejected", {**good, "name": "www.example.com"}),
	    ("rejected", {**good, "peer": "client"}),
	    ("rejected", {**good, "depth": 0}),
	    ("rejected", {**good, "time": "2099-01-01T00:00:00+01:00"}),
	    ("rejected", {**good, "time": 0}),
	    ("rejected", {**good, "trust": read("sub")}),
	    ("accepted", {**good, "trust": read("sub"), "partial_chain": True}),
	    ("rejected", {"chain": good["chain"]}),
	    ("unusable", {"trust": good["trust"]}),
	    ("accepted", {**good, "crls": crls}),
	    ("accepted", {**good, "crls": ders}),
	    ("accepted", {**good, "crls": [der[:64] + "\n" + der[64:] + "\n" for der in ders]}),
	    ("rejected", {**good, "crls": []}),
	    ("rejected", {**good, "crls": crls[:1]}),
	    ("accepted", {**good, "crls": [], "crl_check": "best_effort"}),
	    ("accepted", {**good, "crls": [], "crl_check": "false"}),
	    ("rejected", {**good, "crl_check": "true"}),
	    ("accepted", {**good, "crls": ["".join(crls)], "crl_check": "peer"}),
	    ("rejected", {**good, "crls": [*crls, read("revoked.crl")]}),
	    ("unusable", {**good, "crls": crls[0]}),
	    ("unusable", {**good, "crls": [1]}),
	    ("unusable", {**good, "crls": ["AAAA"]}),
	    ("unusable", {**good, "crls": ["!"]}),
	    ("unusable", {**good, "crls": [""]}),
	    ("unusable", {**good, "crls": [good["chain"]]}),
	    ("unusable", {**good, "crl_check": "maybe"}),
	    ("unusable", {**good, "crl_check": True}),
	    ("unusable", {**good, "crl": []}),
	    ("accepted", {**good, "policies": []}),
	    ("accepted", {**good, "policies": ["1.2.3.4"], "inhibit_policy_mapping": True}),
	    ("rejected", {**good, "explicit_policy": True}),
	    ("accepted", {**good, "explicit_policy": False, "inhibit_any_policy": True}),
	    ("unusable", {**good, "policies": "1.2.3.4"}),
	    ("unusable", {**good, "policies": ["serverAuth!"]}),
	    ("unusable", {**good, "policies": [None]}),
	    ("unusable", {**good, "explicit_policy": 1}),
	    ("unusable", {**good, "name": "www.example.test\0.example.com"}),
	    ("unusable", {**good, "name": 1}),
	    ("unusable", {**good, "depth": 101}),
	    ("unusable", {**good, "depth": "1"}),
	    ("unusable", {**good, "peer": "both"}),
	    ("unusable", {**good, "partial_chain": 1}),
	    ("unusable", {**good, "time": "2099-01-01"}),
	    ("unusable", {**good, "time": "2099-01-01T00:00:00+1:00"}),
	    ("unusable", {**good, "trust": "nothing"}),
	    ("unusable", {**good, "chain": ""}),
	    ("unusable", []),
	    ("unusable", None),
	]:
	    if isinstance(request, dict):
	        request = {"id": wanted, **request}
	    print(json.dumps(request))
	print('{"id": "unusable", "chain"')
	print('{} {}')
	print()
	print(json.dumps({"id": "accepted", **good}), end="")
	END
  "$SLUICE" verify --batch "$work/requests" >"$work/verdicts" || status=$?
  [ "$status" -eq 2 ] || say "status $status instead of 2"
  python3 - "$work/verdicts" <<-'END'
	import json, sys
	verdicts = [json.loads(line) for line in open(sys.argv[1])]
	wrong = [v for v in verdicts if v["result"] != (v.get("id") or "unusable")]
	for verdict in wrong:
	    print("#", verdict)
	sys.exit(len(verdicts) != 53 or bool(wrong))
	END
  grep -q '"result":"accepted"' "$work/verdicts" && [ "$status" -eq 2 ] &&
    head -n 1 "$work/requests" | "$SLUICE" verify --batch - >"$work/out" &&
    sed 's/"trust"/"id2"/;s/"id2": "[^"]*"/"depth": 5/' <(head -n 1 "$work/requests") |
    "$SLUICE" verify --batch - --trust "$work/ca.pem" | grep -q '"result":"accepted"'
}

make_chain >"$work/certificates.log" 2>&1 || {
  cat "$work/certificates.log" >&2
  exit 1
}
ktap_plan 8
# test: a good chain is accepted with status 0
attempt "a good chain is accepted with status 0" accepted
# test: what is wrong with a chain is named with status 1
attempt "what is wrong with a chain is named with status 1" rejected
# test: CRLs are held against a chain
attempt "CRLs are held against a chain" revoked
# test: each check is told of, and what came of it
attempt "each check is told of, and what came of it" checks
# test: policies are evaluated when they are asked for
attempt "policies are evaluated when they are asked for" policies
# test: what is no chain, or no option, ends with status 2
attempt "what is no chain, or no option, ends with status 2" unusable
# test: a batch has a verdict for each line
attempt "a batch has a verdict for each line" batch
# test: a batch is told of checks where that is asked for
attempt "a batch is told of checks where that is asked for" checks_of_a_batch
exit "$ktap_failed"
