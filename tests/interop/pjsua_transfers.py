#!/usr/bin/env python3
"""PJSIP as the Teams user and its hub hands calls on: REFER to a hub's name as Teams writes it, and INVITE with Replaces. Whoever waits
keeps its sound, and its carrier sees nothing."""

import re
import tempfile
import wave
from pathlib import Path

from _lab import BASE, HUB, Lab, Score, expect, longest_gap, tone, track, until
from _pair import CARRIERS, TENANT, TO_CARRIER, Pair, line

TENANT_ID = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"
# Somebody else in Teams: no user, but who it is in parameters.
USER = f"sip:{HUB}:5061;transport=tls;x-m=8:orgid:11111111-2222-4333-8444-555555555555;x-t={TENANT_ID}"
NUMBER = f"sip:+442079460199@{HUB}:5061;user=phone;transport=tls"
# PJSIP says in Referred-By what it says in From. Over 400 characters, as Teams' may have (TEAMS-086).
REFERRER = (
    f"<sip:+14255550100@{HUB}:5061;x-m=8:orgid:66666666-2222-4333-8444-555555555555;x-t={TENANT_ID};"
    f"x-ti=e00fba6f-edfb-4a49-a133-46f7099a23fc;x-tt={'aHR0cHM6Ly9hcGktZHUtYS1ldW5vLnBzdG5odWIuZXhhbXBsZS5jb20v' * 6}%3d>"
)
OTHER_TENANT = """
domains = ["fabrikam.example"]
label = "fabrikam"
carriers = ["north"]
[[numbers]]
number = "+14255550200"
to = "teams"
"""
TEAMS_REFERS, ANOTHER, BOT, RINGING = 440, 600, 800, 425


class Transfer(Pair):
    """A pair whose phone at Teams is everybody there, the hub too."""

    def __init__(self, name, **more):
        super().__init__(name, **more)
        self.another, self.bot = (tone(self.lab.folder / f"{hertz}.wav", hertz) for hertz in (ANOTHER, BOT))

    def refer(self, call, to):
        """What the REFER leads to: the INVITE at Teams."""
        mark = self.teams.mark()
        self.teams.do("refer", call, to=f"<{to}>")
        return self.teams.wait("incoming", since=mark)

    def notified(self, call, *codes):
        """What who referred is told of it, as far as the last word, which ends the subscription."""
        told = self.teams.wait("notified", call=call, final=True)
        expect(told["code"] == codes[-1], f"the REFER came to {told}")
        arrived = lambda: [e["text"] for e in self.teams.events("message", call=call) if e["line"].startswith("NOTIFY ")]
        # PJSIP says what it means before it shows it.
        until(lambda: len(arrived()) >= len(codes), 5, f"{len(codes)} NOTIFYs")
        steps = arrived()
        said = [int(re.search(r"\r\n\r\nSIP/2.0 (\d+)", step).group(1)) for step in steps]
        states = [line(step, "Subscription-State:").split(";")[0] for step in steps]
        expect(said == list(codes) and states == ["active"] * (len(codes) - 1) + ["terminated"], f"NOTIFYs {said} {states}")
        expect(all(line(step, "Event:") == "refer" for step in steps), f"NOTIFYs of another event:\n{steps}")

    def refused(self, call, mark, code):
        self.teams.wait("message", since=mark, call=call, line=lambda text: text.startswith(f"SIP/2.0 {code} "))

    def end_one(self, call):
        """Who has referred hangs up."""
        self.teams.do("hangup", call)
        self.teams.wait("state", call=call, state="DISCONNECTED")

    def replaces(self, call):
        """The value for Replaces that means this dialog of Teams: tags as we see them."""
        # Ours is To's tag where Teams called, From's where it was called.
        called = self.teams.events("incoming", call=call)
        kind = "said" if called else "message"
        answer = self.teams.wait(kind, call=call, line=lambda text: text.startswith("SIP/2.0 200"))["text"]
        tags = [re.search(r";tag=([^;>\s]+)", line(answer, header)).group(1) for header in ("To:", "From:")]
        ours, theirs = reversed(tags) if called else tags
        return f"{line(answer, 'Call-ID:')};to-tag={ours};from-tag={theirs}"

    def take_over(self, name, replaces, *, to=TO_CARRIER, required=False, play=None):
        headers = [["Replaces", replaces]] + ([["Require", "replaces"]] if required else [])
        self.teams.do("call", name, to=to, headers=headers, play=play or self.another)

    def carrier_saw_nothing(self, call):
        seen = [found["line"] for found in self.carrier.events("message", call=call) if not found["line"].startswith("SIP/2.0")]
        expect(not seen, f"the carrier saw {seen}")
        expect(len(self.carrier.events("incoming")) <= 1, "a transfer has called the carrier")


def one_transfer_of(invite, tenant=f"contoso.{BASE}"):
    """What the INVITE that a REFER leads to is like, whoever it calls."""
    expect(re.fullmatch(rf"<sip:\+12065550100@{re.escape(tenant)}:5061;transport=tls>.*", line(invite, "Contact:")), invite)
    expect(f"<sip:+12065550100@{tenant}" in line(invite, "From:"), line(invite, "From:"))
    expect("a=sendrecv" in invite and " RTP/SAVP " in line(invite, "m=audio"), f"no live description:\n{invite}")
    expect("\r\nReplaces:" not in invite, "Replaces toward Teams (TEAMS-043)")


def blind_to_a_user():
    """Rung, answered, hung up by who referred: the other hears the ringing tone, then whom it came to."""
    with Transfer("blind") as pair:
        # Of the bot's pitch: PJSIP's usual one is next to that of the ringing tone.
        c, t = pair.from_carrier(play=pair.bot)
        pair.hear(c, t, teams=BOT)
        incoming = pair.refer(t, USER)
        invite, another = incoming["text"], incoming["call"]
        expect(invite.startswith(f"INVITE {USER} SIP/2.0\r\n"), invite.split("\r\n")[0])
        expect(line(invite, "To:") == f"<{USER}>", line(invite, "To:"))
        one_transfer_of(invite)
        expect(line(invite, "Call-ID:") != line(pair.teams.wait("incoming", call=t)["text"], "Call-ID:"), "the old Call-ID")
        # A second of it in five: what is silent for longer has stopped.
        with pair.listening((pair.carrier, c, RINGING), label="ringing", gap=5):
            pair.teams.do("answer", another, code=180)
            pair.packets(pair.carrier, c, pair.carrier.stats(c)["received"] + 75)
        pair.teams.do("answer", another, code=200, play=pair.another)
        pair.notified(t, 100, 180, 200)
        pair.end_one(t)
        pair.hear(c, another, label="transferred", teams=ANOTHER)
        pair.carrier_saw_nothing(c)
        pair.end(pair.carrier, c, pair.teams, another)


def blind_to_a_number():
    """The hub gets the INVITE for a number too, answers at once, and nothing is missed; the old call is ours to end after 5 s."""
    with Transfer("number") as pair:
        c, t = pair.from_teams()
        with pair.listening((pair.carrier, c, TEAMS_REFERS, ANOTHER), label="on"):
            pair.packets(pair.carrier, c, 60)
            answer = pair.teams.wait("message", call=t, line=lambda text: text.startswith("SIP/2.0 200"))["text"]
            line(answer, "a=rtcp-mux")
            incoming = pair.refer(t, NUMBER)
            another = incoming["call"]
            expect(incoming["text"].startswith(f"INVITE {NUMBER} SIP/2.0\r\n"), incoming["text"].split("\r\n")[0])
            one_transfer_of(incoming["text"])
            pair.teams.do("answer", another, code=200, play=pair.another)
            answered = pair.teams.wait("state", call=another, state="CONFIRMED")["at"]
            pair.notified(t, 100, 200)
            pair.packets(pair.carrier, c, pair.carrier.stats(c)["received"] + 60)
        pair.hear(c, another, label="transferred", teams=ANOTHER)
        ended = pair.teams.wait("state", call=t, state="DISCONNECTED")["at"]
        expect(3 < ended - answered < 20, f"BYE on the old call {ended - answered:.1f} s after the answer")
        pair.hear(c, another, label="alone", teams=ANOTHER)
        # Reports every five seconds, and Teams has no other port for them than that of RTP.
        line(incoming["text"], "a=rtcp-mux")
        until(lambda: pair.teams.stats(another)["reports"] > 0, 15, "a report comes over the port of RTP", 0.2)
        pair.carrier_saw_nothing(c)
        pair.end(pair.teams, another, pair.carrier, c)


def consultative_from_hold():
    """Teams asks back while the other is on hold, then refers to whom it asked: `x-tt` says which call that was."""
    with Transfer("consult", teams={"id": REFERRER}) as pair:
        c, t = pair.from_teams()
        pair.hear(c, t)
        mark = pair.carrier.mark()
        pair.teams.do("hold", t)
        pair.carrier.wait("message", since=mark, call=c, line=lambda text: text.startswith("INVITE "))
        pair.no_packets_to(pair.carrier, c)
        mark = pair.carrier.mark()
        incoming = pair.refer(t, USER)
        invite, another = incoming["text"], incoming["call"]
        expect(invite.startswith(f"INVITE {USER} SIP/2.0\r\n"), invite.split("\r\n")[0])
        expect(len(REFERRER) > 400 and line(invite, "Referred-By:") == REFERRER, line(invite, "Referred-By:"))
        one_transfer_of(invite)
        pair.teams.do("answer", another, code=200, play=pair.another)
        resumed = pair.carrier.wait("message", since=mark, call=c, line=lambda text: text.startswith("INVITE "))["text"]
        expect("a=sendonly" not in resumed and "a=inactive" not in resumed, f"the carrier stays on hold:\n{resumed}")
        pair.notified(t, 100, 200)
        pair.end_one(t)
        pair.hear(c, another, label="transferred", teams=ANOTHER)
        pair.end(pair.teams, another, pair.carrier, c)


def refused_by_the_target():
    """The old call goes on as it was, and nobody else is asked."""
    with Transfer("declined") as pair:
        c, t = pair.from_teams()
        incoming = pair.refer(t, USER)
        pair.teams.do("answer", incoming["call"], code=486)
        pair.notified(t, 100, 486)
        pair.hear(c, t, label="went-on")
        expect(len(pair.teams.events("incoming")) == 1, "the INVITE was tried again (TEAMS-085)")
        pair.carrier_saw_nothing(c)
        pair.end(pair.carrier, c, pair.teams, t)


def refers_that_lead_elsewhere():
    """Another host, our own trunk, and PJSIP's own consultative transfer (Replaces within the URI): 403, and both calls miss nothing."""
    with Transfer("elsewhere") as pair:
        c, t = pair.from_teams()
        c2, t2 = pair.from_carrier("+14255550101")
        legs = [(pair.carrier, c, TEAMS_REFERS), (pair.carrier, c2, TEAMS_REFERS), (pair.teams, t, 1000), (pair.teams, t2, 1000)]
        with pair.listening(*legs, label="unharmed"):
            for to in ("sip:+12065550199@evil.example", f"sip:+12065550199@contoso.{BASE}:5061;transport=tls"):
                mark = pair.teams.mark()
                pair.teams.do("refer", t, to=f"<{to}>")
                pair.refused(t, mark, 403)
            mark = pair.teams.mark()
            pair.teams.do("refer-replaces", t, other=t2)
            pair.refused(t, mark, 403)
            for phone, call, _ in legs:
                pair.packets(phone, call, phone.stats(call)["received"] + 60)
        expect(len(pair.teams.events("incoming")) == 1, "a REFER that was refused led to an INVITE")
        pair.end(pair.teams, t, pair.carrier, c)
        pair.end(pair.carrier, c2, pair.teams, t2)


def agent_takes_over():
    """A queue has answered; an agent's INVITE replaces its dialog (`Require: replaces`): no gap, and the carrier sees nothing."""
    with Transfer("replaces") as pair:
        c, t = pair.from_carrier()
        with pair.listening((pair.carrier, c, TEAMS_REFERS, ANOTHER), label="on"):
            pair.packets(pair.carrier, c, 60)
            pair.take_over("agent", pair.replaces(t), required=True)
            pair.teams.wait("state", call="agent", state="CONFIRMED")
            pair.teams.wait("state", call=t, state="DISCONNECTED")
            pair.packets(pair.carrier, c, pair.carrier.stats(c)["received"] + 60)
        answer = pair.teams.wait("message", call="agent", line=lambda text: text.startswith("SIP/2.0 200"))["text"]
        expect("a=inactive" not in answer and line(answer, "m=audio").split()[1] == "RTP/SAVP", answer)
        pair.hear(c, "agent", label="taken", teams=ANOTHER)
        pair.carrier_saw_nothing(c)
        pair.end(pair.carrier, c, pair.teams, "agent")


def parked_and_fetched():
    """Held, and fetched by somebody else: the other is on hold no longer, and can hold itself."""
    with Transfer("park") as pair:
        c, t = pair.from_teams()
        mark = pair.carrier.mark()
        pair.teams.do("hold", t)
        pair.carrier.wait("message", since=mark, call=c, line=lambda text: text.startswith("INVITE "))
        pair.no_packets_to(pair.carrier, c)
        pair.take_over("fetched", pair.replaces(t))
        pair.teams.wait("state", call=t, state="DISCONNECTED")
        pair.hear(c, "fetched", label="fetched", teams=ANOTHER)
        for what in ("hold", "resume"):
            mark = pair.carrier.mark()
            pair.carrier.do(what, c)
            pair.carrier.wait("message", since=mark, call=c, line=lambda text: text.startswith("SIP/2.0 200"))
        pair.hear(c, "fetched", label="resumed", teams=ANOTHER)
        pair.end(pair.teams, "fetched", pair.carrier, c)


def music_on_hold():
    """Hold on a trunk with REFER: the other is handed to a bot that plays, and fetched back by Replaces. There is always somebody
    to be heard."""
    with Transfer("music") as pair:
        c, t = pair.from_carrier()
        with pair.listening((pair.carrier, c, TEAMS_REFERS, BOT, ANOTHER), label="on"):
            pair.packets(pair.carrier, c, 60)
            bot = pair.refer(t, USER)["call"]
            pair.teams.do("answer", bot, code=200, play=pair.bot)
            pair.notified(t, 100, 200)
            pair.end_one(t)
            pair.packets(pair.carrier, c, pair.carrier.stats(c)["received"] + 60)
            pair.take_over("back", pair.replaces(bot))
            pair.teams.wait("state", call=bot, state="DISCONNECTED")
            pair.packets(pair.carrier, c, pair.carrier.stats(c)["received"] + 60)
        pair.hear(c, "back", label="fetched", teams=ANOTHER)
        pair.carrier_saw_nothing(c)
        pair.end(pair.teams, "back", pair.carrier, c)


def nothing_to_replace():
    """No such dialog, another tenant's, one that is up for `early-only`: refused, and the call misses nothing."""
    lab = Lab("replaced", carriers=CARRIERS, tenants={"contoso": TENANT, "fabrikam": OTHER_TENANT})
    with Transfer("replaced", lab=lab) as pair:
        c, t = pair.from_teams()
        with pair.listening((pair.carrier, c, TEAMS_REFERS), (pair.teams, t, 1000), label="unharmed"):
            its = pair.replaces(t)
            elsewhere = f"sip:+12065550100@fabrikam.{BASE}:5061;user=phone;transport=tls"
            cases = [
                ("unknown", f"x{its}", 481, TO_CARRIER), ("tagless", its.replace("from-tag=", "from-tag=Z"), 481, TO_CARRIER),
                ("other-tenant", its, 481, elsewhere), ("early", f"{its};early-only", 486, TO_CARRIER),
            ]
            for name, replaces, code, to in cases:
                pair.take_over(name, replaces, to=to)
                pair.teams.wait("state", call=name, state="DISCONNECTED", code=code)
            for phone, call in ((pair.carrier, c), (pair.teams, t)):
                pair.packets(phone, call, phone.stats(call)["received"] + 60)
        pair.carrier_saw_nothing(c)
        pair.end(pair.teams, t, pair.carrier, c)


def refer_switched_off():
    """Not in Allow, not accepted; INVITE with Replaces is all the same."""
    with Transfer("norefer", config="refer = false") as pair:
        c, t = pair.from_carrier()
        allow = line(pair.teams.wait("incoming", call=t)["text"], "Allow:")
        expect("REFER" not in allow and "NOTIFY" in allow, f"Allow: {allow}")
        mark = pair.teams.mark()
        pair.teams.do("refer", t, to=f"<{USER}>")
        pair.refused(t, mark, 405)
        pair.hear(c, t)
        pair.take_over("agent", pair.replaces(t))
        pair.teams.wait("state", call=t, state="DISCONNECTED")
        pair.hear(c, "agent", label="taken", teams=ANOTHER)
        pair.end(pair.carrier, c, pair.teams, "agent")


# ---- A PBX that refers ----------------------------------------------------------------------------------------------


def pbx(name):
    return Transfer(name, lab=Lab(name, carriers=CARRIERS + "refer = true\n", tenants={"contoso": TENANT}))


def users_are_joined(pair, a, b):
    """Two Teams users hear each other, the PBX is gone, and Teams has seen nothing but INVITE and BYE (TEAMS-091)."""
    with pair.listening((pair.teams, a, ANOTHER), (pair.teams, b, TEAMS_REFERS), label="joined"):
        for call in (a, b):
            pair.packets(pair.teams, call, pair.teams.stats(call)["received"] + 60)
    seen = {found["line"].split()[0] for found in pair.teams.events("message") if not found["line"].startswith("SIP/2.0")}
    texts = [found["text"] for kind in ("message", "incoming") for found in pair.teams.events(kind)]
    expect(seen <= {"INVITE", "ACK", "BYE"}, f"Teams saw {seen}")
    expect(not any(re.search("(?mi)^(replaces|refer-to):", text) for text in texts), "Replaces or Refer-To toward Teams")
    pair.teams.do("hangup", a)
    for call in (a, b):
        pair.teams.wait("state", call=call, state="DISCONNECTED")


def pbx_hands_on():
    with pbx("pbx-blind") as pair:
        c, t = pair.from_carrier()
        mark = pair.teams.mark()
        pair.carrier.do("refer", c, to=f"<sip:+14255550101@{pair.lab.sbc}:5060>")
        incoming = pair.teams.wait("incoming", since=mark, user="+14255550101")["call"]
        pair.teams.do("answer", incoming, code=200, play=pair.another)
        pair.carrier.wait("notified", call=c, final=True, code=200)
        pair.carrier.do("hangup", c)
        users_are_joined(pair, t, incoming)


def pbx_joins_two(required):
    """PJSIP's own consultative transfer: Replaces, within the URI, of the other call that it has here."""
    with pbx("pbx-join") as pair:
        c, t = pair.from_carrier()
        mark = pair.teams.mark()
        pair.carrier.do("call", "second", to=f"sip:+14255550101@{pair.lab.sbc}:5060")
        incoming = pair.teams.wait("incoming", since=mark)["call"]
        pair.teams.do("answer", incoming, code=200, play=pair.another)
        pair.carrier.wait("state", call="second", state="CONFIRMED")
        with pair.listening((pair.teams, t, 1000, ANOTHER), (pair.teams, incoming, 1000, TEAMS_REFERS), label="on"):
            for call in (t, incoming):
                pair.packets(pair.teams, call, 60)
            pair.carrier.do("refer-replaces", c, other="second", required=required)
            pair.carrier.wait("notified", call=c, final=True, code=200)
            for call in (t, incoming):
                pair.packets(pair.teams, call, pair.teams.stats(call)["received"] + 60)
        pair.carrier.do("hangup", c)
        pair.carrier.wait("state", call="second", state="DISCONNECTED")
        users_are_joined(pair, t, incoming)


# ---- The script's own check ----------------------------------------------------------------------------------------


def the_measure_sees_gaps():
    """By a recording with half a second of nothing in it."""
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "cut.wav"
        for hertz, least, most in ((None, 0.45, 0.55), (ANOTHER, 0, 0)):
            parts = []
            for pitch in (TEAMS_REFERS, hertz, BOT):
                with wave.open(tone(Path(folder) / "part.wav", pitch or 1000, 1)) as part:
                    sound = part.readframes(4000)
                parts.append(sound if pitch else bytes(len(sound)))
            with wave.open(str(made), "wb") as out:
                out.setparams((1, 2, 8000, 0, "NONE", ""))
                out.writeframes(b"".join(parts))
            found = longest_gap(track(made, TEAMS_REFERS, ANOTHER, BOT))
            expect(least <= found <= most, f"a gap of {found} s, not of {least} to {most}")
        # Another pitch is nothing, too.
        expect(longest_gap(track(made, TEAMS_REFERS, BOT)) >= 0.45, "600 Hz passes for 440 or 800")


score = Score()
score.side_by_side(
    [
        ("REFER to a number, answered at once", blind_to_a_number),
        ("REFER to a user, rung and answered", blind_to_a_user),
        ("REFER from hold to whom Teams asked", consultative_from_hold),
        ("REFER, and the target is busy", refused_by_the_target),
        ("REFER that leads elsewhere, or bears Replaces", refers_that_lead_elsewhere),
        ("Replaces: an agent takes over from a queue", agent_takes_over),
        ("Replaces: a parked call is fetched", parked_and_fetched),
        ("REFER to music on hold, fetched back by Replaces", music_on_hold),
        ("Replaces of nothing that may be replaced", nothing_to_replace),
        ("REFER switched off", refer_switched_off),
        ("REFER of a PBX to another user", pbx_hands_on),
        ("REFER of a PBX that joins its two calls", pbx_joins_two, False),
        ("REFER of a PBX that joins its two calls and demands Replaces", pbx_joins_two, True),
        ("the measure sees gaps", the_measure_sees_gaps),
    ],
    width=4,
)
score.close()
