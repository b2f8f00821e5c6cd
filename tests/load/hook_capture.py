#!/usr/bin/env python3
"""From a hook's answer to the INVITEs of its dial, by the kernel's receive stamps of one capture socket on the loopback.

  hook_capture.py HOOK_PORT

An answer of tests/load/hook_server.py holds the numbers of its three targets; their last six digits are the call. One JSON
line at the end, microseconds."""

import json
import re
import signal
import socket
import struct
import sys

from receive_stamps import SO_TIMESTAMPNS, stamp

ETH_P_IP = 0x0800
SOL_PACKET, PACKET_STATISTICS, PACKET_IGNORE_OUTGOING = 263, 6, 23
SO_RCVBUFFORCE = 33
ANSWER = re.compile(rb'"number": ?"\+1555[234](\d{6})"')
INVITE = re.compile(rb"INVITE sip:\+1555([234])(\d{6})@")


def main(hook_port):
    capture = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP))
    capture.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    capture.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
    capture.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    capture.bind(("lo", ETH_P_IP))
    capture.settimeout(0.2)
    going = [True]
    signal.signal(signal.SIGTERM, lambda *_: going.clear())
    print("ready", flush=True)
    answered, invited = {}, {}
    while going:
        try:
            packet, ancillary, _, _ = capture.recvmsg(65536, 64)
        except TimeoutError:
            continue
        # TCP or UDP behind the IP header, whose length is in its first byte.
        begin = 4 * (packet[0] & 15)
        source, destination = struct.unpack_from("!HH", packet, begin)
        if packet[9] == 6 and source == hook_port:
            found = ANSWER.search(packet, begin)
            if found:
                answered.setdefault(found[1], stamp(ancillary))
        elif packet[9] == 17 and destination == 5060:
            found = INVITE.match(packet, begin + 8)
            # The first of each target: later ones are repetitions.
            if found:
                invited.setdefault(found[2], {}).setdefault(found[1], stamp(ancillary))
    _, lost = struct.unpack("II", capture.getsockopt(SOL_PACKET, PACKET_STATISTICS, 8))
    first, last = [], []
    for call, began in answered.items():
        times = [(at - began) / 1000 for at in invited.get(call, {}).values()]
        if len(times) == 3:
            first.append(min(times))
            last.append(max(times))
    print(json.dumps({
        "answers": len(answered), "calls_with_three_invites": len(first), "packets_lost": lost,
        "first_invite_us": spread(first), "last_invite_us": spread(last),
    }), flush=True)


def spread(values):
    values = sorted(values)
    if not values:
        return None
    at = lambda share: round(values[min(len(values) - 1, int(share * len(values)))])
    return {"p50": at(0.5), "p99": at(0.99), "max": round(values[-1])}


main(int(sys.argv[1]))
