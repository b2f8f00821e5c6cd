#!/usr/bin/env python3
"""Sets up N calls in rtpengine over its ng protocol, RTP on one side and SRTP on the other, and writes the stream file
that rtpgen reads.   rtpengine_calls.py N FILE HOST:PORT"""

import base64
import os
import socket
import sys
import time

A, B, FIRST_PORT = "127.0.1.1", "127.0.1.2", 10000


def encode(value):
    if isinstance(value, str):
        return f"{len(value)}:{value}"
    if isinstance(value, list):
        return "l" + "".join(map(encode, value)) + "e"
    return "d" + "".join(encode(key) + encode(value[key]) for key in sorted(value)) + "e"


def decode(text, at=0):
    kind = text[at:at + 1]
    if kind == b"d":
        result, at = {}, at + 1
        while text[at:at + 1] != b"e":
            key, at = decode(text, at)
            result[key], at = decode(text, at)
        return result, at + 1
    if kind == b"l":
        result, at = [], at + 1
        while text[at:at + 1] != b"e":
            value, at = decode(text, at)
            result.append(value)
        return result, at + 1
    if kind == b"i":
        end = text.index(b"e", at)
        return int(text[at + 1:end]), end + 1
    colon = text.index(b":", at)
    end = colon + 1 + int(text[at:colon])
    return text[colon + 1:end].decode(), end


class Engine:
    def __init__(self, address):
        host, port = address.rsplit(":", 1)
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect((host, int(port)))
        self.socket.settimeout(1)
        self.cookie = 0

    def ask(self, **values):
        self.cookie += 1
        cookie = f"{os.getpid()}_{self.cookie}"
        request = f"{cookie} " + encode({key.replace("_", "-"): value for key, value in values.items()})
        for _ in range(10):
            try:
                self.socket.send(request.encode())
                while True:
                    got, reply = self.socket.recv(65535).split(b" ", 1)
                    if got.decode() == cookie:
                        reply = decode(reply)[0]
                        if reply["result"] != "ok":
                            sys.exit(f"rtpengine: {reply}")
                        return reply
            except OSError:
                # It is still starting.
                time.sleep(0.3)
        sys.exit("rtpengine does not answer")


def description(address, port, crypto=None):
    lines = [
        "v=0", f"o=- 1 1 IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0",
        f"m=audio {port} RTP/{'SAVP' if crypto else 'AVP'} 0", "a=rtpmap:0 PCMU/8000", *([crypto] if crypto else []),
        "a=sendrecv", "",
    ]
    return "\r\n".join(lines)


def read(text):
    """Where the description says that media goes; tag and key of the suite that rtpgen knows."""
    lines = text.splitlines()
    host = next(line.split()[-1] for line in lines if line.startswith("c="))
    port = next(line.split()[1] for line in lines if line.startswith("m=audio"))
    crypto = [line for line in lines if line.startswith("a=crypto") and "AES_CM_128_HMAC_SHA1_80" in line]
    tag = crypto[-1].split(":")[1].split()[0] if crypto else None
    key = crypto[-1].split("inline:")[1].split("|")[0].split()[0] if crypto else None
    return f"{host}:{port}", tag, key


def main():
    count, path, engine = int(sys.argv[1]), sys.argv[2], Engine(sys.argv[3])
    with open(path, "w") as file:
        for call in range(count):
            port = FIRST_PORT + 2 * call
            common = {"call_id": f"call{call}", "from_tag": "a", "replace": ["origin", "session-connection"]}
            offer = engine.ask(
                command="offer", sdp=description(A, port), ICE="remove", DTLS="off", transport_protocol="RTP/SAVP",
                SDES=["only-AES_CM_128_HMAC_SHA1_80"], **common,
            )
            relay_b, tag, receives = read(offer["sdp"])
            sends = base64.b64encode(os.urandom(30)).decode()
            # The answer has to repeat the tag of the chosen line.
            crypto = f"a=crypto:{tag} AES_CM_128_HMAC_SHA1_80 inline:{sends}"
            answer = engine.ask(command="answer", to_tag="b", sdp=description(B, port, crypto), **common)
            relay_a, _, _ = read(answer["sdp"])
            file.write(f"{A}:{port} {B}:{port} {relay_a} {relay_b} - - {sends} {receives}\n")


main()
