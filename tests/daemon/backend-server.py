#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# A server without TLS, for sluice-relay to connect to.
# Usage: backend-server.py PORT|unix:PATH MODE LOG [ADDRESS]
#   echo    what comes goes back
#   count   reads to the end, then tells how many bytes came
#   first   ends its direction at once, with a word, and then counts into the log
#   reset   sends 100000 bytes and resets
#   flood   20 MB
#   burst   5 MB, then resets
#   full    accepts nobody, and has no room for more
#   http    answers each request with its port; the status is 200, or what LOG.status has; tells the request's lines
#   proxy   a PROXY header, told in the log as JSON, then as echo
import asyncio, json, socket, struct, sys

where, mode, log = sys.argv[1:4]
address = sys.argv[4] if len(sys.argv) > 4 else "127.0.0.1"


def tell(text):
    with open(log, "a") as file:
        print(text, file=file)


def printable(value):
    if isinstance(value, (bytes, bytearray)):
        return value.decode("latin-1")
    return value if isinstance(value, (int, bool, type(None))) else str(value)


async def read_header(reader, writer):
    """The header by the parser of aiosmtpd, which takes no byte behind it."""
    from aiosmtpd.proxy_protocol import get_proxy

    data = await get_proxy(reader)
    tlvs = {}
    try:
        tlvs = {name: printable(value) for name, value in (data.tlv or {}).items()}
    except Exception as error:
        tlvs = {"error": repr(error)}
    tell(json.dumps({"valid": data.valid, "error": data.error, "version": data.version,
                     "command": printable(data.command), "src": str(data.src_addr), "dst": str(data.dst_addr),
                     "src_port": data.src_port, "dst_port": data.dst_port, "tlvs": tlvs}))


async def count(reader):
    n = 0
    try:
        while data := await reader.read(65536):
            n += len(data)
    except ConnectionResetError:
        return f"reset after {n}"
    return f"ended after {n}"


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


async def answer_http(reader, writer):
    head = await reader.readuntil(b"\r\n\r\n")
    tell(head.decode("latin-1").replace("\r\n", "|"))
    try:
        status = open(log + ".status").read().strip()
    except FileNotFoundError:
        status = "200"
    body = where.encode()
    writer.write(b"HTTP/1.1 %s x\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
                 % (status.encode(), len(body), body))


async def serve(reader, writer):
    tell("accepted")
    try:
        if mode == "burst":
            for _ in range(50):
                writer.write(b"x" * 100000)
                await writer.drain()
            await asyncio.sleep(0.3) # what is in the sockets goes
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        if mode == "count":
            said = await count(reader)
            tell(said)
            writer.write(said.encode())
        elif mode == "first":
            writer.write(b"hello\n")
            writer.write_eof()
            tell(await count(reader))
        elif mode == "reset":
            writer.write(b"x" * 100000)
            await writer.drain()
            await reader.read(1)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            return
        elif mode == "flood":
            for _ in range(200):
                writer.write(b"x" * 100000)
                await writer.drain()
                tell("sent")
        elif mode == "http":
            await answer_http(reader, writer)
        else:
            if mode == "proxy":
                await read_header(reader, writer)
            await echo(reader, writer)
        await writer.drain()
    except (ConnectionError, OSError, asyncio.IncompleteReadError) as error:
        tell(f"failed: {error!r}")
    finally:
        writer.close()


async def main():
    if where.startswith("unix:"):
        server = await asyncio.start_unix_server(serve, where[5:])
    else:
        server = await asyncio.start_server(serve, address, int(where), backlog=1000)
    tell("listening")
    await server.serve_forever()


if mode == "full":
    listener = socket.create_server(("127.0.0.1", int(where)), backlog=0)
    fill = []
    for _ in range(4):
        s = socket.socket()
        s.setblocking(False)
        s.connect_ex(("127.0.0.1", int(where)))
        fill.append(s)
    tell("listening")
    while True:
        asyncio.run(asyncio.sleep(3600))
asyncio.run(main())
