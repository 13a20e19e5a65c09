# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# Common ground of the scripts that test who may connect, over lib.sh: certificates of clients, clients, a
# decision service. Sourced, never run.

here=$(cd "$(dirname "$0")" && pwd)

# --- certificates

# issue NAME "EXTENSION\n..." [x509's arguments]: a certificate of our CA with the client's key.
issue() {
  local name=$1 extensions=$2
  shift 2
  ln -sf client.key "$work/$name.key"
  openssl x509 -req -in "$work/client.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" \
    -set_serial "0x$(openssl rand -hex 8)" -out "$work/$name.pem" \
    -extfile <(printf '%b\n' "$extensions") "$@"
}

issue_all() {
  local san='subjectAltName=DNS:client.test'
  issue dns 'subjectAltName=DNS:other.test,DNS:Client.Test' -days 2
  issue email 'subjectAltName=email:someone@mail.test' -days 2
  issue uri 'subjectAltName=URI:https://id.test/a' -days 2
  issue spiffe 'subjectAltName=URI:spiffe://id.test/web/1' -days 2
  issue ip 'subjectAltName=IP:10.1.2.3' -days 2
  issue known "$san\n1.3.6.1.4.1.99999.1=critical,DER:0500" -days 2
  issue unknown "$san\n1.3.6.1.4.1.99999.2=critical,DER:0500" -days 2
  issue harmless "$san\n1.3.6.1.4.1.99999.3=DER:0500" -days 2
  issue forbidden "$san\n1.3.6.1.4.1.99999.4=DER:0500" -days 2
  issue server "$san\nextendedKeyUsage=serverAuth" -days 2
  openssl x509 -req -in "$work/client.csr" -CA "$work/ca.pem" -CAkey "$work/ca.key" -set_serial 99 \
    -days -1 -out "$work/expired.pem" -extfile <(printf '%s\n' "$san") ||
    issue_expired "$san"
  ln -sf client.key "$work/expired.key"
}

# For an openssl that refuses days in the past.
issue_expired() {
  : >"$work/index.txt"
  openssl ca -batch -config <(printf '%s\n' '[ca]' 'default_ca=x' '[x]' "database=$work/index.txt" \
    'policy=p' 'default_md=sha256' "new_certs_dir=$work" '[p]' 'commonName=supplied') \
    -cert "$work/ca.pem" -keyfile "$work/ca.key" -rand_serial -in "$work/client.csr" -notext \
    -startdate 20200101000000Z -enddate 20210101000000Z -out "$work/expired.pem" \
    -extfile <(printf '%s\n' "$1")
}

digest() { # of the certificate, or with `key` of its key
  if [ "${2:-}" = key ]; then
    openssl x509 -in "$work/$1.pem" -pubkey -noout | openssl pkey -pubin -outform DER
  else
    openssl x509 -in "$work/$1.pem" -outform DER
  fi | sha256sum | cut -d ' ' -f 1
}

prepare_peers() {
  prepare_daemon
  issue_all >>"$work/certificates.log" 2>&1 || {
    cat "$work/certificates.log" >&2
    exit 1
  }
}

# --- clients

# with CERT HOST [OPENSSL-OPTION]...: a line to $port, as a client that has this certificate.
with() {
  ask_any "$2" -cert "$work/$1.pem" -key "$work/$1.key" "${@:3}"
}

# As ask, of hosts that share a certificate, so that its name is not checked.
ask_any() {
  local host=$1
  shift
  echo hello 2>/dev/null |
    timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" -servername "$host" \
      -CAfile "$work/ca.pem" -verify_return_error -quiet "$@" 2>"$work/ask.err" | tail -n 1
}

is_served() {
  [ -n "$(with "$@")" ]
}

# refused ALERT COMMAND...: no answer, and this alert (as OpenSSL writes it).
refused() {
  local alert=$1 out
  shift
  out=$("$@") || true
  if [ -z "$out" ] && grep -qi "$alert" "$work/ask.err"; then return 0; fi
  say "$*: no '$alert' but '$out': $(tail -n 2 "$work/ask.err" | tr '\n' ' ')"
  return 1
}

told() {
  await 3 log_has "$1" || { say "not in the log: $1; $(tail -n 2 "$work/sluiced.log")"; return 1; }
}

# --- a decision service

how() {
  echo "$1" >"$work/mode.new"
  mv "$work/mode.new" "$work/mode"
}

start_service() {
  python3 "$here/decider.py" "$work/decide.sock" "$work/mode" "$work/questions" >"$work/decider.out" 2>&1 &
  service=$!
  pids+=("$service")
  await 10 grep -qs ready "$work/decider.out"
}
