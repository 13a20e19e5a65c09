#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A decision service for tests: decider.py SOCKET MODE-FILE LOG. Logs each question, and answers as the
file says at that moment:

accept     with identity and attributes
refuse     with a reason
byname     accepts server names that begin with "good", refuses others
slow       accepts after a second
hang       does not answer, nor reads on, while it says so
bytes      accepts, one byte at a time
garbage    answers what is no JSON
empty      answers an empty line
unknown    answers with a key that no answer has
wrong      accepts another question
late       accepts the last question before this one; this one never
noise      accepts other questions, thousands of them
twice      accepts, then refuses
long       a line of 10 MB without an end
control    accepts, with a line's end in the identity
huge       accepts, with an identity of 256 bytes
close      ends the connection
"""
import json
import os
import socket
import sys
import threading
import time

PATH, MODE, LOG = sys.argv[1:4]
last = 0


def mode():
    with open(MODE) as file:
        return file.read().strip()


def line(question, answer="accept", **more):
    return json.dumps({"question": question, "answer": answer, **more}).encode() + b"\n"


def answer(conn, question, how):
    global last
    number, before = question["question"], last
    last = number
    if how == "accept":
        conn.sendall(line(number, identity="somebody else", attributes="role=admin"))
    elif how == "refuse":
        conn.sendall(line(number, "refuse", reason="not today"))
    elif how == "byname":
        good = question["tls"].get("server_name", "").startswith("good")
        conn.sendall(line(number, "accept" if good else "refuse"))
    elif how == "slow":
        time.sleep(1)
        conn.sendall(line(number))
    elif how == "hang":
        while mode() == "hang":
            time.sleep(0.02)
    elif how == "bytes":
        for byte in line(number):
            conn.sendall(bytes([byte]))
            time.sleep(0.002)
    elif how == "garbage":
        conn.sendall(b"\x00\xff{]\n")
    elif how == "empty":
        conn.sendall(b"\n")
    elif how == "unknown":
        conn.sendall(line(number, accepted=True))
    elif how == "wrong":
        conn.sendall(line(number + 1000000))
    elif how == "noise":
        conn.sendall(b"".join(line(number + 1000000 + i) for i in range(5000)))
    elif how == "late":
        conn.sendall(line(before))
    elif how == "twice":
        conn.sendall(line(number) + line(number, "refuse"))
    elif how == "long":
        conn.sendall(b'{"question":' + b"1" * 10000000)
    elif how == "control":
        conn.sendall(line(number, identity="a\nb"))
    elif how == "huge":
        conn.sendall(line(number, identity="a" * 256))
    elif how == "close":
        conn.close()
        raise EOFError
    else:
        sys.exit(f"no mode {how}")


def serve(conn):
    try:
        for text in conn.makefile("rb"):
            with open(LOG, "ab") as log:
                log.write(text)
            answer(conn, json.loads(text), mode())
    except (EOFError, OSError):
        pass


def main():
    if os.path.exists(PATH):
        os.unlink(PATH)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(PATH)
        listener.listen(16)
        print("ready", flush=True)
        while True:
            threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()


main()
