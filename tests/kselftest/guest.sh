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

# io_uring_setup(2) gives a ring: it may be compiled out, or forbidden by a sysctl.
has_io_uring() {
  python3 - <<'END'
import ctypes, os, sys
IO_URING_SETUP = 425
fd = ctypes.CDLL(None, use_errno=True).syscall(IO_URING_SETUP, 4, ctypes.create_string_buffer(120))
sys.exit(os.strerror(ctypes.get_errno()) if fd < 0 else 0)
END
}

# A byte comes back through a connection to the address itself.
answers() {
  python3 - "$1" "$2" <<'END'
import socket, sys
family = getattr(socket, sys.argv[1])
server = socket.create_server((sys.argv[2], 0), family=family)
client = socket.create_connection(server.getsockname()[:2], 5)
peer = server.accept()[0]
client.sendall(b"x")
peer.sendall(peer.recv(1))
sys.exit(client.recv(1) != b"x")
END
}

# A dump of TCP sockets by sock_diag(7). ss alone would not tell: without it, it reads /proc.
has_tcp_diag() {
  command -v ss || return 1
  python3 - <<'END'
import socket, struct, sys
NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, NLMSG_DONE = 4, 20, 0x301, 3
server = socket.create_server(("127.0.0.1", 0))
request = struct.pack("BBBxI48x", socket.AF_INET, socket.IPPROTO_TCP, 0, 0xffffffff)
header = struct.pack("IHHII", 16 + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 1, 0)
netlink = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG)
netlink.send(header + request)
kind = struct.unpack_from("H", netlink.recv(65536), 4)[0]
sys.exit(0 if kind == SOCK_DIAG_BY_FAMILY else f"a message of type {kind} where a socket was due")
END
}

# test: the tls upper layer protocol is there
# test: gcm(aes) is there
# test: ccm(aes) is there
# test: rfc7539(chacha20,poly1305) is there
# test: io_uring is there
# test: IPv4 loopback works
# test: IPv6 loopback works
# test: TLS counters can be read
# test: sock_diag lists TCP sockets
ktap_plan 9
ktap_test "the tls upper layer protocol is there" has_ulp
ktap_test "gcm(aes) is there" has_aead 'gcm(aes)'
ktap_test "ccm(aes) is there" has_aead 'ccm(aes)'
ktap_test "rfc7539(chacha20,poly1305) is there" has_aead 'rfc7539(chacha20,poly1305)'
ktap_test "io_uring is there" has_io_uring
ktap_test "IPv4 loopback works" answers AF_INET 127.0.0.1
ktap_test "IPv6 loopback works" answers AF_INET6 ::1
ktap_test "TLS counters can be read" grep -q '^TlsCurrTxSw' /proc/net/tls_stat
ktap_test "sock_diag lists TCP sockets" has_tcp_diag
ktap_end
