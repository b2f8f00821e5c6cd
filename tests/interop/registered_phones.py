#!/usr/bin/env python3
"""Phones that we did not write register and call: PJSIP over UDP, TCP, and TLS with SRTP. Sound is checked by content at
both ends."""

import re
import subprocess

from _lab import BASE, BINARY, Lab, Score, expect, heard, tone, until
from _pair import CARRIERS

REALM = "sip.contoso.example"
LISTENERS = """
[[listeners]]
name = "users-udp"
purpose = "users"
transport = "udp"
bind = "NET.1:5080"
[[listeners]]
name = "users-tcp"
purpose = "users"
transport = "tcp"
bind = "NET.1:5080"
[[listeners]]
name = "users-tls"
purpose = "users"
transport = "tls"
bind = "NET.1:5081"
certificates = [{ certificate = "CERT.pem", key = "CERT.key" }]
[registrar]
store = "bindings.redb"
"""
TENANT = f"""
domains = ["contoso.example"]
label = "contoso"
realm = "{REALM}"
carriers = ["north"]
[[numbers]]
range = "+14255550100-+14255550149"
to = "teams"
[[numbers]]
number = "+14255550150"
to = {{ user = "alice@{REALM}" }}
[[numbers]]
number = "+14255550151"
to = {{ user = "bob@{REALM}" }}
"""
USERS = {
    "alice": ("wonderland", 'number = "+14255550150"'),
    "bob": ("builder", 'number = "+14255550151"'),
    "carol": ("secret", "srtp = true"),
}


def user(name):
    word, more = USERS[name]
    made = subprocess.run([BINARY, "user", f"{name}@{REALM}"], input=word, capture_output=True, text=True)
    expect(made.returncode == 0, made.stderr)
    return f"{made.stdout}{more}\n"


class Office(Lab):
    """A lab with users, whose phones register."""

    def __init__(self, name):
        self.hertz = {}
        super().__init__(name, carriers=LISTENERS + CARRIERS, tenants={"contoso": TENANT + "".join(map(user, USERS))})

    def _sbc_toml(self, carriers, teams, extra):
        chain, _, _ = self.certificate(BASE)
        return super()._sbc_toml(carriers.replace("CERT", chain.removesuffix(".pem")), teams, extra)

    def playing(self, phone, hertz):
        self.hertz[phone] = hertz
        return phone

    def device(self, name, last, hertz, transport="udp", **more):
        """A registered PJSIP phone."""
        port = 5081 if transport == "tls" else 5080
        # The certificate names the node, not its address.
        host = BASE if transport == "tls" else self.sbc
        suffix = "" if transport == "udp" else f";transport={transport}"
        phone = self.phone(
            f"{name}{last}",
            ip=self.at(last),
            port=5060,
            id=f"sip:{name}@{REALM}",
            registrar=f"sip:{REALM}{suffix}",
            proxy=f"sip:{host}:{port};lr{suffix}",
            nameserver=self.names,
            transport=transport,
            ca=str(self.ca),
            credentials=[[name, USERS[name][0]]],
            play=tone(self.folder / f"{hertz}.wav", hertz),
            **more,
        )
        registered = phone.wait("registered", seconds=15)
        expect(registered["code"] == 200, f"{name} is registered: {registered}")
        return self.playing(phone, hertz)

    def carrier(self):
        phone = self.phone(
            "carrier", ip=self.at(16), port=5060, id=f"sip:+12065550100@{self.at(16)}", play=tone(self.folder / "1000.wav", 1000)
        )
        return self.playing(phone, 1000)

    def call(self, caller, to, callee):
        """An answered call; the callee's name of it."""
        mark = callee.mark()
        caller.do("call", "out", to=to)
        incoming = callee.wait("incoming", since=mark)
        callee.do("answer", incoming["call"], code=180)
        caller.wait("state", call="out", state="EARLY")
        callee.do("answer", incoming["call"], code=200)
        caller.wait("state", call="out", state="CONFIRMED")
        callee.wait("state", call=incoming["call"], state="CONFIRMED")
        return incoming

    def hear(self, *ends):
        """Two ends (phone, call): each hears the other's tone."""
        (one, _), (other, _) = ends
        for phone, call in ends:
            phone.do("record", call, file=str(self.folder / f"{phone.name}.wav"))
        for phone, call in ends:
            least = phone.stats(call)["received"] + 60
            until(lambda phone=phone, call=call, least=least: phone.stats(call)["received"] >= least, 10, "packets", 0.1)
        for (phone, call), partner in zip(ends, (other, one)):
            phone.do("recorded", call)
            phone.wait("recorded", call=call)
            found = heard(self.folder / f"{phone.name}.wav", self.hertz[partner])
            expect(found > 0.9, f"{phone.name} hears {self.hertz[partner]} Hz with a share of {found:.2f}")

    def end(self, caller, callee, call):
        caller.do("hangup", "out")
        callee.wait("state", call=call, state="DISCONNECTED")
        caller.wait("state", call="out", state="DISCONNECTED")


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
