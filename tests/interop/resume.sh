#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Resumption with each peer in both roles, TLS 1.2 and 1.3, on the record path there is; sessions go
# through files where the program has them. The peer must say that it resumed, and so must we; the
# first connection must not. What our client saves of TLS 1.3 is a ticket that came behind the
# handshake, by the record path.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

GET='GET /hello HTTP/1.0\r\n\r\n'

# has FILE PATTERN WHAT
has() {
  grep -qE -- "$2" "$1" && return
  say "$3: no '$2' in: $(tail -n 5 "$1" | tr '\n' ' ')"
  return 1
}

# ours LINE RESUMED VERSION MODE: whether we say so of a connection, on the path that was meant.
ours() {
  local path suite
  suite=$(sed -n 's/.*"suite":"\([A-Z0-9_]*\)".*/\1/p' <<<"$1")
  path=$(path_of "$suite" "$4")
  case "$1" in
    *"\"version\":\"TLSv$3\""*"\"resumed\":$2"*"\"tx\":{\"path\":\"$path\""*"\"rx\":{\"path\":\"$path\""*)
      return 0 ;;
  esac
  say "resumed should be $2, the path $path: we say $1"
  return 1
}

# --- our server

server_role() { # client, version, mode
  local name="$1-$2-$3" result=0
  serve "$name" --cert "$work/ec.pem" --key "$work/ec.key" --root "$work/www" --record-path "$3" ||
    return 1
  "$1" "$2" || result=1
  ours "$(last_connection "$name" 1)" false "$2" "$3" || result=1
  ours "$(last_connection "$name" 2)" true "$2" "$3" || result=1
  stop "$server"
  return "$result"
}

# openssl_once VERSION OPTION...
openssl_once() {
  local version=$1
  shift
  # shellcheck disable=SC2059 # escapes are meant
  printf "$GET" | timeout "$LIMIT" openssl s_client -connect "127.0.0.1:$port" \
    -servername localhost -CAfile "$work/ca.pem" -verify_return_error "-tls${version/./_}" -ign_eof "$@" \
    >"$work/said" 2>&1
}

openssl_client() { # version
  rm -f "$work/session"
  openssl_once "$1" -sess_out "$work/session" && has "$work/said" '^New, ' "the first" &&
    openssl_once "$1" -sess_in "$work/session" && has "$work/said" '^Reused, ' "the second" &&
    has "$work/said" '^hello$' "the second"
}

gnutls_client() { # version
  # shellcheck disable=SC2059
  printf "$GET" | timeout "$LIMIT" gnutls-cli --resume --waitresumption --x509cafile "$work/ca.pem" \
    --priority "NORMAL:-VERS-ALL:+VERS-TLS$1" -p "$port" localhost >"$work/said" 2>&1 &&
    has "$work/said" 'This is a resumed session' gnutls-cli && has "$work/said" '^hello$' gnutls-cli
}

# It does not say so; but only the first of its handshakes has a certificate.
curl_client() { # version
  curl -vsS --max-time "$LIMIT" --cacert "$work/ca.pem" --resolve "localhost:$port:127.0.0.1" \
    "--tlsv$1" --tls-max "$1" -H "Connection: close" "https://localhost:$port/hello" \
    "https://localhost:$port/hello" >"$work/out" 2>"$work/said" &&
    [ "$(grep -c 'IN).*, Certificate (11)' "$work/said")" -eq 1 ] &&
    [ "$(grep -c '^hello$' "$work/out")" -eq 2 ] && return
  say "curl: $(grep -E 'Certificate|hello' "$work/out" "$work/said" | tr '\n' ' ')"
  return 1
}

# --- our client

# connected VERSION MODE RESUMED OPTION...: the last connection must be resumed, or must not.
connected() {
  local version=$1 mode=$2 resumed=$3
  shift 3
  timeout "$LIMIT" "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" --json \
    --record-path "$mode" "--tls$version" --get / "$@" \
    >"$work/page" 2>"$work/said" || {
    say "$(tail -n 2 "$work/said" | tr '\n' ' ')"
    return 1
  }
  ours "$(grep '^{"id"' "$work/said" | tail -n 1)" "$resumed" "$version" "$mode"
}

client_role() { # server, version, mode
  local listen server result=0
  listen=$(free_port)
  "$1" "$2" &
  server=$!
  pids+=("$server")
  rm -f "$work/session"
  await_listen "$listen" "$server" &&
    connected "$2" "$3" false --session-out "$work/session" && "$1_resumed" 0 &&
    connected "$2" "$3" true --session-in "$work/session" && "$1_resumed" 1 &&
    connected "$2" "$3" true --resume && "$1_resumed" 2 || result=1
  stop "$server"
  return "$result"
}

openssl_server() { # version
  exec openssl s_server -accept "$listen" -www -cert "$work/ec.pem" -key "$work/ec.key" \
    "-tls${1/./_}" >"$work/server.out" 2>&1
}

# Its page tells of the connection by which it comes.
openssl_server_resumed() { # how many so far
  if [ "$1" -eq 0 ]; then has "$work/page" '^New, ' s_server; else has "$work/page" '^Reused, ' s_server; fi
}

gnutls_server() { # version
  exec gnutls-serv --http -p "$listen" --x509certfile "$work/ec.pem" --x509keyfile "$work/ec.key" \
    --priority "NORMAL:-VERS-ALL:+VERS-TLS$1" >"$work/server.out" 2>&1
}

gnutls_server_resumed() { # how many so far
  local count
  count=$(grep -c 'This is a resumed session' "$work/server.out") || true
  [ "$count" -eq "$1" ] && return
  say "gnutls-serv has resumed $count times, not $1"
  return 1
}

prepare
echo hello >"$work/www/hello"
ktap_plan 5
# test: openssl s_client resumes with our server
attempt "openssl s_client resumes with our server" for_each "1.2 1.3" server_role openssl_client
# test: gnutls-cli resumes with our server
attempt "gnutls-cli resumes with our server" for_each "1.2 1.3" server_role gnutls_client
# With TLS 1.2 curl takes no tickets, and our server keeps no table of sessions.
# test: curl resumes with our server
attempt "curl resumes with our server" for_each 1.3 server_role curl_client
# test: our client resumes with openssl s_server
attempt "our client resumes with openssl s_server" for_each "1.2 1.3" client_role openssl_server
# test: our client resumes with gnutls-serv
attempt "our client resumes with gnutls-serv" for_each "1.2 1.3" client_role gnutls_server
exit "$ktap_failed"
