#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A decision service of sluiced: says of each peer whose certificate is valid whether it may connect.

    decide.py /run/sluice/decide.sock /etc/sluice/peers

The second file has a line for each peer: the SHA-256 of its key in hex, who it is, and if anything its
attributes in one word. A profile asks with `verify_socket: {path: /run/sluice/decide.sock}`.

docs/protocol.md describes questions and answers: a line of JSON each. This service answers at once; one
that has to ask others may answer in any order, as the number of the question says which one is meant. A
peer is refused where there is no answer in time, so nothing here has to be said about failures.
"""
import json
import os
import socketserver
import sys


def read_peers(path):
    """Returns the peers by their keys. Read for each question, so that changes count at once."""
    with open(path) as file:
        rows = [line.split() for line in file if line.strip() and not line.startswith("#")]
    return {row[0].lower(): row[1:] for row in rows if len(row) > 1}


def decide(question, peers):
    """Returns the answer: everything about the peer is in question["tls"]."""
    tls = question["tls"]
    answer = {"question": question["question"], "answer": "refuse"}
    peer = peers.get(tls["key_sha256"])
    if tls["reasons"]:  # what is wrong with it; only where ask_on has it
        answer["reason"] = "not with " + ", ".join(tls["reasons"])
    elif peer is None:
        answer["reason"] = "nobody knows this key"
    else:
        answer["answer"] = "accept"
        answer["identity"] = peer[0]  # takes the place of the certificate's; workers get it
        answer["attributes"] = " ".join(peer[1:])
    return answer


class Daemon(socketserver.StreamRequestHandler):
    """A connection of the broker, which keeps one and connects again when it ends."""

    def handle(self):
        for line in self.rfile:
            answer = decide(json.loads(line), read_peers(self.server.peers))
            self.wfile.write(json.dumps(answer).encode() + b"\n")


class Service(socketserver.ThreadingUnixStreamServer):
    daemon_threads = True


def main():
    path, peers = sys.argv[1:]
    if os.path.exists(path):
        os.unlink(path)
    umask = os.umask(0o077)  # whoever can put a socket here decides
    with Service(path, Daemon) as service:
        os.umask(umask)
        service.peers = peers
        service.serve_forever()


main()
