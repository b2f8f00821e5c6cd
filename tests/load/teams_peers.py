#!/usr/bin/env python3
"""Peers of tests/load/teams, each a process in the lab's namespace that prints JSON lines; times are nanoseconds of the kernel's
monotonic clock, which all processes of a machine share.

  teams_peers.py hub ADDRESS CERTIFICATE KEY ROOTS STATUS    a hub that answers OPTIONS with 200 and INVITE with STATUS (0: not at all)
  teams_peers.py carrier ADDRESS SBC HUB                     places the calls that lines on standard input ask for
"""

import json
import math
import re
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.request

from receive_stamps import SO_TIMESTAMPNS, stamp

ETH_P_IP, SOL_PACKET, PACKET_IGNORE_OUTGOING = 0x0800, 263, 23
CRLF = "\r\n"


def tell(**fields):
    print(json.dumps(fields), flush=True)


def header(text, name):
    found = re.search(rf"(?mi)^{name}\s*:\s*(.*?)\r?$", text)
    return found[1] if found else ""


# ---- A hub --------------------------------------------------------------------------------------------------------


def hub(address, certificate, key, roots, status):
    """TLS with certificates of both sides; says each request with its time."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=roots)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    listener = socket.create_server((address, 5061), backlog=64)
    tell(ready=True)
    while True:
        plain, _ = listener.accept()
        threading.Thread(target=serve, args=(context, plain, int(status)), daemon=True).start()


def serve(context, plain, status):
    try:
        with context.wrap_socket(plain, server_side=True) as peer:
            waiting = b""
            while True:
                got = peer.recv(65536)
                at = time.monotonic_ns()
                if not got:
                    return
                # Keep-alives are empty lines.
                waiting = (waiting + got).lstrip(b"\r\n")
                while b"\r\n\r\n" in waiting:
                    head, rest = waiting.split(b"\r\n\r\n", 1)
                    text = head.decode(errors="replace") + CRLF
                    length = int(header(text, "Content-Length") or 0)
                    if len(rest) < length:
                        break
                    waiting = rest[length:].lstrip(b"\r\n")
                    handle(peer, text, status, at)
    except (OSError, ssl.SSLError):
        return


def handle(peer, text, status, at):
    method, uri = text.split(" ", 2)[:2]
    if method.startswith("SIP/"):
        return
    number = re.match(r"sips?:([^@;>]*)@", uri)
    tell(at=at, method=method, number=number[1] if number else "", contact=header(text, "Contact"))
    if method == "OPTIONS":
        reply(peer, text, 200)
    elif method == "INVITE" and status:
        reply(peer, text, status)


def reply(peer, text, status):
    vias = re.findall(r"(?mi)^Via\s*:.*?(?=\r?$)", text)
    to = header(text, "To")
    if "tag=" not in to:
        to += ";tag=hub"
    lines = [
        f"SIP/2.0 {status} Status", *vias, f"From: {header(text, 'From')}", f"To: {to}", f"Call-ID: {header(text, 'Call-ID')}",
        f"CSeq: {header(text, 'CSeq')}", "Allow: INVITE,ACK,OPTIONS,CANCEL,BYE,NOTIFY", "Content-Length: 0", "", "",
    ]
    peer.sendall(CRLF.join(lines).encode())


# ---- A carrier ----------------------------------------------------------------------------------------------------


class Carrier:
    def __init__(self, address, sbc, hub):
        self.address, self.sbc, self.hub = address, sbc, hub
        self.sip = bound(address, 5060)
        self.rtp = bound(address, 20000)
        self.capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
        self.capture.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        self.capture.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.capture.bind(("lo", ETH_P_IP))
        # What the kernel stamps with is the clock of the day.
        self.offset = time.clock_gettime_ns(time.CLOCK_REALTIME) - time.monotonic_ns()
        self.count = 0

    def request(self, method, number, more="", body="", to="", sequence=1, target=None):
        kind = f"Content-Type: application/sdp{CRLF}" if body else ""
        return (
            f"{method} {target or f'sip:{number}@{self.sbc}'} SIP/2.0{CRLF}"
            f"Via: SIP/2.0/UDP {self.address}:5060;branch=z9hG4bKt{self.count}{method if method == 'BYE' else ''}{CRLF}"
            f"From: <sip:+15550002222@{self.address}>;tag=t{self.count}{CRLF}To: {to or f'<sip:{number}@{self.sbc}>'}{CRLF}"
            f"Call-ID: t{self.count}@{self.address}{CRLF}CSeq: {sequence} {method}{CRLF}"
            f"Contact: <sip:+15550002222@{self.address}:5060>{CRLF}Max-Forwards: 70{CRLF}{more}{kind}"
            f"Content-Length: {len(body)}{CRLF}{CRLF}{body}"
        ).encode()

    def invite(self, number):
        """Sent, and answered with a final response: (when sent, the response)."""
        self.count += 1
        body = CRLF.join([
            "v=0", f"o=- {self.count} 1 IN IP4 {self.address}", "s=-", f"c=IN IP4 {self.address}", "t=0 0", "m=audio 20000 RTP/AVP 8",
            "a=rtpmap:8 PCMA/8000", "a=ptime:20", "a=sendrecv", "",
        ])
        sent = time.monotonic_ns()
        self.sip.sendto(self.request("INVITE", number, body=body), (self.sbc, 5060))
        answer = self.final("INVITE")
        # Of a refusal the ACK belongs to the INVITE's transaction, else it is one of its own.
        ack = self.request("ACK", number, to=header(answer, "To"), target=self.target(answer))
        self.sip.sendto(ack, (self.sbc, 5060))
        return sent, answer

    def target(self, answer):
        contact = re.search(r"sips?:[^>\s]*", header(answer, "Contact")) if answer.startswith("SIP/2.0 200") else None
        return contact[0] if contact else None

    def final(self, method, seconds=30):
        self.sip.settimeout(seconds)
        while True:
            text = self.sip.recv(65536).decode(errors="replace")
            if text.startswith("SIP/2.0 ") and not text.startswith("SIP/2.0 1") and f"Call-ID: t{self.count}@" in text:
                if header(text, "CSeq").endswith(method):
                    return text

    def failover(self, number):
        sent, answer = self.invite(number)
        tell(number=number, sent=sent, status=int(answer[8:11]))

    def transfer(self, number, old, new):
        """A call that its hub transfers: from the REFER to the first packet with the new party's tone."""
        for each in (self.rtp, self.capture):
            drain(each)
        sent, answer = self.invite(number)
        if not answer.startswith("SIP/2.0 200"):
            return tell(number=number, status=int(answer[8:11]))
        answered = time.monotonic_ns()
        heard_old, first_new, packets = None, None, 0
        self.rtp.settimeout(10)
        try:
            while first_new is None:
                packet, ancillary, _, _ = self.rtp.recvmsg(2048, 64)
                tone = which(packet[12:172], old, new)
                packets += 1
                if tone == old:
                    heard_old = True
                elif tone == new:
                    first_new = stamp(ancillary) - self.offset
        except TimeoutError:
            pass
        # When the REFER came: to a millisecond by the ladder of the call, and exactly by the segment on the wire.
        about = self.referred(sent)
        exact = self.segment(answered, about) if about else None
        to = header(answer, "To")
        self.sip.sendto(self.request("BYE", number, to=to, sequence=2, target=self.target(answer)), (self.sbc, 5060))
        bye = self.final("BYE")
        tell(
            number=number, status=200, heard_old=heard_old, referred=exact, by_ladder=about, heard_new=first_new, packets=packets,
            ended=int(bye[8:11]),
        )

    def referred(self, sent):
        """By the only live call's ladder."""
        calls = self.admin("/v1/calls")["calls"]
        if len(calls) != 1:
            return None
        ladder = self.admin(f"/v1/ladders/{calls[0]['id']}")["ladder"]
        refers = [line for line in ladder if line.get("method") == "REFER" and line.get("status") is None]
        return sent + 1_000_000 * refers[0]["after_ms"] if refers else None

    def admin(self, path, method="GET"):
        request = urllib.request.Request(f"http://{self.sbc}:8080{path}", method=method)
        with urllib.request.urlopen(request, timeout=5) as answer:
            return json.load(answer)

    def segment(self, since, about):
        """The first segment with TLS data that the hub sent to the SBC's port about then: it sends nothing else for a while before,
        and BYE right after."""
        self.capture.settimeout(0)
        try:
            while True:
                packet, ancillary, _, _ = self.capture.recvmsg(65536, 64)
                begin = 4 * (packet[0] & 15)
                if packet[9] != 6 or socket.inet_ntoa(packet[12:16]) != self.hub:
                    continue
                port = struct.unpack_from("!H", packet, begin + 2)[0]
                data = begin + 4 * (packet[begin + 12] >> 4)
                at = stamp(ancillary) - self.offset
                # 23: application data (RFC 8446 section 5.1).
                if port == 5061 and packet[data : data + 1] == b"\x17" and max(since, about - 5_000_000) < at < about + 100_000_000:
                    return at
        except BlockingIOError:
            return None


def bound(address, port):
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    made.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    made.bind((address, port))
    return made


def drain(which_one):
    which_one.settimeout(0)
    try:
        while True:
            which_one.recv(65536)
    except BlockingIOError:
        return


def linear(byte):
    """G.711 A-law."""
    byte ^= 0x55
    segment, value = (byte >> 4) & 7, (byte & 15) << 4
    value = value + 8 if segment == 0 else (value + 0x108) << (segment - 1)
    return value if byte & 0x80 else -value


LINEAR = [linear(byte) for byte in range(256)]


def which(payload, *tones):
    """The tone that has more than half of a packet's power, if one has."""
    samples = [LINEAR[byte] for byte in payload]
    energy = sum(sample * sample for sample in samples)
    for hertz in tones:
        coefficient, last, before = 2 * math.cos(2 * math.pi * hertz / 8000), 0.0, 0.0
        for sample in samples:
            last, before = sample + coefficient * last - before, last
        if energy and 2 * (last * last + before * before - coefficient * last * before) > 0.5 * len(samples) * energy:
            return hertz
    return None


def carrier(address, sbc, hub):
    made = Carrier(address, sbc, hub)
    tell(ready=True)
    for line in sys.stdin:
        what, *given = line.split()
        if what == "call":
            made.failover(*given)
        elif what == "ladders":
            made.admin("/v1/ladders?on=true", "PUT")
            tell(on=True)
        else:
            made.transfer(given[0], int(given[1]), int(given[2]))


{"hub": hub, "carrier": carrier}[sys.argv[1]](*sys.argv[2:])
