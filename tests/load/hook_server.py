#!/usr/bin/env python3
"""An application for tests/load/dials: every request is answered after a fixed time, the first of a call with a dial of three.

  hook_server.py ADDRESS PORT MILLISECONDS

The number of the call stands in each of its targets, so that a capture can tell whose INVITE it sees. One JSON line at the
end: how many calls were answered, and how many requests in all."""

import asyncio
import json
import signal
import sys

ANSWERS, RINGS, RINGS_TOO = "+15554", "+15553", "+15552"


class Hook(asyncio.Protocol):
    calls = requests = 0
    delay = 0.005

    def connection_made(self, transport):
        self.transport, self.unread = transport, b""

    def data_received(self, data):
        self.unread += data
        while True:
            head, whole, rest = self.unread.partition(b"\r\n\r\n")
            length = content_length(head)
            if not whole or len(rest) < length:
                return
            self.unread = rest[length:]
            path = head.split(b" ", 2)[1]
            asyncio.get_running_loop().call_later(Hook.delay, self.answer, path)

    def answer(self, path):
        Hook.requests += 1
        verbs = []
        if path == b"/call":
            number = f"{Hook.calls:06}"
            Hook.calls += 1
            targets = [{"type": "phone", "number": prefix + number} for prefix in (RINGS, ANSWERS, RINGS_TOO)]
            verbs = [{"verb": "dial", "answerOnBridge": True, "actionHook": "/done", "target": targets}]
        body = json.dumps(verbs).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.transport.write(head.encode() + body)


def content_length(head):
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length":
            return int(value)
    return 0


async def main(address, port, milliseconds):
    Hook.delay = float(milliseconds) / 1000
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    server = await loop.create_server(Hook, address, int(port), backlog=1024)
    print("ready", flush=True)
    await stop.wait()
    server.close()
    print(json.dumps({"calls": Hook.calls, "requests": Hook.requests}), flush=True)


asyncio.run(main(*sys.argv[1:]))
