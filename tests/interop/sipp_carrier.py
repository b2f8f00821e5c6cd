#!/usr/bin/env python3
"""SIPp as a carrier over UDP; a PJSIP phone as the peer like Teams. The verdict of a scenario is SIPp's and the other side's."""

import hashlib
import re
import socket
import threading
import tomllib

from _lab import BASE, ROOT, Failure, Lab, Score, expect, until

TO = "+142555501"
# What the peer like Teams does by the number that it is called by: (after seconds, code), 0: it hangs up.
RULES = [
    {"user": TO + "00", "answers": [(0, 180), (0.2, 200)]},
    {"user": TO + "01", "answers": [(0, 183), (0.3, 200), (0.8, 0)]},
    {"user": TO + "02", "answers": [(0, 486)]},
    {"user": TO + "03", "answers": [(0, 180), (0.1, 603)]},
    {"user": TO + "04", "answers": [(0, 180)]},
    {"user": TO + "05", "answers": [(0, 180), ([0, 0.03], 200)]},
    {"user": TO + "06", "answers": [(0, 200)]},
    {"user": TO + "09", "answers": [(0, 180)]},
]
CALLER = """
[[carriers]]
id = "north"
networks = ["NET.16/28"]
gateways = []
ringing = "all"
"""
TENANT = """
domains = ["{name}.example"]
label = "{name}"
carriers = ["{name}"]
[caller]
outside = "replace"
number = "{number}"
[[numbers]]
{numbers}
to = "teams"
"""
# A gateway or two for each call out of Teams: tenant, carrier and gateways of that name.
OUT = {
    "basic": 1, "early": 1, "busy": 1, "decline": 1, "silent": 1, "given-up": 1, "digest401": 1, "digest407": 1,
    "hold": 1, "second": 2, "second-silent": 2, "never486": 2, "never603": 2,
}


def gateway(name, which=0):
    return 64 + 4 * list(OUT).index(name) + which


def inbound():
    tenant = TENANT.format(name="contoso", number=TO + "00", numbers=f'range = "{TO}00-{TO}99"')
    tenant = tenant.replace('carriers = ["contoso"]', 'carriers = ["north"]')
    lab = Lab("sipp-in", carriers=CALLER, tenants={"contoso": tenant}, extra='[timers]\nt1 = "200ms"\nringing = "3s"')
    lab.start()
    with lab.ended_on_failure():
        return lab, lab.teams_phone(rules=RULES)


def outbound():
    carriers, tenants = "", {}
    for position, (name, count) in enumerate(OUT.items()):
        gateways = ", ".join(
            f'{{ host = "NET.{gateway(name, which)}", port = 5060, transport = "udp" }}' for which in range(count)
        )
        carriers += f'[[carriers]]\nid = "{name}"\ngateways = [{gateways}]\noptions_interval = "0s"\n'
        if name.startswith("digest"):
            carriers += 'credentials = { username = "sbc1", password = "open sesame", realm = "carrier.example" }\n'
        if name == "second-silent":
            # Which the second has to keep, too.
            carriers += '[carriers.failover]\nresponse_timeout = "2s"\n'
        number = f"+1425555{2000 + position}"
        tenants[name] = TENANT.format(name=name, number=number, numbers=f'number = "{number}"')
    lab = Lab("sipp-out", carriers=carriers, tenants=tenants, extra='[timers]\nt1 = "200ms"\nringing = "3s"')
    lab.start()
    with lab.ended_on_failure():
        return lab, lab.teams_phone()


class Inbound:
    """A call from SIPp; what the peer like Teams saw of it is what came since."""

    def __init__(self, address):
        self.address = LAB_IN.at(address)

    def call(self, scenario, number, *options, **values):
        self.seen = TEAMS_IN.mark()
        return LAB_IN.sipp(scenario, self.address, "-s", TO + number, *options, **values)

    def incoming(self, number, **fields):
        return TEAMS_IN.wait("incoming", since=self.seen, user=TO + number, **fields)

    def over(self, call, code=None):
        fields = {} if code is None else {"code": code}
        TEAMS_IN.wait("state", since=self.seen, call=call, state="DISCONNECTED", **fields)


def basic():
    call = Inbound(16)
    sipp = call.call("uac_basic", "00")
    incoming = call.incoming("00")
    call.over(incoming["call"])
    sipp.done()
    shown = re.search(r"(?mi)^From:.*", incoming["text"]).group(0)
    expect("<sip:+12065550111@" in shown, f"Teams is not shown whom the carrier asserts: {shown} (TEAMS-041)")
    bye = TEAMS_IN.wait("message", call=incoming["call"], line=lambda text: text.startswith("BYE "))["text"]
    expect("\r\nReason:" not in bye or "cause=16" in bye, bye)


def early_media():
    call = Inbound(17)
    sipp = call.call("uac_early", "01")
    sipp.done()
    call.over(call.incoming("01")["call"])


def refused(address, number, code):
    call = Inbound(address)
    sipp = call.call("uac_refused", number, code=code)
    sipp.done()
    expect(len([e for e in TEAMS_IN.events("incoming") if e["user"] == TO + number]) == 1, "Teams was asked again")


def unknown_number():
    sipp = LAB_IN.sipp("uac_refused", LAB_IN.at(20), "-s", "+12065559999", code=404)
    sipp.done()
    expect(not TEAMS_IN.events("incoming", user="+12065559999"), "the call reached Teams")


def no_answer():
    call = Inbound(21)
    sipp = call.call("uac_refused", "04", code=480)
    sipp.done()
    call.over(call.incoming("04")["call"], 487)


def cancelled():
    call = Inbound(22)
    sipp = call.call("uac_cancel", "09")
    sipp.done()
    call.over(call.incoming("09")["call"], 487)


def cancel_races_answer():
    call = Inbound(23)
    sipp = call.call("uac_race", "05", count=8)
    sipp.done(40)
    mine = [e["call"] for e in TEAMS_IN.events("incoming", user=TO + "05")]
    expect(len(mine) == 8, f"{len(mine)} of 8 calls reached Teams")
    until(lambda: len([e for e in TEAMS_IN.events("state", state="DISCONNECTED") if e["call"].endswith(TO + "05")]) == 8, 10, "Teams is rid of every call")


def holds():
    call = Inbound(24)
    sipp = call.call("uac_hold", "06")
    incoming = call.incoming("06")["call"]
    sipp.done()
    call.over(incoming)
    offers = [e["text"] for e in TEAMS_IN.events("message", call=incoming) if e["line"].startswith("INVITE ")]
    directions = [re.search(r"\r\na=(sendrecv|inactive|sendonly|recvonly)", offer).group(1) for offer in offers]
    expect(set(directions) <= {"inactive", "sendrecv"}, f"Teams saw {directions} (TEAMS-071)")
    expect("inactive" in directions and directions[-1] == "sendrecv", f"Teams saw {directions}")
    expect(not any("0.0.0.0" in offer for offer in offers), "c=0.0.0.0 toward Teams")


def offerless():
    call = Inbound(25)
    sipp = call.call("uac_offerless", "07")
    incoming = call.incoming("07")
    expect("\r\nm=audio " in incoming["text"], "Teams got no offer (TEAMS-059)")
    TEAMS_IN.do("answer", incoming["call"], code=200)
    sipp.done()
    call.over(incoming["call"])


def loss():
    """Whoever calls is answered at once: where an ACK and a BYE are lost, SIPp takes the 200 that comes again for that of its
    BYE, and calls on while the old call waits for an ACK."""
    call = Inbound(26)
    sipp = call.call("uac_basic", "08", "-lost", 15, count=4)
    answered = []
    for _ in range(4):
        incoming = TEAMS_IN.wait("incoming", since=call.seen, seconds=20, user=TO + "08", call=lambda name: name not in answered)
        answered.append(incoming["call"])
        TEAMS_IN.do("answer", incoming["call"], code=200)
    for name in answered:
        TEAMS_IN.wait("state", since=call.seen, seconds=20, call=name, state="DISCONNECTED")
    sipp.done()
    expect(len(TEAMS_IN.events("incoming", user=TO + "08")) == 4, "a repeated INVITE made a second call")


def unknown_source():
    sipp = LAB_IN.sipp("uac_ignored", LAB_IN.at(200), "-s", TO + "99")
    sipp.done()
    expect("SIP/2.0" not in re.sub(r"Via: SIP/2.0|[A-Z]+ sip:\S+ SIP/2.0", "", sipp.messages()), "a stranger was answered")
    expect(not TEAMS_IN.events("incoming", user=TO + "99"), "a stranger's call reached Teams")


def malformed():
    """The torture messages of RFC 4475 from a carrier's address: answered as their verdict says, and the next call works."""
    folder = ROOT / "tests/data/rfc4475"
    verdicts = tomllib.loads((folder / "verdicts.toml").read_text())
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as carrier:
        carrier.bind((LAB_IN.at(27), 5060))
        carrier.settimeout(3)
        due = {}
        for name, verdict in sorted(verdicts.items()):
            text = (folder / f"{name}.dat").read_bytes()
            call_id = re.search(rb"(?im)^(?:call-id|i)\s*:\s*(\S+)", text)
            if verdict.get("answered") and call_id:
                due[call_id.group(1).decode()] = (name, verdict["status"])
            carrier.sendto(text, (LAB_IN.sbc, 5060))
        # A last one that is well-formed: everything before it was read by then.
        carrier.sendto(options(LAB_IN.sbc, LAB_IN.at(27)), (LAB_IN.sbc, 5060))
        compared, after = set(), None
        # Answers to Vias with another port than ours go elsewhere. What is read first need not be answered first.
        while after is None or len(compared) < 5:
            try:
                answer = carrier.recv(65536).decode(errors="replace")
            except TimeoutError:
                break
            status, call_id = int(answer.split(" ", 2)[1]), re.search(r"(?im)^(?:call-id|i)\s*:\s*(\S+)", answer).group(1)
            if call_id in due:
                name, expected = due[call_id]
                expect(status == expected, f"{name} is answered {status}, not {expected}")
                compared.add(name)
            if call_id == "after-torture":
                after = status
        expect(after == 200, f"OPTIONS after them: {after}")
        expect(len(compared) >= 5, f"only {compared} of {len(due)} refusals came")
    sipp = LAB_IN.sipp("uac_basic", LAB_IN.at(27), "-s", TO + "00")
    sipp.done()


def options(sbc, address):
    return (
        f"OPTIONS sip:{sbc} SIP/2.0\r\nVia: SIP/2.0/UDP {address}:5060;branch=z9hG4bKafter;rport\r\n"
        f"From: <sip:a@{address}>;tag=1\r\nTo: <sip:{sbc}>\r\nCall-ID: after-torture\r\nCSeq: 1 OPTIONS\r\n"
        "Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    ).encode()


# ---- Calls out of Teams -------------------------------------------------------------------------------------------


class Outbound:
    def __init__(self, name):
        self.name = name

    def carrier(self, scenario, which=0, **values):
        return LAB_OUT.sipp(scenario, LAB_OUT.at(gateway(self.name, which)), **values)

    def dial(self):
        TEAMS_OUT.do("call", self.name, to=f"sip:+12065550100@{self.name}.{BASE}:5061;user=phone;transport=tls")

    def answered(self):
        TEAMS_OUT.wait("state", call=self.name, state="CONFIRMED", seconds=15)

    def hang_up(self):
        TEAMS_OUT.do("hangup", self.name)
        self.over()

    def over(self, code=None):
        fields = {} if code is None else {"code": code}
        return TEAMS_OUT.wait("state", seconds=20, call=self.name, state="DISCONNECTED", **fields)


def out_answered(name, ringing, progress):
    call = Outbound(name)
    sipp = call.carrier("uas_basic", ringing=ringing, progress=progress)
    call.dial()
    code = int(ringing[:3])
    TEAMS_OUT.wait("message", call=name, line=lambda text: text.startswith(f"SIP/2.0 {code}"))
    call.answered()
    call.hang_up()
    sipp.done()


def out_refused(name, code, cause):
    """The carrier's code and its Q.850 cause, as they reach Teams."""
    call = Outbound(name)
    sipp = call.carrier("uas_refuse", code=f"{code}\nReason: Q.850;cause={cause}")
    call.dial()
    refusal = call.over(int(code[:3]))["text"]
    sipp.done()
    expect(re.search(rf"(?mi)^Reason: *Q\.850; *cause={cause}\b", refusal), f"the cause is lost (TEAMS-058):\n{refusal}")


def out_no_answer():
    call = Outbound("silent")
    sipp = call.carrier("uas_cancelled")
    call.dial()
    call.over(480)
    sipp.done()


def out_given_up():
    call = Outbound("given-up")
    sipp = call.carrier("uas_cancelled")
    call.dial()
    TEAMS_OUT.wait("message", call="given-up", line=lambda text: text.startswith("SIP/2.0 180"))
    TEAMS_OUT.do("hangup", "given-up")
    call.over(487)
    sipp.done()


def out_digest(name, code, challenge, authorization):
    call = Outbound(name)
    sipp = call.carrier("uas_digest", code=code, challenge=challenge, authorization=authorization)
    call.dial()
    call.answered()
    call.hang_up()
    sipp.done()
    given = dict(re.findall(r'(\w+)="?([^",\r\n]+)"?', re.search(rf"\r?\n{authorization}: Digest ([^\r\n]+)", sipp.messages()).group(1)))
    md5 = lambda text: hashlib.md5(text.encode()).hexdigest()
    secret, asked = md5(f'{given["username"]}:carrier.example:open sesame'), md5(f'INVITE:{given["uri"]}')
    right = md5(":".join([secret, given["nonce"], given["nc"], given["cnonce"], given["qop"], asked]))
    expect(given["username"] == "sbc1" and given["response"] == right, f"the proof is wrong: {given}")


def out_hold():
    call = Outbound("hold")
    sipp = call.carrier("uas_hold")
    call.dial()
    call.answered()
    call.over()
    sipp.done()
    offers = [e["text"] for e in TEAMS_OUT.events("message", call="hold") if e["line"].startswith("INVITE ")]
    expect(any("a=inactive" in offer for offer in offers), "Teams was not put on hold")
    expect(not any("a=sendonly" in offer for offer in offers), "sendonly toward Teams (TEAMS-071)")


def second_gateway():
    call = Outbound("second")
    first, second = call.carrier("uas_refuse", 0, code="503 Service Unavailable"), call.carrier("uas_basic", 1, ringing="180 Ringing", progress="Content-Length: 0")
    call.dial()
    call.answered()
    call.hang_up()
    first.done()
    second.done()


def second_gateway_after_silence():
    """The first gateway hears everything and says nothing."""
    call = Outbound("second-silent")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind((LAB_OUT.at(gateway("second-silent")), 5060))
        second = call.carrier("uas_basic", 1, ringing="180 Ringing", progress="Content-Length: 0")
        call.dial()
        call.answered()
        call.hang_up()
        second.done()
        deaf.settimeout(1)
        expect(deaf.recv(65536).startswith(b"INVITE "), "the first gateway was not asked")


def never_tried_again(name, code):
    """What a user answered is final: the second gateway must not hear of the call."""
    call = Outbound(name)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as second:
        second.bind((LAB_OUT.at(gateway(name, 1)), 5060))
        first = call.carrier("uas_refuse", 0, code=code)
        call.dial()
        call.over(int(code[:3]))
        first.done()
        # It was over for Teams: whatever would have been sent to the second gateway is in its queue.
        second.settimeout(0.3)
        try:
            raise Failure(f"the second gateway got {second.recv(65536)[:80]}")
        except TimeoutError:
            pass


score = Score()
LAB_IN, TEAMS_IN = inbound()
LAB_OUT, TEAMS_OUT = outbound()
SDP = "{{sdp}}"
INBOUND = [
    ("in: CANCEL races the answer", cancel_races_answer),
    ("in: answered call", basic),
    ("in: early media", early_media),
    ("in: busy", refused, 18, "02", 486),
    ("in: declined", refused, 19, "03", 603),
    ("in: unknown number", unknown_number),
    ("in: no answer", no_answer),
    ("in: CANCEL", cancelled),
    ("in: every form of hold", holds),
    ("in: no offer in the INVITE", offerless),
    ("in: loss", loss),
    ("in: unknown source", unknown_source),
    ("in: malformed messages", malformed),
]
OUTBOUND = [
    ("out: answered call", out_answered, "basic", "180 Ringing", "Content-Length: 0"),
    ("out: early media", out_answered, "early", "183 Session Progress", SDP),
    ("out: busy", out_refused, "busy", "486 Busy Here", 17),
    ("out: declined", out_refused, "decline", "603 Decline", 21),
    ("out: no answer", out_no_answer),
    ("out: given up by Teams", out_given_up),
    ("out: digest, 401", out_digest, "digest401", "401 Unauthorized", "WWW-Authenticate", "Authorization"),
    ("out: digest, 407", out_digest, "digest407", "407 Proxy Authentication Required", "Proxy-Authenticate", "Proxy-Authorization"),
    ("out: hold by the carrier", out_hold),
    ("out: second gateway after 503", second_gateway),
    ("out: second gateway after silence", second_gateway_after_silence),
    ("out: never another gateway after 486", never_tried_again, "never486", "486 Busy Here"),
    ("out: never another gateway after 603", never_tried_again, "never603", "603 Decline"),
]
out = threading.Thread(target=score.side_by_side, args=(OUTBOUND, 3))
out.start()
score.side_by_side(INBOUND, 3)
out.join()
for lab, phone in ((LAB_IN, TEAMS_IN), (LAB_OUT, TEAMS_OUT)):
    phone.close()
    score.run(f"SIGTERM ends {lab.folder.name.split('-')[2]}bound's binary with 0", lab.stop)
score.close(*LAB_IN.peers, *LAB_OUT.peers)
