"""Places calls through the system under test, answers them itself, holds them until its stdin closes, and writes the media
addresses of each as a line for rtpgen. Plain RTP on both sides.

  held_calls.py SYSTEM CALLER CALLEE NUMBER CALLS STREAMS.txt
"""

import re
import select
import socket
import sys
import time

SYSTEM, CALLER, CALLEE, NUMBER, CALLS, STREAMS = sys.argv[1:]
FIRST_PORT, PATIENCE = 20000, 20


def endpoint(address, port):
    """A socket, and the text of its own address."""
    own = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    own.bind((address, port))
    return own, "%s:%d" % own.getsockname()


def description(address, port):
    lines = [
        "v=0", f"o=load 1 1 IN IP4 {address}", "s=-", f"c=IN IP4 {address}", "t=0 0", f"m=audio {port} RTP/AVP 0",
        "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=sendrecv",
    ]
    return "\r\n".join(lines) + "\r\n"


def header(message, name):
    return re.search(rf"^{name}: *(.*)\r$", message, re.M | re.I).group(1)


def media_address(message):
    address = re.search(r"^c=IN IP4 (\S+)", message, re.M).group(1)
    port = re.search(r"^m=audio (\d+)", message, re.M).group(1)
    return f"{address}:{port}"


def message(start, headers, body=""):
    if body:
        headers.append("Content-Type: application/sdp")
    return "\r\n".join([start, *headers, f"Content-Length: {len(body)}", "", body]).encode()


def place(own, here, number):
    """One INVITE. Its media port follows from its number."""
    own.sendto(message(f"INVITE sip:{NUMBER}@{SYSTEM} SIP/2.0", [
        f"Via: SIP/2.0/UDP {here};branch=z9hG4bKheld{number};rport", f"From: <sip:+15550002222@{CALLER}>;tag=held{number}",
        f"To: <sip:{NUMBER}@{SYSTEM}>", f"Call-ID: held{number}", "CSeq: 1 INVITE", "Max-Forwards: 70",
        f"Contact: <sip:load@{here}>",
    ], description(CALLER, FIRST_PORT + 2 * number)), (SYSTEM, 5060))


def acknowledge(own, here, answer):
    contact = header(answer, "Contact").strip("<>")
    number = header(answer, "Call-ID").removeprefix("held")
    own.sendto(message(f"ACK {contact.split('>')[0]} SIP/2.0", [
        f"Via: SIP/2.0/UDP {here};branch=z9hG4bKack{number};rport", f"From: {header(answer, 'From')}",
        f"To: {header(answer, 'To')}", f"Call-ID: held{number}", "CSeq: 1 ACK", "Max-Forwards: 70",
    ]), (SYSTEM, 5060))


def answer(own, here, invite, peer, port):
    vias = [f"Via: {via}" for via in re.findall(r"^Via: *(.*)\r$", invite, re.M | re.I)]
    own.sendto(message("SIP/2.0 200 OK", [
        *vias, f"From: {header(invite, 'From')}", f"To: {header(invite, 'To')};tag={port}",
        f"Call-ID: {header(invite, 'Call-ID')}", f"CSeq: {header(invite, 'CSeq')}", f"Contact: <sip:load@{here}>",
    ], description(CALLEE, port)), peer)


def hold():
    caller, caller_here = endpoint(CALLER, 5070)
    callee, callee_here = endpoint(CALLEE, 5060)
    with open(STREAMS, "w") as streams:
        for number in range(int(CALLS)):
            place(caller, caller_here, number)
            far_port, toward_callee = FIRST_PORT + 2 * number, None
            until = time.monotonic() + PATIENCE
            while True:
                ready, _, _ = select.select([caller, callee], [], [], max(0, until - time.monotonic()))
                if not ready:
                    sys.exit(f"call {number} was not answered")
                received, peer = ready[0].recvfrom(65535)
                received = received.decode()
                if received.startswith("INVITE"):
                    toward_callee = media_address(received)
                    answer(callee, callee_here, received, peer, far_port)
                elif received.startswith("SIP/2.0 200") and header(received, "Call-ID") == f"held{number}":
                    acknowledge(caller, caller_here, received)
                    near, far = f"{CALLER}:{far_port}", f"{CALLEE}:{far_port}"
                    streams.write(f"{near} {far} {media_address(received)} {toward_callee}\n")
                    break
                elif not received.startswith(("SIP/2.0 1", "SIP/2.0 200", "ACK")):
                    sys.exit(f"call {number}: {received.splitlines()[0]}")
    print("held", flush=True)
    sys.stdin.read()


hold()
