#!/usr/bin/env python3
"""Media bypass: PJSIP as a Teams client with ICE of its own (a full agent, which checks and nominates), SDES keys and rtcp-mux."""

import ctypes
import itertools
import os
import re
import socket
import subprocess

from _lab import HUB, Lab, Score, expect, tone, until
from _pair import CARRIERS, TENANT, Pair, line

COUNT = itertools.count()


def own_network():
    """PJSIP makes no candidates of loopback addresses: the script and all that it starts live in a namespace where others are local.
    It is gone with them."""
    libc = ctypes.CDLL(None, use_errno=True)
    # CLONE_NEWNET
    expect(libc.unshare(0x40000000) == 0, f"unshare: {os.strerror(ctypes.get_errno())}")
    for words in ("ip link set lo up", "ip route add local 198.18.0.0/16 dev lo"):
        done = subprocess.run(words.split(), capture_output=True, text=True)
        expect(done.returncode == 0, f"{words}: {done.stderr}")


class BypassLab(Lab):
    def free_network(self):
        net = f"198.18.{next(COUNT)}"
        names = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        names.bind((f"{net}.9", 53))
        return net, names

    def admin(self):
        return self.at(1).replace("198.18.", "127.18.")


class Bypass(Pair):
    def __init__(self, name, ice=True):
        lab = BypassLab(name, carriers=CARRIERS, tenants={"contoso": TENANT}, teams="bypass = true")
        super().__init__(name, lab=lab, teams={"ice": ice})

    def described(self, text):
        """The name, password and port of a description of ours, which is one of the lite side."""
        body = text.split("\r\n\r\n", 1)[1]
        port = line(body, "m=audio").split()[0]
        expect(body.count("a=ice-lite\r\n") == 1 and " RTP/SAVP " in line(body, "m=audio"), body)
        line(body, "a=crypto:")
        line(body, "a=rtcp-mux")
        candidates = re.findall(r"a=candidate:(.*)\r\n", body)
        expect(len(candidates) == 1, f"candidates (TEAMS-099): {candidates}")
        expect(re.fullmatch(rf"\S+ 1 UDP \d+ {re.escape(self.lab.sbc)} {port} typ host", candidates[0]), candidates[0])
        return line(body, "a=ice-ufrag:"), line(body, "a=ice-pwd:"), port

    def nominated(self, call, port):
        """The client's checks have led to our port, and to one component."""

        def done():
            mark = self.teams.mark()
            self.teams.do("describe", call)
            text = self.teams.wait("described", since=mark, call=call)["text"]
            found = "ICE role: Controlling, state: Negotiation Success, comp_cnt: 1" in text and f"R:{self.lab.sbc}:{port} " in text
            return found and text

        return until(done, 15, "the client has nominated our candidate", 0.1)

    def answered(self, call, since):
        return self.teams.wait("message", since=since, call=call, line=lambda text: text.startswith("SIP/2.0 200"))["text"]


def carrier_calls():
    """Checked and nominated, on hold and back, with reports on the one port there is."""
    with Bypass("bypass-in") as pair:
        c, t = pair.from_carrier()
        name, password, port = pair.described(pair.teams.wait("incoming")["text"])
        pair.nominated(t, port)
        expect("a=rtcp-mux" in pair.teams.wait("said", call=t, line=lambda text: text.startswith("SIP/2.0 200"))["text"], "no mux")
        pair.hear(c, t)
        for phone, call, what in ((pair.teams, t, "hold"), (pair.teams, t, "resume"), (pair.carrier, c, "hold"), (pair.carrier, c, "resume")):
            mark = phone.mark(), pair.teams.mark()
            phone.do(what, call)
            phone.wait("message", since=mark[0], call=call, line=lambda text: text.startswith("SIP/2.0 200"))
            ours = pair.teams.wait("message", since=mark[1], call=t, line=lambda text: text.startswith(("INVITE ", "SIP/2.0 200")))["text"]
            expect(pair.described(ours) == (name, password, port), f"{what} has changed our ICE:\n{ours}")
            expect(("a=inactive" in ours) == (what == "hold") or phone is pair.teams, f"{what}:\n{ours}")
            if what == "hold":
                pair.no_packets_to(pair.teams, t)
            else:
                pair.hear(c, t, label=f"after-{what}-{phone.name}")
        until(lambda: pair.teams.stats(t)["reports"] > 0, 15, "a report has come over the port of RTP", 0.2)
        pair.end(pair.carrier, c, pair.teams, t)


def early_media():
    """Teams calls: checked as soon as 183 is there, heard before the answer, and 200 says the same as 183 (TEAMS-101)."""
    with Bypass("bypass-early") as pair:
        pair.teams.do("call", "out", to=f"sip:+12065550100@{pair.lab.trunks[0]}:5061;user=phone;transport=tls")
        c = pair.carrier.wait("incoming")["call"]
        pair.carrier.do("answer", c, code=183)
        progress = pair.teams.wait("message", call="out", line=lambda text: text.startswith("SIP/2.0 183"))["text"]
        _, _, port = pair.described(progress)
        pair.teams.wait("media", call="out")
        pair.nominated("out", port)
        with pair.listening((pair.teams, "out", 1000), label="on"):
            pair.packets(pair.teams, "out", 40)
            pair.carrier.do("answer", c, code=200)
            pair.carrier.wait("state", call=c, state="CONFIRMED")
            pair.packets(pair.teams, "out", pair.teams.stats("out")["received"] + 40)
        body = lambda text: text.split("\r\n\r\n", 1)[1]
        answer = pair.answered("out", 0)
        expect(body(answer) == body(progress), f"200 says something else than 183:\n{progress}{answer}")
        pair.hear(c, "out")
        pair.end(pair.teams, "out", pair.carrier, c)


def restart():
    """Another client takes over: a new address, keys, name and password. Ours are new, the port stays, and nobody misses a word."""
    with Bypass("bypass-restart") as pair:
        for way in ("in", "out"):
            c, t = pair.from_carrier() if way == "in" else pair.from_teams()
            first = pair.teams.wait("incoming") if way == "in" else pair.teams.wait("message", call=t, line=lambda text: text.startswith("SIP/2.0 200"))
            before = pair.described(first["text"])
            pair.nominated(t, before[2])
            pair.hear(c, t, label=way)
            with pair.listening((pair.carrier, c, 440), label=f"over-{way}"):
                mark = pair.teams.mark()
                pair.teams.do("renew", t)
                after = pair.described(pair.answered(t, mark))
                pair.nominated(t, after[2])
                pair.packets(pair.carrier, c, pair.carrier.stats(c)["received"] + 40)
            expect(after[0] != before[0] and after[1] != before[1] and after[2] == before[2], f"{before} became {after}")
            pair.hear(c, t, label=f"renewed-{way}")
            expect(not [e for e in pair.carrier.events("message", call=c) if e["line"].startswith("INVITE ")], "the carrier saw it")
            pair.end(pair.teams, t, pair.carrier, c)


def remote_candidates():
    """The client's re-INVITE with the pair that it has nominated (RFC 5245 section 9.1.2.2): the same ICE, and no gap."""
    with Bypass("bypass-update", ice="update") as pair:
        c, t = pair.from_teams()
        with pair.listening((pair.teams, t, 1000), (pair.carrier, c, 440), label="on"):
            told = pair.teams.wait("said", call=t, text=lambda text: "a=remote-candidates:1 " in text)["text"]
            before = pair.described(pair.answered(t, 0))
            until(lambda: len([e for e in pair.teams.events("message", call=t) if e["line"].startswith("SIP/2.0 200")]) == 2, 15, "its answer")
            after = pair.described(pair.teams.events("message", call=t)[-1]["text"])
            expect(line(told, "a=remote-candidates:1") == f"{pair.lab.sbc} {before[2]}", told)
            expect(after == before, f"{before} became {after}")
            for phone, call in ((pair.teams, t), (pair.carrier, c)):
                pair.packets(phone, call, phone.stats(call)["received"] + 60)
        pair.end(pair.carrier, c, pair.teams, t)


def transfer():
    """REFER, without which Teams transfers nothing on bypass (TEAMS-082): the new client has ICE, name and password of its own."""
    with Bypass("bypass-refer") as pair:
        c, t = pair.from_carrier()
        before = pair.described(pair.teams.wait("incoming")["text"])
        mark = pair.teams.mark()
        with pair.listening((pair.carrier, c, 440, 600), label="on"):
            pair.packets(pair.carrier, c, 60)
            pair.teams.do("refer", t, to=f"<sip:{HUB}:5061;transport=tls;x-m=8:orgid:1>")
            incoming = pair.teams.wait("incoming", since=mark)
            after = pair.described(incoming["text"])
            expect(not set(before) & set(after), f"{after} in another dialog than {before}")
            pair.teams.do("answer", incoming["call"], code=200, play=tone(pair.lab.folder / "600.wav", 600))
            pair.teams.wait("notified", call=t, final=True, code=200)
            pair.nominated(incoming["call"], after[2])
            pair.packets(pair.carrier, c, pair.carrier.stats(c)["received"] + 60)
        pair.teams.do("hangup", t)
        pair.hear(c, incoming["call"], label="transferred", teams=600)
        pair.end(pair.teams, incoming["call"], pair.carrier, c)


score = Score()
try:
    own_network()
except Exception as error:
    score.run("network namespace", lambda: expect(False, repr(error)))
    score.close()
score.side_by_side(
    [
        ("bypass: a carrier calls, both hold and resume", carrier_calls),
        ("bypass: ICE restart by another client", restart),
        ("bypass: early media, and 200 repeats 183", early_media),
        ("bypass: re-INVITE with remote-candidates", remote_candidates),
        ("bypass: REFER to another client", transfer),
    ],
    width=3,
)
score.close()
