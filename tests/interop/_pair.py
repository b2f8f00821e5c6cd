"""A laboratory with a PJSIP phone on each side, each playing a tone of its own."""

import time
from contextlib import contextmanager

from _lab import BASE, Failure, Lab, Unheard, expect, heard, longest_gap, tone, track, until

# Where somebody talks all the time, nobody hears nothing for longer: seconds.
LONGEST_GAP = 0.3

CARRIERS = """
[[carriers]]
id = "north"
networks = ["NET.16/28"]
gateways = [{ host = "NET.16", port = 5060, transport = "udp" }]
options_interval = "0s"
"""
TENANT = """
domains = ["contoso.example"]
label = "contoso"
carriers = ["north"]
[[numbers]]
range = "+14255550100-+14255550199"
to = "teams"
"""
TO_CARRIER = f"sip:+12065550100@contoso.{BASE}:5061;user=phone;transport=tls"


class Pair:
    """A lab with a phone on each side, each playing a tone of its own."""

    def __init__(self, name, teams=None, carrier=None, config="", lab=None):
        self.lab = lab or Lab(name, carriers=CARRIERS, tenants={"contoso": TENANT}, teams=config)
        self.lab.start()
        folder = self.lab.folder
        with self.lab.ended_on_failure():
            self.teams = self.lab.teams_phone(play=tone(folder / "440.wav", 440), **(teams or {}))
            self.carrier = self.lab.phone(
                "carrier",
                **{
                    "ip": self.lab.at(16),
                    "port": 5060,
                    "id": f"sip:+12065550100@{self.lab.at(16)}",
                    "play": tone(folder / "1000.wav", 1000),
                }
                | (carrier or {}),
            )

    def from_carrier(self, user="+14255550100", **answer):
        """An answered call; (name at the carrier, name at Teams)."""
        mark = self.teams.mark()
        self.carrier.do("call", "out", to=f"sip:{user}@{self.lab.sbc}:5060")
        incoming = self.teams.wait("incoming", since=mark)
        self.teams.do("answer", incoming["call"], code=180)
        self.carrier.wait("state", call="out", state="EARLY")
        self.teams.do("answer", incoming["call"], code=200, **answer)
        self.carrier.wait("state", call="out", state="CONFIRMED")
        self.teams.wait("state", call=incoming["call"], state="CONFIRMED")
        return "out", incoming["call"]

    def from_teams(self):
        mark = self.carrier.mark()
        self.teams.do("call", "out", to=TO_CARRIER)
        incoming = self.carrier.wait("incoming", since=mark)
        self.carrier.do("answer", incoming["call"], code=180)
        self.teams.wait("state", call="out", state="EARLY")
        self.carrier.do("answer", incoming["call"], code=200)
        self.teams.wait("state", call="out", state="CONFIRMED")
        self.carrier.wait("state", call=incoming["call"], state="CONFIRMED")
        return incoming["call"], "out"

    def hear(self, at_carrier, at_teams, label="audio", teams=440):
        """What each side hears by content, without a gap: Teams plays 440 Hz or what `teams` says, the carrier 1000 Hz. A second of three
        is proof: in the others anybody on the way may have been kept from running."""
        ends = [(self.carrier, at_carrier, teams), (self.teams, at_teams, 1000)]
        for number in (1, 2, 3):
            try:
                with self.listening(*ends, label=f"{label}-{number}"):
                    # As many packets as make a second of sound, whatever the machine's pace.
                    for phone, call, _ in ends:
                        self.packets(phone, call, phone.stats(call)["received"] + 60)
                return
            except Unheard:
                if number == 3:
                    raise

    @contextmanager
    def listening(self, *ends, label, gap=LONGEST_GAP):
        """What goes on meanwhile costs these ends (phone, call, hertz…) no sound: each of the tones is heard, and always one of
        them, but for `gap` seconds."""
        files = [self.lab.folder / f"{label}-{phone.name}-{number}.wav" for number, (phone, *_) in enumerate(ends)]
        for (phone, call, *_), file in zip(ends, files):
            # There is nothing to record before a codec is agreed on.
            phone.wait("media", call=call, codec=bool)
            phone.do("record", call, file=str(file))
        yield
        late = {}
        for phone, call, *_ in ends:
            mark = phone.mark()
            phone.do("recorded", call)
            told = phone.wait("recorded", since=mark, call=call)
            late[phone] = max(late.get(phone, 0), told["stalled"])
        # What the machine made the phones late is nobody's gap.
        stalled = sum(late.values())
        for (phone, _, *tones), file in zip(ends, files):
            for hertz in tones:
                found = heard(file, hertz)
                expect(found > 0.9, f"{label}: {phone.name} hears {hertz} Hz with a share of {found:.2f}", Unheard)
            found = track(file, *tones)
            silent = longest_gap(found)
            why = f"{label}: {phone.name} hears nothing for {silent:.2f} s, late by {stalled:.2f} s: {found}"
            expect(silent <= gap + stalled, why, Unheard)

    def no_packets_to(self, phone, call):
        """Half a second would bring 25 packets; what was on its way before it comes first, where nobody ran for a while too."""

        def more(seconds):
            before = phone.got_and_sent(call)[0]
            time.sleep(seconds)
            return phone.got_and_sent(call)[0] - before

        until(lambda: all(more(0.2) == 0 for _ in range(3)), 8, f"{phone.name} gets no more packets while the call is held")
        # A stream that is made anew counts from zero.
        expect(more(0.5) <= 0, f"{phone.name} got packets while the call is held")

    def packets(self, phone, call, least, seconds=8):
        until(lambda: phone.stats(call)["received"] >= least, seconds, f"{phone.name} has {least} packets", 0.1)

    def end(self, by, call, other, other_call):
        by.do("hangup", call)
        other.wait("state", call=other_call, state="DISCONNECTED")
        by.wait("state", call=call, state="DISCONNECTED")

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.teams.close()
        self.carrier.close()
        if kind:
            self.lab.__exit__(kind, error, trace)
        else:
            self.lab.stop()


def line(text, start):
    """The first line that begins so, case-blind, without the beginning."""
    for found in text.split("\r\n"):
        if found.lower().startswith(start.lower()):
            return found[len(start) :].strip()
    raise Failure(f"no {start} in\n{text}")
