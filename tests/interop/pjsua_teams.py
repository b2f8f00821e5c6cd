#!/usr/bin/env python3
"""PJSIP on both sides of the binary: a peer like Teams (mutual TLS, mandatory SDES) and a carrier (UDP, plain RTP)."""

import re
import socket
import ssl
import threading

from _lab import BASE, HUB, HUB_CERTIFICATE, HUBS, Lab, Score, expect
from _pair import CARRIERS, TENANT, TO_CARRIER, Pair, line

def keeps_the_teams_contract(text, tenant=f"contoso.{BASE}"):
    """What Teams asks of every INVITE (facts of Direct Routing: names in Contact, SRTP, no forbidden extension)."""
    contact = line(text, "Contact:")
    expect(re.fullmatch(rf"<sip:[^@]+@{re.escape(tenant)}:5061;transport=tls>.*", contact), f"Contact: {contact}")
    expect("sips:" not in text, "sips: toward Teams")
    expect("record-route" not in text.lower(), "Record-Route toward Teams")
    expect(line(text, "X-MS-SBC:").count("/") == 2, "X-MS-SBC")
    for tag in ("timer", "replaces"):
        expect(tag in line(text, "Supported:"), "Supported")
    allow = line(text, "Allow:")
    for method in ("UPDATE", "PRACK", "INFO"):
        expect(method not in allow, f"Allow: {allow}")
    for method in ("REFER", "NOTIFY"):
        expect(method in allow, f"Allow: {allow}")
    expect(" RTP/SAVP " in line(text, "m=audio"), "m=audio is not RTP/SAVP")
    expect("AES_CM_128_HMAC_SHA1_80 inline:" in line(text, "a=crypto:"), "a=crypto")
    keeps_the_codecs_of_teams(text)
    for name in ("From:", "To:"):
        expect(";user=phone" in line(text, name), f"{name} {line(text, name)} (TEAMS-039)")
    for name in ("Replaces:", "Require:"):
        expect(f"\r\n{name.lower()}" not in text.lower(), f"{name} toward Teams (TEAMS-043)")
    for name in ("Session-Expires:", "Min-SE:"):
        if f"\r\n{name.lower()}" in text.lower():
            expect(int(line(text, name).split(";")[0]) >= (300 if name == "Session-Expires:" else 90), f"{name} {line(text, name)} (TEAMS-075)")


def keeps_the_codecs_of_teams(text):
    """Codecs of Teams alone, each with a number of its own (TEAMS-096, TEAMS-097)."""
    numbers = line(text, "m=audio").split()[2:]
    expect(len(numbers) == len(set(numbers)), f"a payload number twice: {numbers} (TEAMS-097)")
    names = dict(found.split(" ", 1) for found in re.findall(r"(?m)^a=rtpmap:(.*?)\r?$", text))
    expect(set(numbers) == set(names), f"numbers {numbers}, maps {names}")
    known = {"PCMU/8000", "PCMA/8000", "G722/8000", "G729/8000", "SILK/8000", "SILK/16000", "CN/8000", "CN/16000", "telephone-event/8000"}
    expect(set(names.values()) <= known, f"what Teams does not know is offered: {names}")
    expect(names.get("13") == "CN/8000" and names.get("101") == "telephone-event/8000", f"noise and events: {names}")
    expect("\r\na=ptime:20\r\n" in text, "packets of other lengths than 20 ms")


def carrier_calls_teams():
    with Pair("c2t") as pair:
        c, t = pair.from_carrier()
        incoming = pair.teams.wait("incoming")["text"]
        expect(incoming.startswith(f"INVITE sip:+14255550100@{HUB}"), incoming.split("\r\n")[0])
        keeps_the_teams_contract(incoming)
        line(incoming, "a=rtcp-mux")
        expect(pair.teams.wait("media", call=t)["srtp"], "the Teams leg is not SRTP")
        expect(not pair.carrier.wait("media", call=c)["srtp"], "the carrier leg is SRTP")
        pair.hear(c, t)
        pair.end(pair.carrier, c, pair.teams, t)


def carrier_calls_teams_hung_up_by_teams():
    with Pair("c2t-bye", teams={"mux": False}) as pair:
        c, t = pair.from_carrier()
        pair.hear(c, t)
        pair.end(pair.teams, t, pair.carrier, c)


def teams_calls_carrier():
    with Pair("t2c") as pair:
        c, t = pair.from_teams()
        invite = pair.carrier.wait("incoming")["text"]
        expect(invite.startswith("INVITE sip:+12065550100@"), invite.split("\r\n")[0])
        for hidden in ("pstnhub", "crypto", "x-ms-", BASE):
            expect(hidden not in invite.lower().replace("user-agent", ""), f"{hidden} leaves toward the carrier:\n{invite}")
        expect("<sip:+14255550100@" in line(invite, "From:"), line(invite, "From:"))
        pair.hear(c, t)
        pair.end(pair.teams, t, pair.carrier, c)


def teams_calls_carrier_hung_up_by_carrier():
    with Pair("t2c-bye") as pair:
        c, t = pair.from_teams()
        pair.hear(c, t)
        pair.end(pair.carrier, c, pair.teams, t)


def teams_cancels():
    with Pair("t2c-cancel") as pair:
        pair.teams.do("call", "out", to=TO_CARRIER)
        incoming = pair.carrier.wait("incoming")["call"]
        pair.carrier.do("answer", incoming, code=180)
        pair.teams.wait("state", call="out", state="EARLY")
        pair.teams.do("hangup", "out")
        pair.teams.wait("state", call="out", state="DISCONNECTED", code=487)
        pair.carrier.wait("state", call=incoming, state="DISCONNECTED", code=487)


def hold_by_teams():
    with Pair("hold-t") as pair:
        c, t = pair.from_teams()
        pair.hear(c, t)
        mark, at_teams = pair.carrier.mark(), pair.teams.mark()
        pair.teams.do("hold", t)
        pair.carrier.wait("message", since=mark, call=c, line=lambda text: text.startswith("INVITE "))
        pair.teams.wait("message", since=at_teams, call=t, line=lambda text: text.startswith("SIP/2.0 200"))
        pair.no_packets_to(pair.teams, t)
        mark, at_teams = pair.carrier.mark(), pair.teams.mark()
        pair.teams.do("resume", t)
        resumed = pair.carrier.wait("message", since=mark, call=c, line=lambda text: text.startswith("INVITE "))["text"]
        expect("a=sendonly" not in resumed and "a=inactive" not in resumed, resumed)
        pair.teams.wait("message", since=at_teams, call=t, line=lambda text: text.startswith("SIP/2.0 200"))
        pair.hear(c, t, label="resumed")
        pair.end(pair.teams, t, pair.carrier, c)


def hold_by_carrier():
    with Pair("hold-c") as pair:
        c, t = pair.from_carrier()
        pair.hear(c, t)
        port = line(pair.teams.wait("incoming")["text"], "m=audio").split()[0]
        for what in ("hold", "resume"):
            mark, at_carrier = pair.teams.mark(), pair.carrier.mark()
            pair.carrier.do(what, c)
            invite = pair.teams.wait("message", since=mark, call=t, line=lambda text: text.startswith("INVITE "))["text"]
            keeps_the_teams_contract(invite)
            expect(line(invite, "m=audio").split()[0] == port, "our port toward Teams moved (TEAMS-073)")
            expect("c=IN IP4 0.0.0.0" not in invite, "c=0.0.0.0 toward Teams")
            held = "a=inactive" in invite
            expect("a=sendonly" not in invite and "a=recvonly" not in invite, "hold that Teams does not know (TEAMS-071)")
            expect(held == (what == "hold"), f"{what}:\n{invite}")
            pair.carrier.wait("message", since=at_carrier, call=c, line=lambda text: text.startswith("SIP/2.0 200"))
            if held:
                pair.no_packets_to(pair.carrier, c)
                pair.no_packets_to(pair.teams, t)
            else:
                pair.hear(c, t, label=what)
        pair.end(pair.carrier, c, pair.teams, t)


def codec_lock():
    """A peer that narrows the answer's codecs by a re-INVITE at once."""
    codecs = {"lock_codec": True, "codecs": ["PCMU", "PCMA", "G722"]}
    with Pair("lock", teams=codecs, carrier=codecs) as pair:
        c, t = pair.from_teams()
        pair.hear(c, t)
        for phone, call in ((pair.teams, t), (pair.carrier, c)):
            mark = phone.mark()
            phone.do("reinvite", call)
            phone.wait("message", since=mark, call=call, line=lambda text: text.startswith("SIP/2.0 200"))
        pair.hear(c, t, label="again")
        pair.end(pair.carrier, c, pair.teams, t)


def codecs(at_carrier):
    """A carrier that may have one codec against each one that PJSIP shares with Teams: what is alike passes, else it is recoded."""
    lab = Lab(f"codec-{at_carrier.lower()}", carriers=f'{CARRIERS}codecs = ["{at_carrier}"]\n', tenants={"contoso": TENANT})
    with Pair("codecs", lab=lab, carrier={"codecs": [at_carrier]}) as pair:
        for at_teams in ("PCMU", "PCMA", "G722"):
            pair.teams.do("codecs", None, codecs=[at_teams])
            for place in (pair.from_teams, pair.from_carrier)[: 2 if at_teams == at_carrier else 1]:
                marks = [phone.mark() for phone in (pair.carrier, pair.teams)]
                c, t = place()
                for phone, call, codec, mark in zip((pair.carrier, pair.teams), (c, t), (at_carrier, at_teams), marks):
                    media = phone.wait("media", since=mark, call=call, status=1)
                    expect(media["codec"] == codec, f"{phone.name} speaks {media['codec']}, not {codec}")
                pair.hear(c, t, label=f"{at_teams}-{place.__name__}")
                pair.end(pair.carrier, c, pair.teams, t)


def digits():
    with Pair("dtmf") as pair:
        c, t = pair.from_teams()
        pair.hear(c, t)
        pair.teams.do("dtmf", t, digits="1590#")
        pair.carrier.do("dtmf", c, digits="267*")
        for phone, call, digits in ((pair.carrier, c, "1590#"), (pair.teams, t, "267*")):
            phone.wait("dtmf", call=call, digit=digits[-1])
            seen = "".join(event["digit"] for event in phone.events("dtmf", call=call))
            expect(seen == digits, f"{phone.name} got {seen}, not {digits}")
        pair.end(pair.carrier, c, pair.teams, t)


def session_timers():
    """Both directions at once, peers that ask for the shortest timer that RFC 4028 has: refreshed after 45 s, still up and heard
    after. Only Teams when it is called: it is offered no timer that short (TEAMS-075)."""
    with Pair("timer", teams={"timer": 90}, carrier={"timer": 90}, config='min_se = "90s"') as pair:
        c_in, t_out = pair.from_teams()
        c_out, t_in = pair.from_carrier("+14255550101")
        # A refresh is an INVITE that arrives inside the dialog, or the 200 to one that was sent.
        legs = [(pair.teams, t_out), (pair.carrier, c_out)]
        marks = [phone.mark() for phone, _ in legs]
        for (phone, call), mark in zip(legs, marks):
            phone.wait("message", seconds=60, since=mark, call=call, line=lambda text: text.startswith(("INVITE ", "SIP/2.0 200")))
        # Reports of our own came meanwhile (RFC 3550), on the secured leg and on the plain one.
        for phone, call in [*legs, (pair.teams, t_in), (pair.carrier, c_in)]:
            expect(phone.stats(call)["reports"] > 0, f"no RTCP report reached {phone.name}")
        pair.hear(c_out, t_in, label="one")
        pair.end(pair.carrier, c_out, pair.teams, t_in)
        pair.hear(c_in, t_out, label="two")
        pair.end(pair.teams, t_out, pair.carrier, c_in)


def refusals():
    """What the Teams user says reaches the carrier, and the other way round."""
    with Pair("refusals") as pair:
        for code, expected in ((486, 486), (603, 603), (480, 480), (404, 404)):
            name = f"c{code}"
            mark = pair.teams.mark()
            pair.carrier.do("call", name, to=f"sip:+14255550100@{pair.lab.sbc}:5060")
            incoming = pair.teams.wait("incoming", since=mark)["call"]
            pair.teams.do("answer", incoming, code=code)
            pair.carrier.wait("state", call=name, state="DISCONNECTED", code=expected)
            name = f"t{code}"
            mark = pair.carrier.mark()
            pair.teams.do("call", name, to=TO_CARRIER)
            incoming = pair.carrier.wait("incoming", since=mark)["call"]
            pair.carrier.do("answer", incoming, code=code)
            pair.teams.wait("state", call=name, state="DISCONNECTED", code=expected)
        expect(len(pair.teams.events("incoming")) == 4, "a refusal was tried again at Teams (TEAMS-064)")


def unknown_trunk():
    with Pair("unknown") as pair:
        pair.teams.do("call", "out", to=f"sip:+12065550100@nobody.{BASE}:5061;transport=tls")
        pair.teams.wait("state", call="out", state="DISCONNECTED", code=404)
        expect(not pair.carrier.events("incoming"), "an unknown tenant's call left")


def hub_failover():
    """The first hub refuses connections: the second one gets the call."""
    hubs = f'hubs = ["{HUBS[0]}:5999", "{HUBS[1]}"]'
    with Pair("hubs", config=hubs) as pair:
        c, t = pair.from_carrier()
        expect(pair.teams.wait("incoming")["text"].startswith(f"INVITE sip:+14255550100@{HUBS[1]}"), "not the second hub")
        pair.hear(c, t)
        pair.end(pair.teams, t, pair.carrier, c)


def options_to_hubs():
    """OPTIONS come by themselves, over a connection that proves both ends; who is not a hub is not let in."""
    lab = Lab("options", carriers=CARRIERS, tenants={"contoso": TENANT}, teams=f'hubs = ["{HUB}:5062"]')
    certificate, key, ca = lab.certificate(HUB_CERTIFICATE)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=ca)
    server.verify_mode = ssl.CERT_REQUIRED
    server.load_cert_chain(certificate, key)
    with socket.create_server((lab.teams, 5062)) as listener, lab:
        listener.settimeout(10)
        plain, _ = listener.accept()
        with server.wrap_socket(plain, server_side=True) as hub:
            names = [value for kind, value in hub.getpeercert()["subjectAltName"] if kind == "DNS"]
            expect(BASE in names, f"the client certificate names {names}")
            hub.settimeout(10)
            request = hub.recv(65536).decode()
            expect(request.startswith(f"OPTIONS sip:{HUB}:5062;transport=tls SIP/2.0"), request)
            expect(line(request, "Contact:") == f"<sip:{BASE}:5061;transport=tls>", line(request, "Contact:"))
            line(request, "X-MS-SBC:")
        client = ssl.create_default_context(cafile=ca)
        with socket.create_connection((lab.sbc, 5061), 5, (lab.teams, 0)) as plain:
            client.load_cert_chain(certificate, key)
            with client.wrap_socket(plain, server_hostname=f"contoso.{BASE}") as teams:
                teams.settimeout(5)
                teams.sendall(
                    f"OPTIONS sip:{BASE}:5061;transport=tls SIP/2.0\r\nVIA: SIP/2.0/TLS {lab.teams}:5061;branch=z9hG4bKo1\r\n"
                    f"FROM: <sip:{HUB}>;tag=1\r\nTO: <sip:{BASE}>\r\nCALL-ID: o1\r\nCSEQ: 1 OPTIONS\r\n"
                    "MAX-FORWARDS: 70\r\nCONTENT-LENGTH: 0\r\n\r\n".encode()
                )
                answer = teams.recv(65536).decode()
                expect(answer.startswith("SIP/2.0 200"), answer)
                line(answer, "Allow:")
        for wrong in (None, lab.certificate(BASE)):
            stranger = ssl.create_default_context(cafile=ca)
            if wrong:
                stranger.load_cert_chain(wrong[0], wrong[1])
            try:
                with socket.create_connection((lab.sbc, 5061), 5, (lab.teams, 0)) as plain:
                    with stranger.wrap_socket(plain, server_hostname=BASE) as refused:
                        refused.settimeout(5)
                        # TLS 1.3: the refusal comes with the first read.
                        expect(not refused.recv(1), "a stranger got an answer")
            except (ssl.SSLError, ConnectionError):
                pass
        lab.stop()


score = Score()
slow = threading.Thread(target=score.run, args=("session timers are refreshed", session_timers))
slow.start()
score.side_by_side(
    [
        ("carrier calls Teams, carrier hangs up", carrier_calls_teams),
        ("carrier calls Teams, Teams hangs up", carrier_calls_teams_hung_up_by_teams),
        ("Teams calls carrier, Teams hangs up", teams_calls_carrier),
        ("Teams calls carrier, carrier hangs up", teams_calls_carrier_hung_up_by_carrier),
        ("Teams cancels", teams_cancels),
        ("hold and resume by Teams", hold_by_teams),
        ("hold and resume by the carrier", hold_by_carrier),
        ("re-INVITE that locks the codec", codec_lock),
        ("each codec of Teams against PCMU", codecs, "PCMU"),
        ("each codec of Teams against PCMA", codecs, "PCMA"),
        ("each codec of Teams against G722", codecs, "G722"),
        ("digits both ways", digits),
        ("refusals", refusals),
        ("unknown trunk name", unknown_trunk),
        ("second hub", hub_failover),
        ("OPTIONS and certificates", options_to_hubs),
    ],
    width=3,
)
slow.join()
score.close()
