#!/usr/bin/env python3
"""An application made with a vendor's package from npm rings a carrier's phone, a registered user and Teams. The user and
Teams are PJSIP phones, and so is the caller: what each hears is checked by content, from the music on."""

from _application import PORT, Application
from _lab import Score, Unheard, expect, heard, tone, until
from _office import REALM, Office

PATHS = {"three": "+14255550160", "screened": "+14255550161", "patient": "+14255550162"}
SOUTH = """
[[carriers]]
id = "south"
gateways = [{ host = "NET.64", port = 5060, transport = "udp" }]
options_interval = "0s"
"""
SERVERS = '[application_servers]\nallow_loopback = true\nmedia_folder = "."\ninitial_timeout = "15s"\n'


class Applied(Office):
    """An office whose numbers lead to an application; with the caller and Teams, both up."""

    def __init__(self, path):
        tenant = "".join(
            f'[[numbers]]\nnumber = "{number}"\nto = {{ application = "{name}" }}\n[application.{name}]\n'
            f'hook = "http://NET.10:{PORT}/{name}"\ncall_status_hook = "http://NET.10:{PORT}/status"\n'
            for name, number in PATHS.items()
        )
        super().__init__(f"office-{path}", carriers=SOUTH, trunks=("north", "south"), tenant=tenant, extra=SERVERS)
        tone(self.config / "music.wav", 700, 1)

    def begin(self, path):
        self.application = Application(self, "office", "office.mjs", "@jambonz/node-client", self.at(10), REALM)
        self.teams_side = self.playing(self.teams_phone(play=tone(self.folder / "600.wav", 600)), 600)
        self.caller = self.carrier()
        self.caller.do("call", "out", to=f"sip:{PATHS[path]}@{self.sbc}:5060")

    def end_of_dial(self, path):
        done = self.application.wait(f"/{path}-done")
        expect(not [e for e in self.application.events() if e.get("faults")], f"{self.application.events()}")
        return done

    def finish(self):
        self.application.stop()
        self.stop()


def three_kinds():
    """All three ring, the caller hears music; Teams answers, the two others are told that it was elsewhere."""
    with Applied("three") as lab:
        alice = lab.device("alice", 20, 440)
        desk = lab.sipp("uas_cancelled", lab.at(64))
        lab.begin("three")
        at_alice, at_teams = alice.wait("incoming", seconds=20), lab.teams_side.wait("incoming", seconds=20)
        alice.do("answer", at_alice["call"], code=180)
        lab.teams_side.do("answer", at_teams["call"], code=180)
        lab.caller.wait("media", call="out", status=1)
        lab.caller.do("record", "out", file=str(lab.folder / "music.heard.wav"))
        least = lab.caller.stats("out")["received"] + 60
        until(lambda: lab.caller.stats("out")["received"] >= least, 10, "music", 0.1)
        lab.caller.do("recorded", "out")
        lab.caller.wait("recorded", call="out")
        share = heard(lab.folder / "music.heard.wav", 700)
        expect(share > 0.9, f"the caller hears music with a share of {share:.2f}", Unheard)
        expect(not lab.caller.events("state", call="out", state="CONFIRMED"), "the caller was answered while it rang")
        lab.teams_side.do("answer", at_teams["call"], code=200)
        lab.caller.wait("state", call="out", state="CONFIRMED")
        gone = alice.wait("state", call=at_alice["call"], state="DISCONNECTED")
        expect(gone["code"] == 487, f"alice: {gone}")
        desk.done()
        expect('text="Call completed elsewhere"' in desk.messages(), "the carrier's phone is not told why")
        lab.hear((lab.caller, "out"), (lab.teams_side, at_teams["call"]))
        lab.end(lab.caller, lab.teams_side, at_teams["call"])
        done = lab.end_of_dial("three")
        expect((done["dial_call_status"], done["dial_sip_status"]) == ("completed", 200), f"{done}")
        targets = sorted((target["status"], target["sip_status"]) for target in done["dial_targets"])
        expect(targets == [("completed", 200), ("no-answer", 487), ("no-answer", 487)], f"{targets}")
        lab.finish()


def two_are_screened():
    """Both answer and are asked at once; who presses 1 gets the call, the other one is hung up."""
    with Applied("screened") as lab:
        alice = lab.device("alice", 20, 440)
        lab.begin("screened")
        at_alice, at_teams = alice.wait("incoming", seconds=20), lab.teams_side.wait("incoming", seconds=20)
        alice.do("answer", at_alice["call"], code=200)
        lab.teams_side.do("answer", at_teams["call"], code=200)
        until(lambda: len(lab.application.seen("/ask")) == 2, 20, "both are asked")
        expect(not lab.caller.events("state", call="out", state="CONFIRMED"), "the caller was answered before anybody accepted")

        def pressed():
            seen = lab.application.seen("/asked")
            if not seen:
                alice.do("dtmf", at_alice["call"], digits="1")
            return seen

        until(pressed, 20, "the key is heard", 0.4)
        lab.caller.wait("state", call="out", state="CONFIRMED")
        lab.teams_side.wait("state", call=at_teams["call"], state="DISCONNECTED")
        lab.hear((lab.caller, "out"), (alice, at_alice["call"]))
        lab.end(lab.caller, alice, at_alice["call"])
        done = lab.end_of_dial("screened")
        expect((done["dial_call_status"], done["dial_sip_status"]) == ("completed", 200), f"{done}")
        of = {target["status"] for target in done["dial_targets"]}
        expect(of == {"completed", "no-answer"}, f"{done}")
        lab.finish()


def nobody_accepts():
    """A screening without an end ends by its time limit: that destination has failed."""
    with Applied("patient") as lab:
        lab.begin("patient")
        incoming = lab.teams_side.wait("incoming", seconds=20)
        lab.teams_side.do("answer", incoming["call"], code=200)
        lab.application.wait("/ask")
        lab.teams_side.wait("state", call=incoming["call"], state="DISCONNECTED")
        done = lab.end_of_dial("patient")
        expect((done["dial_call_status"], done["dial_sip_status"]) == ("failed", 603), f"{done}")
        refused = lab.caller.wait("state", call="out", state="DISCONNECTED")
        expect(refused["code"] == 480, f"{refused}")
        lab.finish()


score = Score()
score.side_by_side(
    [
        ("a phone, a user and Teams ring, the caller hears music, Teams answers", three_kinds),
        ("two are screened at once, one presses 1", two_are_screened),
        ("a screening that nobody ends is over in time", nobody_accepts),
    ],
    width=3,
)
score.close()
