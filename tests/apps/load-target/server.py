"""A web app without any dependency that answers quick and slow requests, Server-Sent Events and WebSockets.

On SIGTERM it does what the field expects of an app: it tells open WebSockets that it goes away (1001), ends its event
streams, and exits. Requests that are being answered are not its business: the platform has drained them before.
"""

import asyncio
import base64
import contextlib
import hashlib
import os
import signal

VERSION = os.environ.get("APP_VERSION", "one")
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
streams: set[asyncio.Task] = set()


async def handle(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            request, *lines = head.decode("latin-1").split("\r\n")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines if line)}
            path = request.split(" ")[1]
            if path == "/ws":
                await stream(websocket(reader, writer, headers))
                return
            if path == "/events":
                await stream(events(writer))
                return
            if path.startswith("/slow/"):
                await asyncio.sleep(float(path.removeprefix("/slow/")))
            body = f"{VERSION} {os.environ.get('DYNO')} {os.environ.get('SKYPANEL_RELEASE')}\n".encode()
            writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def stream(work):
    task = asyncio.create_task(work)
    streams.add(task)
    with contextlib.suppress(asyncio.CancelledError):
        await task
    streams.discard(task)


async def events(writer):
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    number = 0
    try:
        while True:
            event = b"id: %d\ndata: tick\n\n" % number
            writer.write(b"%x\r\n%s\r\n" % (len(event), event))
            await writer.drain()
            number += 1
            await asyncio.sleep(0.1)
    except asyncio.CancelledError:
        writer.write(b"0\r\n\r\n")
        await writer.drain()


async def websocket(reader, writer, headers):
    accept = base64.b64encode(hashlib.sha1(headers["sec-websocket-key"].encode() + GUID).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    try:
        while True:
            opcode, length = await reader.readexactly(2)
            mask = await reader.readexactly(4)
            data = bytes(c ^ mask[i % 4] for i, c in enumerate(await reader.readexactly(length & 0x7F)))
            if opcode & 0xF == 8:
                return
            writer.write(bytes([opcode, len(data)]) + data)
            await writer.drain()
    except asyncio.CancelledError:
        writer.write(b"\x88\x02" + (1001).to_bytes(2, "big"))
        await writer.drain()


async def main():
    server = await asyncio.start_server(handle, "0.0.0.0", int(os.environ["PORT"]))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print("listening", flush=True)
    await stop.wait()
    server.close()
    for task in list(streams):
        task.cancel()
    await asyncio.sleep(0.2)


asyncio.run(main())
