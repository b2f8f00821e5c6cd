#!/usr/bin/env python3
"""Kamailio as the region of Teams in front of a PJSIP user, all over mutual TLS: it refuses what Teams refuses, routes by its own
Record-Route, and its first hub breaks on purpose. A PJSIP phone is the carrier; what is heard counts."""

import glob
import json
import os
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
import urllib.request

from _lab import BASE, FALLEN, HERE, HUB, HUB_CERTIFICATE, HUBS, TAKEN_BACK, Lab, Process, Score, expect, tone, until
from _pair import CARRIERS, TENANT, Pair, line

TRUNK = f"contoso.{BASE}"
# What requests inside a call go by, and the host of the user's Contact, which leads nowhere.
ROUTE = "sip-du-a-eu.pstnhub.microsoft.com"
CONTACT = "sip:api-du-a-euwe.pstnhub.microsoft.com:443;x-i=4e1f6b8a-23;x-c=c0ffee00/d/8/Ab"
# The first hub at the usual port, the second at the next.
TWO_HUBS = f'hubs = ["{HUBS[0]}", "{HUBS[1]}:5071"]\n'
# Time enough for Kamailio and the user's phone to ring, which does that by itself.
IN_A_HURRY = TWO_HUBS + 'progress_timeout = "3s"\n'
WELL, REFUSED, SILENT, GARBAGE_AND_CLOSED, CLOSED, GARBAGE, CLOSED_BY_BOTH = (
    f"+142555501{last}" for last in ("00", "50", "51", "52", "53", "54", "55")
)
RETRY_AFTER = 30
# No message of SIP, nor the beginning of one, as far as an empty line.
WORDS = {
    "guid": "5c4d2b1a-0f3e-4a57-9a54-2b3f6a1d8e90",
    "retry_after": RETRY_AFTER,
    "garbage": r"\x16\x03 }{ HTTP/9 \\ SIP/3\r\nfoo\r\n: :\r\n\r\n",
}


def modules():
    """Where Debian has Kamailio's modules on this architecture."""
    found = glob.glob("/usr/lib/*/kamailio/modules/")
    expect(found, "kamailio has no modules")
    return found[0]


class HubLab(Lab):
    """A lab whose hubs are Kamailio. `first` says what the first hub is: `well`, `closed` (nothing listens) or `misnamed`.
    `idle` is how many seconds a silent connection lives."""

    def __init__(self, name, first="well", teams=TWO_HUBS, extra="", idle=600):
        super().__init__(name, carriers=CARRIERS, tenants={"contoso": TENANT}, teams=teams, extra=extra)
        self.user, self.kamailio = self.at(5), None
        self.name_server.names[ROUTE] = self.teams
        certificate, key, ca = self.certificate(HUB_CERTIFICATE)
        other = self.certificate(f"nobody.{BASE}" if first == "misnamed" else HUB_CERTIFICATE)
        words = {
            "hubs": self.teams, "sbc": self.sbc, "user": self.user, "hub1": HUBS[0], "hub2": HUBS[1], "route": ROUTE, "base": BASE,
            "idle": idle, "trunk": TRUNK, "contact": CONTACT, "modules": modules(), "tls": self.folder / "tls.cfg", "certificate": certificate, "key": key, "ca": ca,
            "certificate1": other[0], "key1": other[1], "first": "" if first == "closed" else f"listen=tls:{self.teams}:5061",
        } | WORDS
        for file in ("hub.cfg", "tls.cfg"):
            text = (HERE / "kamailio" / file).read_text()
            if first == "closed":
                text = re.sub(r"(?s)\[server:\{\{hubs\}\}:5061\].*?(\n\n|\Z)", "", text)
            (self.folder / file).write_text(re.sub(r"\{\{(\w+)\}\}", lambda found: str(words[found.group(1)]), text))

    def start(self):
        with self.ended_on_failure():
            command = ["kamailio", "-DD", "-E", "-m", "32", "-M", "8", "-f", self.folder / "hub.cfg", "-w", self.folder]
            paths = os.environ["PATH"] + ":/usr/sbin:/sbin"
            self.kamailio = Process(
                "kamailio", command, self.folder / "kamailio.log", start_new_session=True, env={**os.environ, "PATH": paths}
            )
            # Its children are processes of their own.
            TAKEN_BACK.append(self.end_kamailio)
            until(self.hub_answers, 30, "kamailio takes connections")
            super().start()

    def hub_answers(self):
        """It listens before it has the processes that speak TLS."""
        expect(self.kamailio.process.poll() is None, f"kamailio ended: {self.kamailio.tail()}")
        try:
            self.tls_to_hub(port=5081).close()
        except OSError:
            return False
        return True

    def end_kamailio(self):
        """Politely, for it ends its children then; else all of them."""
        if not self.kamailio:
            return
        main = self.kamailio.process
        if main.poll() is None:
            main.terminate()
            try:
                main.wait(5)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(main.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        main.wait()

    def story(self):
        yield from super().story()
        if self.kamailio:
            # Debian's, with OpenSSL 3, sometimes ends by a signal while connections come.
            fallen = re.search(r"child process \d+ exited by a signal \d+", self.kamailio.log.read_text(errors="replace"))
            if fallen:
                yield f"{FALLEN}: Kamailio: {fallen.group(0)}"
            yield f"-- Kamailio's log:\n{self.kamailio.tail(15)}"

    def __exit__(self, kind, error, trace):
        if kind and self.binary is None:
            self.end_kamailio()
            self.name_server.close()
            return
        super().__exit__(kind, error, trace)
        if kind:
            self.end_kamailio()

    def stop(self):
        try:
            super().stop()
        finally:
            self.end_kamailio()

    # ---- What the hubs said ---------------------------------------------------------------------------------------

    def said(self, pattern):
        """Lines of Kamailio's log that begin with our mark, without it."""
        text = self.kamailio.log.read_text(errors="replace")
        found = [told.split("hub: ", 1)[1] for told in text.splitlines() if "hub: " in told]
        return [told for told in found if re.search(pattern, told)]

    def inside(self):
        """Requests in dialogs. An ACK that is said again is one: who was slow to hear it has said its 200 again."""
        found = []
        for told in self.said("^in-dialog "):
            if not (found and told == found[-1] and told.startswith("in-dialog ACK ")):
                found.append(told)
        return [told.split()[1] for told in found]

    def keeps_the_rules(self):
        wrong = self.said("^(refused|strayed|stranger) ")
        expect(not wrong, f"the hub found fault: {wrong}")

    def peer(self, name):
        """What the node says of a hub."""
        with urllib.request.urlopen(f"http://{self.sbc}:8080/v1/peers", timeout=5) as answer:
            peers = json.load(answer)["peers"]
        found = [peer for peer in peers if peer["peer"] == name]
        expect(found, f"no {name} in {peers}")
        return found[0]

    def connections(self):
        """Of the SBC to any port of the hubs, as the kernel has them: those that are up (state 1)."""
        address = lambda text: socket.inet_ntoa(bytes.fromhex(text.split(":")[0])[::-1])
        with open("/proc/net/tcp") as table:
            rows = [row.split() for row in list(table)[1:]]
        ports = [int(row[2].split(":")[1], 16) for row in rows if row[3] == "01" and address(row[1]) == self.sbc and address(row[2]) == self.teams]
        return [port for port in ports if port in (5061, 5071, 5081)]

    def log(self):
        return self.binary.log.read_text(errors="replace")

    def log_says(self, pattern):
        return until(lambda: re.search(rf"^.*{pattern}.*$", self.log(), re.M), 10, f"a line of the log with /{pattern}/", 0.1).group(0)

    def tls_to_hub(self, certificate=True, port=5061):
        """A connection from the SBC's address to a hub, with the SBC's certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        if certificate:
            context.load_cert_chain(*self.certificate(BASE)[:2])
        plain = socket.create_connection((self.teams, port), 5, (self.sbc, 0))
        return context.wrap_socket(plain, server_hostname=HUB)


class HubPair(Pair):
    """The user behind Kamailio instead of a phone that is the hub itself."""

    def __init__(self, name, **lab):
        made = HubLab(name, **lab)
        user = {
            # The hubs' certificate has the name of its Record-Route by a wildcard, which PJSIP takes from nobody.
            "verify_server": False, "ip": made.user, "contact": f"<{CONTACT}>", "id": f"sip:+14255550100@{HUB}",
            "proxy": f"<sip:{ROUTE}:5081;transport=tls;lr>",
            "rules": [{"user": "+", "answers": [(0, 180)]}],
        }
        super().__init__(name, lab=made, teams=user)

    def call_from_carrier(self, number, name, seconds=10):
        """Placed and answered; (name at the user, Call-ID toward Teams, seconds until the INVITE reached the user)."""
        self.lab.at_ease()
        begun, mark = time.monotonic(), self.teams.mark()
        self.carrier.do("call", name, to=f"sip:{number}@{self.lab.sbc}:5060")
        incoming = self.teams.wait("incoming", since=mark, user=number, seconds=seconds)
        took = time.monotonic() - begun
        self.teams.do("answer", incoming["call"], code=200)
        self.carrier.wait("state", call=name, state="CONFIRMED")
        self.teams.wait("state", call=incoming["call"], state="CONFIRMED")
        return incoming["call"], line(incoming["text"], "Call-ID:"), took

    def invites(self, number):
        """Ports of the hubs that the calls to a number came to, in order."""
        return re.findall(rf"^INVITE at (\d+) to {re.escape(number)} ", "\n".join(self.lab.said("^INVITE ")), re.M)

    def one_more(self, hub, number=WELL, seconds=10):
        """A whole call, and which hub took it."""
        before = len(self.invites(number))
        t, _, took = self.call_from_carrier(number, f"c{number}-{before}", seconds)
        ports = self.invites(number)[before:]
        expect(ports == [hub], f"the INVITE came to {ports}, not to {hub}")
        self.end(self.carrier, f"c{number}-{before}", self.teams, t)
        return took


# ---- The rules, and that they can fail ----------------------------------------------------------------------------


def request(method, contact, number, address, port=5061):
    body = "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 9 RTP/SAVP 8\r\n" if method == "INVITE" else ""
    kind = "Content-Type: application/sdp\r\n" if body else ""
    return (
        f"{method} sip:{WELL}@{HUB}:{port} SIP/2.0\r\nVia: SIP/2.0/TLS {address}:5061;branch=z9hG4bKself{number};rport\r\n"
        f"From: <sip:{BASE}>;tag=s{number}\r\nTo: <sip:{HUB}>\r\nCall-ID: self{number}\r\nCSeq: 1 {method}\r\n"
        f"{contact}Max-Forwards: 70\r\n{kind}Content-Length: {len(body)}\r\n\r\n{body}"
    ).encode()


def the_rules_fire():
    """The script's own check: Kamailio refuses what it should, and only that."""
    lab = HubLab("rules")
    with lab:
        cases = [
            ("OPTIONS", f"Contact: <sip:{BASE}:5061;transport=tls>\r\n", 200),
            ("OPTIONS", f"Contact: <sip:{lab.sbc}:5061;transport=tls>\r\n", 403),
            ("OPTIONS", f"Contact: <sip:other.{BASE}:5061;transport=tls>\r\n", 403),
            ("OPTIONS", "", 403),
            ("INVITE", f"Contact: <sip:a@{lab.sbc}:5061;transport=tls>\r\n", 403),
            ("INVITE", f"Contact: <sip:a@fabrikam.{BASE}:5061;transport=tls>\r\n", 403),
            ("INVITE", f"Contact: <sip:a@{BASE}:5061;transport=tls>\r\n", 403),
            ("INVITE", f"Record-Route: <sip:{BASE}:5061;lr>\r\nContact: <sip:a@{TRUNK}:5061;transport=tls>\r\n", 400),
            ("REFER", f"Contact: <sip:a@{TRUNK}:5061;transport=tls>\r\n", 405),
        ]
        for number, (method, contact, status) in enumerate(cases):
            with lab.tls_to_hub() as hub:
                hub.settimeout(5)
                hub.sendall(request(method, contact, number, lab.sbc))
                answer = hub.recv(65536).decode()
                expect(answer.startswith(f"SIP/2.0 {status} "), f"{method} with [{contact.strip()}] got {answer.splitlines()[0]}")
        # In a dialog, but not by Record-Route.
        with lab.tls_to_hub() as hub:
            hub.settimeout(5)
            stray = request("BYE", "", 99, lab.sbc).replace(f"To: <sip:{HUB}>".encode(), f"To: <sip:{HUB}>;tag=x".encode())
            hub.sendall(stray)
            expect(hub.recv(65536).startswith(b"SIP/2.0 404 "), "a BYE without Route was taken")
        expect(len(lab.said("^refused ")) == 8 and len(lab.said("^strayed BYE")) == 1, f"hubs said {lab.said('')}")
        try:
            with lab.tls_to_hub(certificate=False) as hub:
                hub.settimeout(5)
                hub.sendall(request("OPTIONS", f"Contact: <sip:{BASE}:5061;transport=tls>\r\n", 98, lab.sbc))
                expect(not hub.recv(1), "a client without a certificate was answered")
        except (ssl.SSLError, ConnectionError):
            pass
        lab.stop()


def options():
    """OPTIONS to both hubs by themselves, a name in Contact, answered, and counted."""
    with_interval = TWO_HUBS + 'options_interval = "1s"\n'
    lab = HubLab("options", teams=with_interval)
    with lab:
        for hub, port in ((HUBS[0], 5061), (HUBS[1], 5071)):
            until(lambda: len(lab.said(f"^OPTIONS at {port} ")) >= 3, 15, f"three OPTIONS at {port}")
            told = lab.said(f"^OPTIONS at {port} ")[0]
            expect(f"contact <sip:{BASE}:5061;transport=tls>" in told, told)
            # The hub says it before it answers.
            until(lambda: lab.peer(hub)["up"], 10, f"{hub} is up")
            peer = lab.peer(hub)
            counted = peer["status"] == 200 and peer["failures"] == 0 and peer["answered_seconds_ago"] is not None
            expect(counted, f"{hub} is counted as {peer}")
            expect("kamailio" in peer["server"].lower() and peer["tls"].startswith("TLSv1_"), f"{hub} is shown as {peer}")
        lab.keeps_the_rules()
        lab.stop()


# ---- Calls --------------------------------------------------------------------------------------------------------


def carrier_calls_the_user():
    """ACK, re-INVITEs of both forms and BYE go by the Record-Route, with the user's Contact as Request-URI."""
    with HubPair("kam-in") as pair:
        t, _, _ = pair.call_from_carrier(WELL, "out")
        expect(pair.invites(WELL) == ["5061"], f"INVITEs at {pair.invites(WELL)}")
        invite = pair.teams.wait("incoming")["text"]
        expect(len(re.findall(r"(?mi)^record-route:", invite)) == 1, f"Record-Route of the SBC:\n{invite}")
        pair.hear("out", t)
        for what in ("hold", "resume"):
            mark, at_carrier = pair.teams.mark(), pair.carrier.mark()
            pair.carrier.do(what, "out")
            pair.teams.wait("message", since=mark, call=t, line=lambda text: text.startswith("INVITE "))
            pair.carrier.wait("message", since=at_carrier, call="out", line=lambda text: text.startswith("SIP/2.0 200"))
        pair.hear("out", t, label="resumed")
        pair.end(pair.carrier, "out", pair.teams, t)
        inside = pair.lab.inside()
        expect(inside == ["ACK", "INVITE", "ACK", "INVITE", "ACK", "BYE"], f"requests by the Record-Route: {inside}")
        pair.lab.keeps_the_rules()


def user_calls_the_carrier():
    with HubPair("kam-out") as pair:
        c, t = pair.from_teams()
        pair.hear(c, t)
        mark, at_teams = pair.carrier.mark(), pair.teams.mark()
        pair.teams.do("hold", t)
        pair.carrier.wait("message", since=mark, call=c, line=lambda text: text.startswith("INVITE "))
        pair.teams.wait("message", since=at_teams, call=t, line=lambda text: text.startswith("SIP/2.0 200"))
        at_teams = pair.teams.mark()
        pair.teams.do("resume", t)
        pair.teams.wait("message", since=at_teams, call=t, line=lambda text: text.startswith("SIP/2.0 200"))
        pair.hear(c, t, label="resumed")
        pair.end(pair.carrier, c, pair.teams, t)
        inside = pair.lab.inside()
        expect(inside == ["BYE"], f"requests by the Record-Route: {inside}")
        pair.lab.keeps_the_rules()


def hangs_up_first():
    """The user hangs up: BYE comes on Kamailio's connection, and is answered there."""
    with HubPair("kam-bye") as pair:
        t, _, _ = pair.call_from_carrier(WELL, "out")
        pair.hear("out", t)
        pair.end(pair.teams, t, pair.carrier, "out")
        pair.lab.keeps_the_rules()


def idle_connections():
    """The hub closes every connection that is silent for a while, in the middle of a call: BYE opens another."""
    with HubPair("kam-idle", idle=3) as pair:
        t, _, _ = pair.call_from_carrier(WELL, "out")
        pair.hear("out", t)
        expect(5081 in pair.lab.connections() or pair.lab.said("^in-dialog ACK"), "no ACK went by the Record-Route")
        until(lambda: not pair.lab.connections(), 20, "the hub closes what is silent")
        pair.hear("out", t, label="closed")
        pair.end(pair.carrier, "out", pair.teams, t)
        inside = pair.lab.inside()
        expect(inside == ["ACK", "BYE"], f"requests by the Record-Route: {inside}")
        pair.one_more("5061")
        pair.lab.keeps_the_rules()


def hands_the_call_on():
    """REFER comes on another connection than the INVITE went on (TEAMS-089); the hub gets what it leads to, and finds no fault."""
    target = f"sip:{HUB}:5061;transport=tls;x-m=8:orgid:11111111-2222-4333-8444-555555555555;x-t=aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
    with HubPair("kam-refer") as pair:
        t, _, _ = pair.call_from_carrier(WELL, "out")
        with pair.listening((pair.carrier, "out", 440, 600), label="on"):
            pair.packets(pair.carrier, "out", 60)
            mark = pair.teams.mark()
            pair.teams.do("refer", t, to=f"<{target}>")
            another = pair.teams.wait("incoming", since=mark)["call"]
            pair.teams.do("answer", another, code=200, play=tone(pair.lab.folder / "600.wav", 600))
            pair.teams.wait("notified", call=t, final=True, code=200)
            pair.packets(pair.carrier, "out", pair.carrier.stats("out")["received"] + 60)
        pair.teams.do("hangup", t)
        pair.teams.wait("state", call=t, state="DISCONNECTED")
        pair.hear("out", another, label="transferred", teams=600)
        pair.end(pair.carrier, "out", pair.teams, another)
        expect(pair.lab.said(f"^INVITE at 5061 to .* ruri {re.escape(target)} "), f"the hub got {pair.lab.said('^INVITE ')}")
        inside = pair.lab.inside()
        expect(sorted(inside) == ["ACK", "ACK", "BYE", "NOTIFY", "NOTIFY"], f"requests by the Record-Route: {inside}")
        pair.lab.keeps_the_rules()


# ---- A first hub that breaks --------------------------------------------------------------------------------------


def unavailable():
    """503 with Retry-After: the second hub at once, the first left alone for that time and asked again after it."""
    with HubPair("kam-503") as pair:
        t, _, _ = pair.call_from_carrier(REFUSED, "out")
        since = time.monotonic()
        expect(pair.invites(REFUSED) == ["5061", "5071"], f"INVITEs at {pair.invites(REFUSED)}")
        for _ in range(3):
            pair.one_more("5071")
        pair.hear("out", t)
        pair.end(pair.carrier, "out", pair.teams, t)
        # It is over: the first hub is the first again.
        until(lambda: time.monotonic() - since > RETRY_AFTER + 0.5, RETRY_AFTER + 2, "that time is over")
        pair.one_more("5061")
        pair.lab.keeps_the_rules()


def silent():
    """Nothing at all, not even 100: the next hub after `response_timeout`, 4 s."""
    with HubPair("kam-silent") as pair:
        t, _, took = pair.call_from_carrier(SILENT, "out")
        expect(pair.invites(SILENT) == ["5061", "5071"], f"INVITEs at {pair.invites(SILENT)}")
        expect(took > 3.5, f"the second hub had the call after {took:.1f} s")
        pair.hear("out", t)
        pair.end(pair.carrier, "out", pair.teams, t)
        # Which is asked no more: a call waits for it no longer.
        pair.one_more("5071")
        pair.lab.keeps_the_rules()


def refusing():
    with HubPair("kam-refusing", first="closed") as pair:
        t, _, _ = pair.call_from_carrier(WELL, "out")
        expect(pair.invites(WELL) == ["5071"], f"INVITEs at {pair.invites(WELL)}")
        pair.hear("out", t)
        pair.end(pair.teams, t, pair.carrier, "out")
        pair.lab.keeps_the_rules()


def misnamed():
    """A certificate of our CA for another name: refused, said in the log, and the next hub has the call."""
    with HubPair("kam-misnamed", first="misnamed") as pair:
        t, _, _ = pair.call_from_carrier(WELL, "out")
        expect(pair.invites(WELL) == ["5071"], f"INVITEs at {pair.invites(WELL)}")
        pair.hear("out", t)
        pair.end(pair.carrier, "out", pair.teams, t)
        expect(not pair.lab.said("^OPTIONS at 5061 "), "OPTIONS went to a hub of another name")
        told = pair.lab.log_says(f"(?:{re.escape(HUBS[0])}.*certificate|certificate.*{re.escape(HUBS[0])})")
        expect(re.search(r"(?i)name|nobody", told), told)
        pair.lab.keeps_the_rules()


def breaks_in_the_set_up(number, goes_on):
    """Garbage or a closed connection after 100, whose answer could still come over another one, so that the next hub has the call
    after `progress_timeout`. A call that is up by the same hub loses neither sound nor its end."""
    with HubPair("kam-breaks", teams=IN_A_HURRY) as pair:
        other, _, _ = pair.call_from_carrier(WELL, "other")
        ends = [(pair.carrier, "other"), (pair.teams, other)]
        with pair.listening((pair.carrier, "other", 440), (pair.teams, other, 1000), label="other"):
            t, _, _ = pair.call_from_carrier(number, "out")
            ports = pair.invites(number)
            expect(ports == goes_on, f"INVITEs at {ports}, not at {goes_on}")
            if number in (GARBAGE, GARBAGE_AND_CLOSED):
                pair.lab.log_says("the stream is not SIP")
            pair.hear("out", t, label="broken")
        for phone, call in ends:
            expect(phone.stats(call)["lost"] == 0, f"{phone.name} of the other call lost packets")
            expect(not phone.events("state", call=call, state="DISCONNECTED"), "the other call ended")
        pair.end(pair.carrier, "out", pair.teams, t)
        pair.end(pair.teams, other, pair.carrier, "other")
        pair.lab.keeps_the_rules()


def both_close():
    """No hub is left that has not closed its connection after 100: the call ends with a status, which the log explains."""
    with HubPair("kam-both", teams=IN_A_HURRY, extra='[timers]\nsetup = "8s"\nt1 = "100ms"') as pair:
        other, _, _ = pair.call_from_carrier(WELL, "other")
        pair.carrier.do("call", "out", to=f"sip:{CLOSED_BY_BOTH}@{pair.lab.sbc}:5060")
        over = pair.carrier.wait("state", call="out", state="DISCONNECTED", seconds=20)
        expect(over["code"] in (408, 480, 503, 504), f"the carrier got {over}")
        expect(pair.invites(CLOSED_BY_BOTH) == ["5061", "5071"], f"INVITEs at {pair.invites(CLOSED_BY_BOTH)}")
        # The record waits for the hubs' last word on the INVITEs that were cancelled, 64 T1.
        line_of_it = rf"call over status={over['code']} .*{re.escape(CLOSED_BY_BOTH)}.*"
        told = until(lambda: re.search(line_of_it, pair.lab.log()), 20, "the end is logged")
        expect(re.search(r'cause="\w+" why="[^"]{5,}"', told.group(0)), told.group(0))
        pair.hear("other", other, label="other")
        pair.end(pair.carrier, "other", pair.teams, other)
        pair.lab.keeps_the_rules()


SCENARIOS = [
    ("Kamailio's rules fire", the_rules_fire),
    ("OPTIONS with a name in Contact are answered and counted", options),
    ("a silent hub: the next in time", silent),
    ("carrier calls the user, all by Record-Route", carrier_calls_the_user),
    ("user calls the carrier", user_calls_the_carrier),
    ("the user hangs up first", hangs_up_first),
    ("idle connections that the hub closes", idle_connections),
    ("the user refers to another, over a connection of the hub's own", hands_the_call_on),
    ("a hub that refuses connections: the next", refusing),
    ("a hub's certificate for another name: the next", misnamed),
    ("garbage and a closed connection after 100", breaks_in_the_set_up, GARBAGE_AND_CLOSED, ["5061", "5071"]),
    ("a closed connection after 100", breaks_in_the_set_up, CLOSED, ["5061", "5071"]),
    ("both hubs close after 100", both_close),
    ("garbage after 100", breaks_in_the_set_up, GARBAGE, ["5061"]),
]
if __name__ == "__main__":
    score = Score()
    # It waits for RETRY_AFTER, most of the time.
    slow = threading.Thread(target=score.run, args=("503 with Retry-After: the next hub, and the first left alone", unavailable))
    slow.start()
    score.side_by_side(SCENARIOS, width=3)
    slow.join()
    score.close()
