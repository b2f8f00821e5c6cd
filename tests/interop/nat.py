#!/usr/bin/env python3
"""Calls through NAT, in network namespaces that the test makes and removes:

    sbc 10.77.0.2 -- nat (1:1, 198.18.0.1) -- world: Teams 198.18.0.3, names .9, carrier .16 -- far nat (198.18.1.20) -- far 192.168.77.2
"""

import ctypes
import os
import re
import socket
import subprocess
from contextlib import contextmanager

from _lab import BASE, TAKEN_BACK, Lab, Score, expect
from _pair import TENANT, Pair, line

PLACES = {place: f"pc{os.getpid()}{place}" for place in ("sbc", "nat", "peers", "farnat", "far")}
# Namespaces that are there.
MADE = []
LINKS = [
    # place, device, address, its peer likewise
    ("sbc", "s0", "10.77.0.2/24", "nat", "n0", "10.77.0.1/24"),
    ("nat", "n1", "198.18.0.1/24", "peers", "w0", "198.18.0.254/24"),
    ("peers", "w1", "198.18.1.254/24", "farnat", "f1", "198.18.1.20/24"),
    ("farnat", "f0", "192.168.77.1/24", "far", "h0", "192.168.77.2/24"),
]
ROUTES = [("sbc", "10.77.0.1"), ("nat", "198.18.0.254"), ("farnat", "198.18.1.254"), ("far", "192.168.77.1")]
CARRIERS = """
[[carriers]]
id = "north"
networks = ["NET.16/32"]
gateways = [{ host = "NET.16", port = 5060, transport = "udp" }]
options_interval = "0s"
[[carriers]]
id = "far"
networks = ["198.18.1.20/32"]
gateways = []
nat = true
"""
OUTSIDE, INSIDE, FAR = "198.18.0.1", "10.77.0.2", "192.168.77.2"


def run(*words):
    done = subprocess.run(words, capture_output=True, text=True)
    expect(done.returncode == 0, f"{' '.join(words)}: {done.stderr}")


def entering(place):
    """`ip netns exec` would remount the root, which a changed root that is no mount of its own refuses."""
    return ["nsenter", f"--net=/run/netns/{PLACES[place]}"]


def inside(place, *words):
    run(*entering(place), *words)


@contextmanager
def world():
    """The namespaces; removed whatever happens."""
    TAKEN_BACK.append(remove)
    try:
        for name in PLACES.values():
            run("ip", "netns", "add", name)
            MADE.append(name)
        for place in PLACES:
            inside(place, "ip", "link", "set", "lo", "up")
        for number, (one, device, address, other, peer, facing) in enumerate(LINKS):
            ends = f"pc{os.getpid()}a{number}"[:15], f"pc{os.getpid()}b{number}"[:15]
            run("ip", "link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
            for end, place, name, own in ((ends[0], one, device, address), (ends[1], other, peer, facing)):
                run("ip", "link", "set", end, "netns", PLACES[place])
                inside(place, "ip", "link", "set", end, "name", name)
                inside(place, "ip", "addr", "add", own, "dev", name)
                inside(place, "ip", "link", "set", name, "up")
        for last in (3, 9, 16):
            inside("peers", "ip", "addr", "add", f"198.18.0.{last}/24", "dev", "w0")
        for place, via in ROUTES:
            inside(place, "ip", "route", "add", "default", "via", via)
        for place in ("nat", "peers", "farnat"):
            inside(place, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        nat = ("iptables", "-w", "-t", "nat", "-A")
        inside("nat", *nat, "PREROUTING", "-i", "n1", "-d", OUTSIDE, "-j", "DNAT", "--to-destination", INSIDE)
        inside("nat", *nat, "POSTROUTING", "-o", "n1", "-s", INSIDE, "-j", "SNAT", "--to-source", OUTSIDE)
        # Ports are changed: what the far carrier says of itself is wrong in every part.
        inside("farnat", *nat, "POSTROUTING", "-o", "f1", "-p", "udp", "-j", "MASQUERADE", "--to-ports", "30000-40000", "--random")
        yield
    finally:
        remove()


def remove():
    while MADE:
        subprocess.run(["ip", "netns", "del", MADE.pop()], capture_output=True)


@contextmanager
def standing_in(place):
    """This thread's sockets are made in a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/thread-self/ns/net") as home, open(f"/run/netns/{PLACES[place]}") as there:
        expect(libc.setns(there.fileno(), 0) == 0, f"setns: {os.strerror(ctypes.get_errno())}")
        try:
            yield
        finally:
            libc.setns(home.fileno(), 0)


class NatLab(Lab):
    def free_network(self):
        with standing_in("peers"):
            names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            names.bind(("198.18.0.9", 53))
        return "198.18.0", names

    def within(self, place):
        return entering(place)

    def listens(self):
        with standing_in("peers"):
            return super().listens()


def lab():
    return NatLab("nat", carriers=CARRIERS, tenants={"contoso": TENANT}, bind=INSIDE)


def only_the_outside(text):
    expect(INSIDE not in text and "10.77." not in text, f"the inner address is shown:\n{text}")


def one_to_one():
    """Both peers outside: what they are told is the outside address, and media flows both ways."""
    with Pair("nat", lab=lab()) as pair:
        c, t = pair.from_carrier()
        invite = pair.teams.wait("incoming")["text"]
        only_the_outside(invite)
        expect(line(invite, "c=IN IP4") == OUTSIDE, invite)
        expect(re.search(rf"SIP/2.0/TLS ({re.escape(BASE)}|{re.escape(OUTSIDE)})", line(invite, "Via:")), line(invite, "Via:"))
        answer = pair.carrier.wait("message", call=c, line=lambda text: text.startswith("SIP/2.0 200"))["text"]
        only_the_outside(answer)
        expect(f"@{OUTSIDE}:5060" in line(answer, "Contact:"), line(answer, "Contact:"))
        expect(line(answer, "c=IN IP4") == OUTSIDE, answer)
        pair.hear(c, t)
        for phone, call in ((pair.carrier, c), (pair.teams, t)):
            source = phone.stats(call)["source"]
            expect(source.startswith(OUTSIDE + ":"), f"{phone.name} gets media from {source}")
        pair.end(pair.teams, t, pair.carrier, c)
        c, t = pair.from_teams()
        invite = pair.carrier.wait("incoming")["text"]
        only_the_outside(invite)
        expect(line(invite, "Via:").startswith(f"SIP/2.0/UDP {OUTSIDE}"), line(invite, "Via:"))
        expect(f"@{OUTSIDE}:5060" in line(invite, "Contact:"), line(invite, "Contact:"))
        pair.hear(c, t, label="back")
        pair.end(pair.carrier, c, pair.teams, t)


def carrier_behind_nat():
    """The carrier's Contact and SDP name an address that nobody can reach: media is followed once, requests go to the flow."""
    far = {"ip": FAR, "id": f"sip:+12065550100@{FAR}", "place": "far"}
    with Pair("farnat", lab=lab(), carrier=far) as pair:
        c, t = pair.from_carrier()
        pair.hear(c, t)
        for what in ("hold", "resume"):
            mark, at_teams = pair.carrier.mark(), pair.teams.mark()
            pair.teams.do(what, t)
            pair.carrier.wait("message", since=mark, call=c, line=lambda text: text.startswith("INVITE "))
            pair.teams.wait("message", since=at_teams, call=t, line=lambda text: text.startswith("SIP/2.0 200"))
        pair.hear(c, t, label="resumed")
        pair.end(pair.teams, t, pair.carrier, c)


score = Score()
try:
    with world():
        score.run("SBC behind 1:1 NAT", one_to_one)
        score.run("carrier behind NAT", carrier_behind_nat)
except Exception as error:
    score.run("network namespaces", lambda: expect(False, repr(error)))
score.close()
