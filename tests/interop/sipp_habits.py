#!/usr/bin/env python3
"""SIPp as carriers with habits: each form of hold, of session timer and of ringing. What they are sent they send back, so that a PJSIP
phone, the peer like Teams, hears its own tone both ways, or doesn't."""

import itertools
import re
import threading

from _lab import BASE, Failure, Lab, Score, Unheard, expect, longest_gap, tone, track, until
from _pair import LONGEST_GAP, line

TO = "+142555501"
HERTZ = 440
COUNT = itertools.count(1)
# For who listens to begin with it before anything changes, and for Teams' ACK, which may be late: a change before it gets 491.
SETTLED = 3000
CALLER = """
[[carriers]]
id = "north"
networks = ["NET.16/28"]
gateways = []
"""
TENANT = """
domains = ["{name}.example"]
label = "{name}"
carriers = ["{carrier}"]
[caller]
outside = "replace"
number = "{number}"
[[numbers]]
{numbers}
to = "teams"
"""
TIMER = "Supported: timer"


def expires(seconds, refresher):
    return f"Session-Expires: {seconds};refresher={refresher}"


# ---- What SIPp says -----------------------------------------------------------------------------------------------


class Script:
    """The steps of one side of a call. `who` is the headers that its requests have (words of _sipp.py)."""

    def __init__(self, who):
        self.who, self.steps, self.cseq, self.version = who, [], 0, 0

    def __str__(self):
        # SIPp refuses scenarios that never use what they keep.
        kept = "seen,target,from" if self.who == "called" else "seen,target"
        return "\n".join([*self.steps, f'<Reference variables="{kept}"/>'])

    def pause(self, milliseconds):
        self.steps.append(f'<pause milliseconds="{milliseconds}"/>')
        return self

    def description(self, direction="sendrecv", address="[local_ip]", port="[media_port]"):
        self.version += 1
        return f"{{{{sdp {self.version} {direction} {address} {port}}}}}"

    def send(self, *lines, again=True):
        text = "\n".join(found for found in lines if found)
        repeated = ' retrans="500"' if again else ""
        self.steps.append(f"<send{repeated}><![CDATA[\n{text}\n]]></send>")
        return self

    def request(self, method, *lines, uri="[$target]", cseq=None, again=True):
        if cseq is None:
            self.cseq += 1
        return self.send(f"{method} {uri} SIP/2.0", f"{{{{{self.who}}}}}", f"CSeq: {cseq or self.cseq} {method}", *lines, again=again)

    def receive(self, what, *checks, target=False, optional=False):
        """A response or a request: each check is (where, pattern), where is a header's name or `body`; None: it must not be there."""
        kind = "response" if str(what).isdigit() else "request"
        actions = ""
        if target:
            actions += '<ereg regexp="sips?:[^&gt; ]*" search_in="hdr" header="Contact:" assign_to="target"/>'
            header, variable = ("From", "from") if self.who == "called" else ("To", "peer")
            if self.who != "caller":
                actions += f'<ereg regexp=".*" search_in="hdr" header="{header}:" assign_to="{variable}"/>'
        for where, pattern in checks:
            place = 'search_in="body"' if where == "body" else 'search_in="msg"'
            found = pattern if where == "body" else f"{where}:{pattern or ''}"
            wanted = "check_it_inverse" if pattern is None else "check_it"
            actions += f'<ereg regexp="{found}" {place} {wanted}="true" assign_to="seen"/>'
        inner = f"<action>{actions}</action>" if actions else ""
        asked = ' optional="true"' if optional else ""
        self.steps.append(f'<recv {kind}="{what}"{asked}>{inner}</recv>')
        return self

    def answered(self, *checks, ack="{{empty}}", target=False):
        """The answer to an INVITE, and its ACK."""
        for early in (100, 180, 183):
            self.receive(early, optional=True)
        self.receive(200, *checks, target=target)
        return self.request("ACK", ack, cseq=self.cseq, again=False)

    def change(self, offer, *checks, headers=(), ack="{{empty}}"):
        """A re-INVITE."""
        return self.request("INVITE", *headers, offer).answered(*checks, ack=ack)

    def hang_up(self):
        return self.request("BYE", "{{empty}}").receive(200)

    def is_hung_up(self):
        return self.receive("BYE").send("SIP/2.0 200 OK", "{{reply}}", "{{empty}}", again=False)

    def refreshed(self, *checks, headers=()):
        """Our re-INVITE that says nothing new."""
        self.receive("INVITE", *checks, ("body", "o=- [0-9]+ 1 IN "))
        return self.send("SIP/2.0 200 OK", "{{reply}}", *headers, f"{{{{sdp {self.version}}}}}").receive("ACK")


def calling(*headers, checks=(("body", "m=audio [1-9]"),)):
    """A carrier that calls, as far as the ACK."""
    script = Script("caller")
    script.request("INVITE", *headers, script.description(), uri="sip:[service]@[remote_ip]:[remote_port]")
    return script.answered(*checks, target=True)


def called(*headers, checks=(("body", "m=audio [1-9]"),), before=()):
    """A carrier that is called: `before` are responses before the 200 (status line, body), each but the first after a while."""
    script = Script("called")
    script.receive("INVITE", *checks, target=True).description()
    for status, body in before:
        script.send(f"SIP/2.0 {status}", "{{answer}}", body, again=False).pause(150)
    if before:
        # Long enough to be heard, and for who listens to begin with it.
        script.pause(SETTLED if any(body != "{{empty}}" for _, body in before) else 800)
    return script.send("SIP/2.0 200 OK", "{{answer}}", *headers, "{{sdp}}").receive("ACK")


# ---- The laboratory -----------------------------------------------------------------------------------------------


OUT = ["hold", "held", "min-se", "theirs", "ours", "untimed"] + [
    "none", "180", "180s", "183-sdp", "183", "183-180", "180-183", "forwarded", "180-sdp",
    "second-503", "second-dead",
]
# Who is offered a session timer.
TIMED = {"min-se": "100s", "theirs": "90s", "untimed": "90s"}


def gateway(name, which=0):
    return 64 + 2 * OUT.index(name) + which


def laboratory():
    numbers = f'range = "{TO}00-{TO}99"'
    tenants = {"contoso": TENANT.format(name="contoso", carrier="north", number=TO + "00", numbers=numbers)}
    carriers = CALLER
    for position, name in enumerate(OUT):
        carriers += f'[[carriers]]\nid = "{name}"\noptions_interval = "0s"\n'
        gateways = [f'{{ host = "NET.{gateway(name, which)}", port = 5060, transport = "udp" }}' for which in (0, 1)]
        carriers += f"gateways = [{', '.join(gateways[: 2 if name.startswith('second') else 1])}]\n"
        if name in TIMED:
            carriers += f'session_expires = "{TIMED[name]}"\n'
        number = f"+1425555{2000 + position}"
        # A label begins with a letter.
        tenants[f"t{name}"] = TENANT.format(name=f"t{name}", carrier=name, number=number, numbers=f'number = "{number}"')
    lab = Lab("habits", carriers=carriers, tenants=tenants)
    lab.start()
    with lab.ended_on_failure():
        rules = [{"user": TO, "answers": [(0, 200)]}]
        return lab, lab.teams_phone(rules=rules, play=tone(lab.folder / "440.wav", HERTZ))


class Talk:
    """One call, recorded at Teams from its first sound to its end. `which` is the number that a caller calls, or the gateway that is
    called."""

    def __init__(self, name, script, which=0, seconds=40):
        self.name, self.seconds = name, seconds
        # The scenario may begin anew: its calls are others.
        unique = f"{name}-{next(COUNT)}"
        self.file = LAB.folder / f"{unique}.wav"
        since = TEAMS.mark()
        # Where nothing else is said, SIPp ends after 40 s.
        options = ["-rtp_echo", "-timeout", f"{seconds}s"]
        if script.who.startswith("caller"):
            self.sipp = LAB.sipp("uac_habit", LAB.at(16 + which), "-s", f"{TO}{which:02}", *options, steps=script)
            self.call = TEAMS.wait("incoming", since=since, user=f"{TO}{which:02}")["call"]
        else:
            self.sipp = LAB.sipp("uas_habit", LAB.at(gateway(name, which)), *options, steps=script)
            self.call = unique
            TEAMS.do("call", unique, to=f"sip:+12065550100@t{name}.{BASE}:5061;user=phone;transport=tls")
        TEAMS.wait("media", call=self.call, seconds=15)
        TEAMS.do("record", self.call, file=str(self.file))

    def over(self, *, by_teams=False):
        if by_teams:
            self.is_heard()
            TEAMS.do("hangup", self.call)
        try:
            self.sipp.done(self.seconds + 5)
        except Failure:
            # Not for the next call to be one too many for PJSIP.
            TEAMS.do("hangup", self.call)
            raise
        self.end = TEAMS.wait("state", call=self.call, state="DISCONNECTED")["at"]
        self.stalled = TEAMS.wait("recorded", call=self.call)["stalled"]
        self.begun = TEAMS.wait("recording", call=self.call)["at"]

    def is_heard(self):
        TEAMS.wait("state", call=self.call, state="CONFIRMED", seconds=15)
        least = TEAMS.stats(self.call)["received"] + 40
        until(lambda: TEAMS.stats(self.call)["received"] >= least, 10, f"{self.name} is heard", 0.1)

    def change(self, what):
        """Hold or resume by Teams, and its answer: when it came."""
        mark = TEAMS.mark()
        TEAMS.do(what, self.call)
        return TEAMS.wait("message", since=mark, call=self.call, line=lambda text: text.startswith("SIP/2.0 200"))["at"]

    def messages(self, start):
        return [found for found in TEAMS.events("message", call=self.call) if found["line"].startswith(start)]

    def no_gap(self, start=None, end=None, what="the call"):
        """Between two moments Teams' own tone came back all the time."""
        start, end = (start or self.begun) - self.begun, (end or self.end) - self.begun
        expect(end - start > 0.5, f"{what} lasts for {end - start:.2f} s")
        found = track(self.file, HERTZ, start=max(0, start), end=end)
        gap = longest_gap(found)
        why = f"{what}: nothing is heard for {gap:.2f} s, late by {self.stalled:.2f} s: {found}"
        expect(gap <= LONGEST_GAP + self.stalled, why, Unheard)


# ---- Hold ---------------------------------------------------------------------------------------------------------


def holds(script):
    """Every form, each followed by its end."""
    forms = [
        (script.description("sendonly"), "a=(recvonly|inactive)"), (script.description("recvonly"), "a=(sendonly|inactive)"),
        (script.description("inactive"), "a=inactive"), (script.description("sendrecv", "0.0.0.0"), "a=(inactive|recvonly)"),
        (script.description("sendrecv", port="0"), "m=audio 0 "), (script.description("inactive", "0.0.0.0"), "a=inactive"),
    ]
    script.version = 1
    for offer, answer in forms:
        script.version += 1
        script.change(re.sub(r"sdp \d+", f"sdp {script.version}", offer), ("body", answer)).pause(300)
        script.change(script.description(), ("body", "a=sendrecv"), ("body", "m=audio [1-9]")).pause(1000)
    # Without an offer: what is held, and resumed, is said in the ACK.
    # Teams is asked after the ACK, and a change before its answer gets 491.
    for direction, milliseconds in (("inactive", 1500), ("sendrecv", 1500)):
        script.version += 1
        script.change("{{empty}}", ("body", "m=audio [1-9]"), ack=f"{{{{sdp-taken {script.version} {direction}}}}}").pause(milliseconds)
    return script, len(forms) + 1


def held(talk, count):
    """Teams hears of each hold as `inactive` and of each end as `sendrecv`, at one address, and its tone is back at once."""
    talk.over()
    changes = talk.messages("INVITE ")
    first = TEAMS.wait("incoming", call=talk.call)["text"] if talk.call.startswith("in") else talk.messages("SIP/2.0 200")[0]["text"]
    where = lambda text: (line(text, "c=IN IP4"), line(text, "m=audio").split()[0])
    directions = [re.search(r"\r\na=(sendrecv|inactive|sendonly|recvonly)", found["text"]).group(1) for found in changes]
    expect(directions == ["inactive", "sendrecv"] * count, f"Teams saw {directions} (TEAMS-071)")
    expect({where(found["text"]) for found in changes} == {where(first)}, "our address or port toward Teams moved (TEAMS-073)")
    moments = [found["at"] for found in changes] + [talk.end]
    talk.no_gap(end=moments[0], what="before the first hold")
    for number in range(count):
        talk.no_gap(moments[2 * number + 1], moments[2 * number + 2], what=f"after hold {number + 1}")


def holds_of_a_caller():
    script, count = holds(calling().pause(SETTLED))
    held(Talk("in-hold", script.hang_up(), 1), count)


def holds_of_the_called():
    script, count = holds(called().pause(SETTLED))
    held(Talk("hold", script.hang_up()), count)


def held_by_teams():
    """However a carrier answers Teams' hold, and where it refuses it, Teams holds, and is heard as soon as it has resumed."""
    script, answers = called(), ["recvonly", "inactive", "sendrecv", "sendrecv 0.0.0.0", "inactive 0.0.0.0"]
    for answer in answers:
        for wanted, given in (("a=(sendonly|inactive)", answer), ("a=sendrecv", "sendrecv")):
            script.receive("INVITE", ("body", wanted)).send("SIP/2.0 200 OK", "{{reply}}", script.description(*given.split())).receive("ACK")
    script.receive("INVITE").send("SIP/2.0 488 Not Acceptable Here", "{{reply}}", "{{empty}}").receive("ACK")
    talk = Talk("held", script.is_hung_up())
    talk.is_heard()
    spans = []
    for _ in [*answers, "refused"]:
        talk.change("hold")
        resumed = talk.change("resume")
        talk.is_heard()
        spans.append((resumed, TEAMS.stats(talk.call)["at"]))
    talk.over(by_teams=True)
    for number, span in enumerate(spans):
        talk.no_gap(*span, what=f"after hold {number + 1}")


# ---- Session timers -----------------------------------------------------------------------------------------------


def undisturbed(talk, by_teams=False):
    """Nothing of it reaches Teams (TEAMS-076), and nobody misses a word."""
    talk.over(by_teams=by_teams)
    changes = talk.messages("INVITE ")
    expect(not changes, f"Teams was bothered:\n{changes}")
    talk.no_gap()


def in_without_timers():
    script = calling(checks=[("body", "m=audio [1-9]"), ("Require", None), ("Session-Expires", None)])
    undisturbed(Talk("in-untimed", script.pause(SETTLED).hang_up(), 2))


def in_refreshes_itself():
    """By re-INVITE with an offer, without one, and, though nobody allowed it, by UPDATE."""
    wanted = expires(90, "uac")
    agreed = [("Session-Expires", " 90;refresher=uac"), ("Require", " timer")]
    script = calling(TIMER, wanted, checks=agreed).pause(SETTLED)
    script.change("{{sdp 1}}", *agreed, headers=[TIMER, wanted]).pause(500)
    script.request("UPDATE", TIMER, wanted, "{{empty}}").receive(405, ("Allow", " INVITE")).pause(300)
    script.change("{{empty}}", *agreed, ("body", "m=audio [1-9]"), headers=[TIMER, wanted], ack="{{sdp-taken 1}}").pause(500)
    undisturbed(Talk("in-refreshes", script.hang_up(), 3))


def in_leaves_it_to_us():
    """Half of the shortest interval, 45 s, and then the description of the answer once more."""
    script = calling(TIMER, expires(90, "uas"), checks=[("Session-Expires", " 90;refresher=uas")])
    script.refreshed(("Session-Expires", " 90;refresher=uac"), headers=["Require: timer", expires(90, "uac")]).pause(500)
    undisturbed(Talk("in-left", script.hang_up(), 4, seconds=70))


def in_too_short():
    script = Script("caller")
    script.request("INVITE", TIMER, "Session-Expires: 60", script.description(), uri="sip:[service]@[remote_ip]:[remote_port]")
    for early in (100, 180):
        script.receive(early, optional=True)
    script.receive(422, ("Min-SE", " 90"))
    script.send("ACK sip:[service]@[remote_ip]:[remote_port] SIP/2.0", "{{hop 2 [peer_tag_param]}}", "CSeq: 1 ACK", "{{empty}}", again=False)
    script.who = "caller-anew"
    script.request("INVITE", TIMER, "Session-Expires: 90", "Min-SE: 90", "{{sdp}}", uri="sip:[service]@[remote_ip]:[remote_port]")
    script.who = "caller-met"
    script.answered(("Session-Expires", " 90;refresher=ua"), target=True).pause(SETTLED)
    undisturbed(Talk("in-short", script.hang_up(), 5))


def out_asks_for_more():
    """422 with a longer Min-SE: asked again with that, once (RFC 4028 section 7.3)."""
    script = Script("called")
    script.receive("INVITE", ("Session-Expires", " 100"))
    script.send("SIP/2.0 422 Session Interval Too Small", "{{answer}}", "Min-SE: 1800", "{{empty}}").receive("ACK")
    rest = called("Require: timer", expires(1800, "uac"), checks=[("Session-Expires", " 1800"), ("Min-SE", " 1800")])
    rest.steps = script.steps + rest.steps
    undisturbed(Talk("min-se", rest.is_hung_up()), by_teams=True)


def out_refreshes_itself():
    script = called("Require: timer", expires(90, "uas"), checks=[("Session-Expires", " 90")]).pause(SETTLED)
    script.change("{{sdp 1}}", ("Session-Expires", " 90;refresher=uac"), headers=[TIMER, expires(90, "uac")]).pause(500)
    undisturbed(Talk("theirs", script.hang_up()))


def out_leaves_it_to_us():
    """A carrier that was offered no timer and wants one all the same."""
    script = called("Require: timer", expires(90, "uac"))
    script.refreshed(("Session-Expires", " 90;refresher=uac"), headers=["Require: timer", expires(90, "uac")])
    undisturbed(Talk("ours", script.pause(500).hang_up(), seconds=70))


def out_without_timers():
    script = called(checks=[("Session-Expires", " 90")])
    undisturbed(Talk("untimed", script.is_hung_up()), by_teams=True)


# ---- Failover ---------------------------------------------------------------------------------------------------------


HELD_DOWN = []


def second_gateway(name):
    """Refused by the first, or nobody there: what is up by the second is heard both ways."""
    first = None
    if name == "second-503" and name not in HELD_DOWN:
        # It is held down then, and not asked where the scenario begins anew.
        HELD_DOWN.append(name)
        first = LAB.sipp("uas_refuse", LAB.at(gateway(name)), code="503 Service Unavailable")
    undisturbed(Talk(name, called().is_hung_up(), 1), by_teams=True)
    if first:
        first.done()


# ---- Ringing ------------------------------------------------------------------------------------------------------


PLAIN, SDP = "{{empty}}", "{{sdp}}"
RINGING = {
    # What the carrier says before its 200, and what Teams hears of it: 183 with a description, all else without (TEAMS-048).
    "none": ([], []),
    "180": ([("180 Ringing", PLAIN)], [180]),
    "180s": ([("180 Ringing", PLAIN)] * 4, [180] * 4),
    "183-sdp": ([("183 Session Progress", SDP)], [183]),
    "183": ([("183 Session Progress", PLAIN)], [180]),
    "183-180": ([("183 Session Progress", SDP), ("180 Ringing", PLAIN)], [183, 180]),
    "180-183": ([("180 Ringing", PLAIN), ("183 Session Progress", SDP)], [180, 183]),
    "forwarded": ([("181 Call Is Being Forwarded", PLAIN), ("182 Queued", PLAIN)], [181, 182]),
    "180-sdp": ([("180 Ringing", SDP)], [183]),
}


def rings(name):
    said, expected = RINGING[name]
    talk = Talk(name, called(before=said).is_hung_up())
    talk.over(by_teams=True)
    told = [found for found in talk.messages("SIP/2.0 1") if not found["line"].startswith("SIP/2.0 100")]
    codes = [int(found["line"].split()[1]) for found in told]
    expect(codes == expected, f"Teams was told {codes}, not {expected}")
    answer = talk.messages("SIP/2.0 200")[0]
    tags = {re.search(r";tag=(\S+)", line(found["text"], "To:")).group(1) for found in [*told, answer]}
    expect(len(tags) == 1, f"one carrier is {len(tags)} dialogs: {tags}")
    described = [found for found in told if "\r\nm=audio " in found["text"]]
    expect([found["line"][8:11] for found in described] == ["183"] * expected.count(183), f"descriptions in {described}")
    body = lambda found: found["text"].split("\r\n\r\n", 1)[1]
    for found in described:
        expect(body(found) == body(answer), f"200 says something else than 183:\n{found['text']}{answer['text']}")
        expect(talk.begun < answer["at"], "nothing was to be heard before the answer")
    # Early media is heard from the first moment on.
    talk.no_gap()


score = Score()
LAB, TEAMS = laboratory()
slow = threading.Thread(
    target=score.side_by_side,
    args=([("timer: a caller leaves refreshes to us", in_leaves_it_to_us), ("timer: the called leaves refreshes to us", out_leaves_it_to_us)],),
)
slow.start()
score.side_by_side(
    [
        ("hold: every form of a caller", holds_of_a_caller),
        ("hold: every form of the called", holds_of_the_called),
        ("hold: every answer to that of Teams", held_by_teams),
        ("timer: a caller without any", in_without_timers),
        ("timer: a caller refreshes, in three ways", in_refreshes_itself),
        ("timer: a caller's is too short", in_too_short),
        ("timer: the called asks for a longer one", out_asks_for_more),
        ("timer: the called refreshes", out_refreshes_itself),
        ("timer: the called has none", out_without_timers),
        ("failover: the second gateway after 503", second_gateway, "second-503"),
        ("failover: the second gateway where nobody is at the first", second_gateway, "second-dead"),
        *((f"ringing: {name}", rings, name) for name in RINGING),
    ],
    # PJSIP has four calls at most.
    width=2,
)
slow.join()
TEAMS.close()
score.run("SIGTERM ends the binary with 0", LAB.stop)
score.close(*LAB.peers)
