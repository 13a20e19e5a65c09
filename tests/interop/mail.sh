#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# STARTTLS with real mail servers: aiosmtpd and dovecot, started from a temporary directory on
# loopback. And what the exit status says when it does not work out.
# shellcheck disable=SC2317 # the functions are called by the harness
set -euo pipefail
# shellcheck source=tests/interop/lib.sh
. "$(dirname "$0")/lib.sh"

start_smtp() {
  port=$(free_port)
  /usr/bin/python3 - "$port" "$work/rsa.pem" "$work/rsa.key" >"$work/smtp.log" 2>&1 <<'END' &
import asyncio, ssl, sys
from aiosmtpd.smtp import SMTP
class Handler:
    async def handle_DATA(self, server, session, envelope):
        return "250 got %d bytes over TLS" % len(envelope.content)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
async def main():
    server = await asyncio.get_running_loop().create_server(
        lambda: SMTP(Handler(), hostname="localhost", tls_context=context, require_starttls=True),
        "127.0.0.1", int(sys.argv[1]))
    await server.serve_forever()
asyncio.run(main())
END
  mail=$!
  pids+=("$mail")
  await_listen "$port" "$mail"
}

start_imap() {
  local dir=$work/dovecot
  port=$(free_port)
  chmod 755 "$work" # dovecot's processes run as nobody
  mkdir -p "$dir"
  cat >"$dir/conf" <<-END
	dovecot_config_version = $dovecot
	dovecot_storage_version = $dovecot
	base_dir = $dir/run
	state_dir = $dir/state
	log_path = $dir/log
	protocols = imap
	ssl = required
	ssl_server_cert_file = $work/rsa.pem
	ssl_server_key_file = $work/rsa.key
	default_internal_user = nobody
	default_login_user = nobody
	default_internal_group = nogroup
	listen = 127.0.0.1
	mail_driver = maildir
	mail_path = $dir/mail
	service imap-login {
	  chroot =
	  inet_listener imap {
	    port = $port
	  }
	  inet_listener imaps {
	    port = 0
	  }
	}
	service anvil {
	  chroot =
	}
	service stats {
	  chroot =
	}
	passdb static {
	  password = secret
	}
	END
  dovecot -F -c "$dir/conf" >"$work/imap.log" 2>&1 &
  mail=$!
  pids+=("$mail")
  await_listen "$port" "$mail" || {
    say "$(cat "$work/imap.log" "$dir/log" 2>/dev/null | tail -n 3)"
    return 1
  }
}

# conversation SCRIPT EXPECTED PROTOCOL OPTION...: says SCRIPT's lines after STARTTLS; EXPECTED must
# come back.
conversation() {
  local script=$1 expected=$2 protocol=$3 mode result=0
  shift 3
  for mode in auto user; do
    # shellcheck disable=SC2059 # it has escapes
    printf "$script" | timeout "$LIMIT" "$SLUICE" connect "localhost:$port" --starttls "$protocol" --keep-open \
      --cacert "$work/ca.pem" --record-path "$mode" "$@" >"$work/out" 2>"$work/out.err" || {
      say "exit status $?: $(tail -n 2 "$work/out.err" | tr '\n' ' ')"
      result=1
    }
    grep -q "$expected" "$work/out" || {
      say "no '$expected' in: $(tail -n 3 "$work/out" | tr '\n' ' ')"
      result=1
    }
  done
  return "$result"
}

smtp() {
  start_smtp || return 1
  conversation 'EHLO me\r\nMAIL FROM:<a@localhost>\r\nRCPT TO:<b@localhost>\r\nDATA\r\nhello\r\n.\r\nQUIT\r\n' \
    '^250 got 7 bytes over TLS' smtp
}

imap() {
  start_imap || return 1
  conversation 'a1 CAPABILITY\r\na2 LOGOUT\r\n' '^a2 OK' imap
}

# expect STATUS COMMAND...: the exit status must be that one.
expect() {
  local wanted=$1 status=0
  shift
  timeout "$LIMIT" "$@" </dev/null >"$work/out" 2>&1 || status=$?
  [ "$status" -eq "$wanted" ] || {
    say "exit status $status instead of $wanted of $*: $(tail -n 2 "$work/out" | tr '\n' ' ')"
    return 1
  }
}

# 2: TCP; 3: the peer's alert; 4: the certificate; 5: no STARTTLS where there is none.
exit_status() {
  local result=0 listen pid
  expect 2 "$SLUICE" connect "localhost:$(free_port)" || result=1
  listen=$(free_port)
  openssl s_server -accept "$listen" -quiet -cert "$work/rsa.pem" -key "$work/rsa.key" -tls1_2 \
    >"$work/server.out" 2>&1 &
  pid=$!
  pids+=("$pid")
  await_listen "$listen" "$pid" || return 1
  expect 3 "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" --tls1.3 || result=1
  expect 4 "$SLUICE" connect "localhost:$listen" --cacert "$work/other.pem" || result=1
  expect 4 "$SLUICE" connect "localhost:$listen" --cacert "$work/ca.pem" --servername example.org ||
    result=1
  stop "$pid"
  return "$result"
}

prepare
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=another CA" \
  -keyout "$work/other.key" -out "$work/other.pem" 2>>"$work/certificates.log"
ktap_plan 3
# test: STARTTLS with an SMTP server
attempt "STARTTLS with an SMTP server" smtp
# test: STARTTLS with an IMAP server
dovecot=$(dovecot --version 2>/dev/null | sed 's/[ -].*//') || true
if [[ $dovecot == 2.[4-9]* ]]; then
  attempt "STARTTLS with an IMAP server" imap
else
  skip "STARTTLS with an IMAP server" "no dovecot 2.4; its package would start a service, so only guests have it"
fi
# test: the exit status tells TCP, alert and certificate apart
attempt "the exit status tells TCP, alert and certificate apart" exit_status
exit "$ktap_failed"
