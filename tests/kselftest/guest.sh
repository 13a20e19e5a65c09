#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
# Proves the machine before it judges us: that what the other tests need from the kernel is there.
# shellcheck disable=SC2317 # the functions are called by ktap_test
set -u
# shellcheck source=tests/kselftest/ktap.sh
. "$(dirname "$0")/ktap.sh"


has_ulp() {
  modprobe tls 2>/dev/null || true
  grep -qw tls /proc/sys/net/ipv4/tcp_available_ulp
}

# An AEAD, by the kernel's socket interface to its crypto.
has_aead() {
  python3 - "$1" <<'END'
import socket, sys
s = socket.socket(socket.AF_ALG, socket.SOCK_SEQPACKET)
s.bind(("aead", sys.argv[1]))
END
}

has_io_uring() {
  [ "$(cat /proc/sys/kernel/io_uring_disabled 2>/dev/null || echo 0)" = 0 ] &&
    grep -q io_uring /proc/kallsyms
}

answers() {
  python3 - "$1" "$2" <<'END'
import socket, sys
family = getattr(socket, sys.argv[1])
server = socket.create_server((sys.argv[2], 0), family=family)
client = socket.create_connection(server.getsockname()[:2], 5)
END
}

has_tcp_diag() {
  modprobe tcp_diag 2>/dev/null || true
  ss -tlnie >/dev/null
}

# test: the tls upper layer protocol is there
# test: gcm(aes) is there
# test: rfc7539(chacha20,poly1305) is there
# test: io_uring is there
# test: IPv4 loopback works
# test: IPv6 loopback works
# test: TLS counters can be read
# test: ss can ask for sockets
ktap_plan 8
ktap_test "the tls upper layer protocol is there" has_ulp
ktap_test "gcm(aes) is there" has_aead 'gcm(aes)'
ktap_test "rfc7539(chacha20,poly1305) is there" has_aead 'rfc7539(chacha20,poly1305)'
ktap_test "io_uring is there" has_io_uring
ktap_test "IPv4 loopback works" answers AF_INET 127.0.0.1
ktap_test "IPv6 loopback works" answers AF_INET6 ::1
ktap_test "TLS counters can be read" test -r /proc/net/tls_stat
ktap_test "ss can ask for sockets" has_tcp_diag
ktap_end
