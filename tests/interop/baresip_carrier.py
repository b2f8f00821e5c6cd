#!/usr/bin/env python3
"""baresip (another family of stacks, libre) as a carrier; PJSIP as the peer like Teams. Sound is checked by content at both ends."""

import json
import socket

from _lab import Failure, Lab, Process, Score, Unheard, expect, heard, tone, until
from _pair import CARRIERS, TENANT, TO_CARRIER

CONFIG = """
poll_method epoll
sip_listen {address}:5060
net_interface {address}
call_max_calls 4
audio_source aufile,{folder}/1000.wav
audio_player aubridge,nowhere
audio_alert aubridge,nowhere
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
rtcp_mux {mux}
jitter_buffer_delay 5-10
rtp_ports 16000-16100
rtp_stats yes
snd_path {folder}
module_path /usr/lib/baresip/modules
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen {address}:4444
"""


class Baresip:
    def __init__(self, lab, mux, milliseconds):
        self.folder, address = lab.folder / "baresip", lab.at(16)
        self.folder.mkdir()
        # Its sine source knows 48 kHz alone; the file player does not repeat.
        tone(self.folder / "1000.wav", 1000, seconds=60)
        (self.folder / "config").write_text(CONFIG.format(address=address, folder=self.folder, mux=mux))
        (self.folder / "accounts").write_text(f"<sip:+12065550100@{address}>;regint=0;answermode=auto;audio_codecs=pcma;ptime={milliseconds}\n")
        (self.folder / "contacts").write_text("")
        self.process = Process("baresip", ["baresip", "-f", self.folder, "-v"], lab.folder / "baresip.log", stdin=-1)
        lab.peers.append(self.process)
        self.control = until(lambda: self._connect(address), 10, "baresip takes commands")
        self.control.settimeout(15)
        self.rest = b""

    @staticmethod
    def _connect(address):
        try:
            return socket.create_connection((address, 4444), 1)
        except OSError:
            return None

    def do(self, command, parameters=""):
        text = json.dumps({"command": command, "params": parameters, "token": command}).encode()
        self.control.sendall(b"%d:%s," % (len(text), text))

    def wait(self, kind):
        """The next event of a kind (netstrings of JSON)."""
        seen = []
        while True:
            head, found, tail = self.rest.partition(b":")
            if found and len(tail) > int(head):
                event, self.rest = json.loads(tail[: int(head)]), tail[int(head) + 1 :]
                seen.append(event.get("type"))
                if event.get("type") == kind:
                    return event
                continue
            try:
                more = self.control.recv(65536)
            except TimeoutError:
                raise Failure(f"baresip told {seen}, not {kind}: {self.process.tail(8)}") from None
            expect(more, f"baresip ended: {self.process.tail(8)}")
            self.rest += more

    def heard(self, hertz):
        """The share of a tone in what it decoded in its last call."""
        recordings = sorted(self.folder.glob("*dec.wav"), key=lambda path: path.stat().st_mtime)
        expect(recordings, f"no recording in {[path.name for path in self.folder.iterdir()]}")
        return heard(recordings[-1], hertz)


def call(direction, ended_by, mux, milliseconds=20):
    # Its RTP socket is bound to no address: on loopback the packets come from another one than its SDP says, as from
    # behind NAT. Without `nat` they are refused, rightly.
    carriers = CARRIERS.replace('options_interval = "0s"', 'options_interval = "0s"\nnat = true')
    lab = Lab("baresip", carriers=carriers, tenants={"contoso": TENANT}, extra='[cdr]\npath = "FOLDER/calls.jsonl"')
    with lab:
        teams = lab.teams_phone(play=tone(lab.folder / "440.wav", 440))
        carrier = Baresip(lab, mux, milliseconds)
        if direction == "out":
            teams.do("call", "out", to=TO_CARRIER)
            name = "out"
        else:
            carrier.do("dial", f"sip:+14255550100@{lab.sbc}:5060")
            name = teams.wait("incoming")["call"]
            teams.do("answer", name, code=180)
            teams.do("answer", name, code=200)
        teams.wait("state", call=name, state="CONFIRMED")
        carrier.wait("CALL_ESTABLISHED")
        teams.do("record", name, file=str(lab.folder / "teams.wav"))
        least = teams.stats(name)["received"] + 100
        until(lambda: teams.stats(name)["received"] >= least, 10, "Teams has 100 packets more", 0.1)
        teams.do("recorded", name)
        teams.wait("recorded", call=name)
        stats = teams.stats(name)
        expect(stats["bytes"] == stats["received"] * 160, f"Teams has packets of other lengths than 20 ms: {stats}")
        if ended_by == "carrier":
            carrier.do("hangup")
        else:
            teams.do("hangup", name)
        carrier.wait("CALL_CLOSED")
        teams.wait("state", call=name, state="DISCONNECTED")
        # What baresip has heard of ours are packets of the length that it asked for.
        records = lab.folder / "calls.jsonl"
        until(lambda: records.exists() and records.read_text().endswith("\n"), 10, "the call has a record")
        media = next(leg["media"] for leg in json.loads(records.read_text())["legs"] if leg["side"] == "carrier")
        expect(media["sent_bytes"] == media["sent_packets"] * 8 * milliseconds, f"baresip asked for {milliseconds} ms: {media}")
        at_teams, at_carrier = heard(lab.folder / "teams.wav", 1000), carrier.heard(440)
        expect(at_teams > 0.9, f"Teams hears 1000 Hz with a share of {at_teams:.2f}", Unheard)
        expect(at_carrier > 0.9, f"baresip hears 440 Hz with a share of {at_carrier:.2f}", Unheard)
        carrier.control.close()
        carrier.process.stop()
        teams.close()
        lab.stop()


score = Score()
score.side_by_side(
    [
        ("baresip calls Teams, baresip hangs up", call, "in", "carrier", "no"),
        ("Teams calls baresip, Teams hangs up", call, "out", "teams", "no"),
        ("baresip calls Teams with packets of 40 ms, Teams hangs up", call, "in", "teams", "no", 40),
        ("baresip calls Teams with packets of 30 ms, baresip hangs up", call, "in", "carrier", "no", 30),
        ("Teams calls baresip with rtcp-mux, baresip hangs up", call, "out", "carrier", "yes"),
    ],
    width=2,
)
score.close()
