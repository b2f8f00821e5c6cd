#!/usr/bin/env python3
"""Phones that we did not write register and call: PJSIP over UDP, TCP, and TLS with SRTP. Sound is checked by content at
both ends."""

import re

from _lab import Score, expect, tone
from _office import REALM, Office


def from_a_carrier(transport):
    with Office("user-in") as lab:
        carrier = lab.carrier()
        alice = lab.device("alice", 20, 440, transport)
        incoming = lab.call(carrier, f"sip:+14255550150@{lab.sbc}:5060", alice)
        sender = re.search(r"^From: .*", incoming["text"], re.M)
        expect("+12065550100" in sender.group(), sender.group())
        lab.hear((carrier, "out"), (alice, incoming["call"]))
        lab.end(carrier, alice, incoming["call"])
        lab.stop()


def to_teams():
    with Office("user-teams") as lab:
        teams = lab.playing(lab.teams_phone(play=tone(lab.folder / "600.wav", 600)), 600)
        alice = lab.device("alice", 20, 440)
        incoming = lab.call(alice, f"sip:+14255550100@{REALM}", teams)
        expect("sip:+14255550150@" in incoming["text"], "Teams sees the user's number")
        lab.hear((alice, "out"), (teams, incoming["call"]))
        lab.end(alice, teams, incoming["call"])
        lab.stop()


def between_users():
    with Office("user-user") as lab:
        alice = lab.device("alice", 20, 440, "tcp")
        carol = lab.device("carol", 21, 800, "tls", srtp=True)
        incoming = lab.call(alice, f"sip:carol@{REALM}", carol)
        media = carol.wait("media", call=incoming["call"], srtp=True)
        expect(media["srtp"], "carol's media is encrypted")
        lab.hear((alice, "out"), (carol, incoming["call"]))
        lab.end(alice, carol, incoming["call"])
        lab.stop()


def two_devices():
    with Office("user-fork") as lab:
        carrier = lab.carrier()
        desk, mobile = lab.device("alice", 20, 440), lab.device("alice", 21, 800, "tcp")
        carrier.do("call", "out", to=f"sip:+14255550150@{lab.sbc}:5060")
        at_desk, at_mobile = desk.wait("incoming"), mobile.wait("incoming")
        mobile.do("answer", at_mobile["call"], code=200)
        carrier.wait("state", call="out", state="CONFIRMED")
        gone = desk.wait("state", call=at_desk["call"], state="DISCONNECTED")
        expect(gone["code"] == 487, f"the desk phone was cancelled: {gone}")
        lab.hear((carrier, "out"), (mobile, at_mobile["call"]))
        lab.end(carrier, mobile, at_mobile["call"])
        lab.stop()


def unregistered():
    with Office("user-gone") as lab:
        carrier, alice = lab.carrier(), lab.device("alice", 20, 440)
        mark = alice.mark()
        alice.do("register", "", renew=False)
        gone = alice.wait("registered", since=mark)
        expect((gone["code"], gone["expires"]) == (200, 0), f"{gone}")
        carrier.do("call", "out", to=f"sip:+14255550150@{lab.sbc}:5060")
        refused = carrier.wait("state", call="out", state="DISCONNECTED")
        expect(refused["code"] == 480, f"{refused}")
        lab.stop()


score = Score()
score.side_by_side(
    [
        ("a carrier calls a user over UDP", from_a_carrier, "udp"),
        ("a carrier calls a user over TLS", from_a_carrier, "tls"),
        ("a user calls Teams", to_teams),
        ("a user over TCP calls one over TLS with SRTP", between_users),
        ("two devices ring, one answers", two_devices),
        ("a user that left is not rung", unregistered),
    ],
    width=3,
)
score.close()
