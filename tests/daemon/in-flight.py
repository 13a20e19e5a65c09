#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# As the user that a relay becomes: descriptors that were sent and not received, until it is ended.
# Usage: in-flight.py COUNT
import os, pwd, signal, socket, sys

AT_ONCE = 20  # descriptors of a message

if os.getuid() == 0:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setgid(nobody.pw_gid)
    os.setuid(nobody.pw_uid)
pairs = []
for _ in range(int(sys.argv[1]) // AT_ONCE):
    pairs.append(socket.socketpair())
    socket.send_fds(pairs[-1][0], [b"x"], [0] * AT_ONCE)
print("in flight", flush=True)
signal.pause()
