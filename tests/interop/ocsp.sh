#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# OCSP with others: responses that openssl-ocsp(1) makes, judged by `sluice verify`; stapled by
# openssl-s_server(1) to our client, and by our server to the clients of OpenSSL and GnuTLS.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

P256=(ec -pkeyopt ec_paramgen_curve:P-256)

# issue NAME CA EXTENSIONS [ARGUMENT...]: a certificate with the serial number of $((++serial)).
serial=10
issue() {
  local name=$1 ca=$2 extensions=$3
  shift 3
  openssl req -newkey "${P256[@]}" -nodes -subj "/CN=$name" -keyout "$work/$name.key" -out "$work/$name.csr"
  openssl x509 -req -in "$work/$name.csr" -CA "$work/$ca.pem" -CAkey "$work/$ca.key" \
    -set_serial $((++serial)) -days 2 -out "$work/$name.pem" -extfile <(printf '%b\n' "$extensions") "$@"
}

make_all() {
  local name tls='subjectAltName=DNS:localhost,IP:127.0.0.1'
  for name in ca other; do
    openssl req -x509 -newkey "${P256[@]}" -nodes -days 2 -subj "/CN=$name" -keyout "$work/$name.key" \
      -out "$work/$name.pem"
  done
  issue good ca "$tls"
  issue bad ca "$tls"
  issue nobody ca "$tls"
  issue must ca "$tls\ntlsfeature=status_request"
  issue delegate ca 'extendedKeyUsage=OCSPSigning\nnoCheck=ignored'
  issue noeku ca 'extendedKeyUsage=serverAuth'
  issue alien other 'extendedKeyUsage=OCSPSigning'
  {
    printf 'V\t350101000000Z\t\t0B\tunknown\t/CN=good\n'
    printf 'R\t350101000000Z\t250101000000Z,keyCompromise\t0C\tunknown\t/CN=bad\n'
    printf 'V\t350101000000Z\t\t0E\tunknown\t/CN=must\n'
  } >"$work/index.txt"
  responds good good ca
  responds bad bad ca
  responds nobody nobody ca
  responds must must ca
  responds delegate good delegate
  responds noeku good noeku
  responds alien good alien
  responds sha256 good ca -sha256
  respond ca.pem multi ca -cert "$work/bad.pem" -cert "$work/good.pem"
  openssl ocsp -issuer "$work/ca.pem" -cert "$work/good.pem" -no_nonce -reqout "$work/request.der"
}

# respond ISSUER FILE RESPONDER ARGUMENT...: a response that openssl makes.
respond() {
  local issuer=$1 file=$2 responder=$3
  shift 3
  openssl ocsp -index "$work/index.txt" -CA "$work/ca.pem" -rsigner "$work/$responder.pem" \
    -rkey "$work/$responder.key" -issuer "$work/$issuer" -no_nonce -nmin 60 -noverify \
    -respout "$work/$file.ocsp" "$@"
}

# responds FILE CERTIFICATE RESPONDER [-sha256]
responds() {
  local file=$1 cert=$2 responder=$3
  shift 3
  respond ca.pem "$file" "$responder" "$@" -cert "$work/$cert.pem"
}

# judged STATUS PATTERN CERTIFICATE RESPONSE [OPTION...]
judged() {
  local wanted=$1 pattern=$2 cert=$3 response=$4 status=0
  shift 4
  [ "$response" = - ] || set -- --ocsp "$work/$response" "$@"
  "$SLUICE" verify --chain "$work/$cert.pem" --trust "$work/ca.pem" "$@" </dev/null >"$work/out" 2>&1 || status=$?
  if [ "$status" -eq "$wanted" ] && grep -q -- "$pattern" "$work/out"; then return 0; fi
  say "$cert, $response, $*: status $status instead of $wanted, or no '$pattern': $(cat "$work/out")"
  return 1
}

verdicts() {
  local r=0
  judged 0 '^ok  *ocsp  *good, next update 20' good good.ocsp || r=1
  judged 0 '"result":"good"' good sha256.ocsp --json || r=1
  judged 0 '^ok  *ocsp  *good' good delegate.ocsp || r=1
  judged 0 '^ok  *ocsp  *good' good multi.ocsp --ocsp-check must || r=1
  judged 1 'revoked: keyCompromise' bad multi.ocsp || r=1
  judged 1 'revoked: keyCompromise' bad bad.ocsp || r=1
  judged 1 'does not know' nobody nobody.ocsp || r=1
  judged 1 '"bad_cert":"ocsp_invalid"' good noeku.ocsp --json || r=1
  judged 1 'not for OCSP signing' good noeku.ocsp || r=1
  judged 1 'by another issuer' good alien.ocsp || r=1
  judged 1 'not about it' good bad.ocsp || r=1
  judged 1 'out of date' good good.ocsp --time "$(($(date +%s) + 4000))" || r=1
  judged 0 '^ok  *ocsp  *good' good good.ocsp --time "$(($(date +%s) + 3800))" || r=1
  judged 0 '^accepted' good - || r=1
  judged 1 'there is no OCSP response' good - --ocsp-check must || r=1
  judged 0 '^ok  *ocsp  *none' good - --ocsp-check if_present || r=1
  judged 0 '^accepted' must - || r=1
  judged 1 'TLS feature' must - --ocsp-check if_present || r=1
  judged 0 '^ok  *ocsp  *good' must must.ocsp || r=1
  judged 0 '^accepted' bad bad.ocsp --ocsp-check off || r=1
  return "$r"
}

unusable() {
  local r=0
  head -c 100 "$work/good.ocsp" >"$work/cut.ocsp"
  head -c 100000 /dev/zero >"$work/zero.ocsp"
  { printf '\060\203\001\206\231'; head -c 99993 /dev/zero; } >"$work/long.ocsp"
  : >"$work/empty.ocsp"
  judged 1 'malformed' good cut.ocsp || r=1
  judged 2 'neither DER nor PEM' good zero.ocsp || r=1
  judged 2 'at most 65535 bytes' good long.ocsp || r=1
  judged 2 'ocsp' good empty.ocsp || r=1
  judged 2 'neither DER nor PEM' good ca.pem || r=1
  judged 2 'ocsp' good missing.ocsp || r=1
  judged 2 'a server' good good.ocsp --client || r=1
  return "$r"
}

# request NAME RESPONSE [MEMBERS]: a line of a batch.
request() {
  python3 - "$work" "$@" <<'END'
import base64, json, sys
work, name, response = sys.argv[1:4]
r = {"id": name, "chain": open(f"{work}/{name}.pem").read(), "trust": open(f"{work}/ca.pem").read()}
if response != "-":
    der = base64.b64encode(open(f"{work}/{response}.ocsp", "rb").read()).decode()
    r["ocsp"] = der
r.update(json.loads(sys.argv[4]) if len(sys.argv) > 4 else {})
print(json.dumps(r))
END
}

batches() {
  local line pem
  pem=$(printf -- '-----BEGIN OCSP RESPONSE-----\n%s\n-----END OCSP RESPONSE-----\n' "$(base64 "$work/good.ocsp")" |
    python3 -c 'import json,sys; print(json.dumps({"ocsp": sys.stdin.read()}))')
  {
    request good good
    request good - "$pem"
    request bad bad
    request must - '{"ocsp_check": "if_present"}'
    request good - '{"ocsp": "no base64"}'
    request good - '{"ocsp": 5}'
    request good - '{"ocsp_check": "maybe"}'
    request good good '{"peer": "client"}'
    request good - '{"ocsp": ""}'
  } >"$work/batch"
  "$SLUICE" verify --batch "$work/batch" >"$work/out" 2>&1 && { say "a batch with what is unusable ends with 0"; return 1; }
  line=$(grep -o '"result":"[a-z]*","\(path\|reason\)\|"ocsp":{"result":"[a-z]*"' "$work/out" | grep -o '"[a-z]*"[,]\|"[a-z]*"$' | tr -d '",' | tr '\n' ' ')
  [ "$line" = "accepted good accepted good rejected revoked rejected none unusable unusable unusable unusable unusable " ] || {
    say "$line: $(cat "$work/out")"
    return 1
  }
}

# meets STATUS PATTERN CERTIFICATE RESPONSE OPTION...: our client with a server of OpenSSL.
meets() {
  local wanted=$1 pattern=$2 cert=$3 response=$4 status=0 server staple=()
  shift 4
  [ "$response" = - ] || staple=(-status_file "$work/$response.ocsp")
  listen=$(free_port)
  openssl s_server -accept "$listen" -www -cert "$work/$cert.pem" -key "$work/$cert.key" "${staple[@]}" \
    </dev/null >"$work/server.out" 2>&1 &
  server=$!
  pids+=("$server")
  await_listen "$listen" "$server"
  timeout "$LIMIT" "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" --json --get / "$@" \
    </dev/null >"$work/out" 2>"$work/said" || status=$?
  stop "$server"
  if [ "$status" -eq "$wanted" ] && grep -q -- "$pattern" "$work/said"; then return 0; fi
  say "$cert, $response, $*: status $status instead of $wanted, or no '$pattern': $(tail -n 1 "$work/said")"
  return 1
}

clients() {
  local version r=0
  for version in 1.2 1.3; do
    set -- "--tls$version"
    meets 0 '"ocsp":"good"' good good "$@" || r=1
    meets 0 '"ocsp":"good"' good delegate -o ocsp=must "$@" || r=1
    meets 0 '"ocsp":"none"' good - "$@" || r=1
    meets 4 '"alert":"bad_certificate_status_response"' good - -o ocsp=must "$@" || r=1
    meets 4 '"alert":"certificate_revoked"' bad bad "$@" || r=1
    meets 0 '"ocsp":"not_asked"' bad bad -o ocsp=off "$@" || r=1
    meets 4 '"bad_cert":"ocsp_unknown"' nobody nobody "$@" || r=1
    meets 4 '"bad_cert":"ocsp_invalid"' good noeku "$@" || r=1
    meets 4 '"bad_cert":"ocsp_missing"' must - "$@" || r=1
    meets 0 '"ocsp":"good"' must must "$@" || r=1
  done
  return "$r"
}

servers() {
  local version r=0
  cat "$work/good.pem" "$work/ca.pem" >"$work/chain.pem"
  listen=$(free_port)
  "$SLUICE" serve --listen "127.0.0.1:$listen" --mode echo --cert "$work/chain.pem" --key "$work/good.key" \
    --ocsp "$work/good.ocsp" >"$work/server.out" 2>&1 &
  server=$!
  pids+=("$server")
  await_listen "$listen" "$server"
  for version in 2 3; do
    timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$listen" -status "-tls1_$version" -CAfile "$work/ca.pem" \
      </dev/null >"$work/out" 2>&1 || true
    grep -q 'Cert Status: good' "$work/out" || {
      say "openssl, TLS 1.$version: $(grep -i ocsp "$work/out")"
      r=1
    }
    timeout "$LIMIT" gnutls-cli --ocsp --x509cafile "$work/ca.pem" -p "$listen" localhost \
      --priority "NORMAL:-VERS-ALL:+VERS-TLS1.$version" </dev/null >"$work/out" 2>&1 || true
    grep -q 'Options:.*OCSP status request' "$work/out" || {
      say "gnutls, TLS 1.$version: $(tail -n 5 "$work/out")"
      r=1
    }
  done
  stop "$server"
  "$SLUICE" serve --listen "127.0.0.1:$listen" --cert "$work/chain.pem" --key "$work/good.key" \
    --ocsp "$work/bad.ocsp" >"$work/out" 2>&1 && r=1
  grep -q 'not about it' "$work/out" || { say "$(cat "$work/out")"; r=1; }
  return "$r"
}

make_all >"$work/made.log" 2>&1 || {
  cat "$work/made.log" >&2
  exit 1
}
ktap_plan 5
attempt "what openssl answers is judged" verdicts
attempt "what is no response is told so" unusable
attempt "batches" batches
attempt "our client with what OpenSSL staples" clients
attempt "OpenSSL and GnuTLS with what our server staples" servers
exit "$ktap_failed"
