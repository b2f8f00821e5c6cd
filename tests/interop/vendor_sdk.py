#!/usr/bin/env python3
"""Applications made with the vendor's own packages from npm, unchanged, steer calls: webhooks with WebhookResponse and the
check of the signature, and sessions of the WebSocket API. SIPp is the caller and, but for one that presses keys, every phone. What
portcullis tells an application is held against the vendor's schemas."""

import hashlib
import json
import urllib.error
import urllib.request

from _application import PORT, Application
from _lab import Lab, Score, expect, tone, until

SECRET = "wh_7JkLm2"
TOKEN = "pct_of_the_laboratory"
# A program, and the package that it is run with: the older ones, and the one that took their place.
APPLICATIONS = {
    "webhook": ("webhook.mjs", "@jambonz/node-client"),
    "webhook-new": ("webhook.mjs", "@jambonz/sdk/webhook"),
    "ws": ("ws.mjs", "@jambonz/node-client-ws"),
    "ws-new": ("ws.mjs", "@jambonz/sdk/websocket"),
}
PATHS = {"webhook": ["two", "screened", "keys", "refused", "declined"], "ws": ["dial", "screened", "verbs", "hook", "commands", "events", "parted"]}
# Every one of these calls has a number, a caller and two phones of its own.
CALLS = [(label, path) for label in APPLICATIONS for path in PATHS[label.split("-")[0]]]
RINGS = {"ringing": "180 Ringing", "progress": "Content-Length: 0"}
TENANT = f"""
domains = ["contoso.example"]
label = "contoso"
carriers = [CARRIERS]
webhook_secret = "{SECRET}"
"""


def host(label):
    return 10 + list(APPLICATIONS).index(label)


def place(label, path):
    return CALLS.index((label, path))


def phone(label, path, which):
    return 64 + 2 * place(label, path) + ["desk", "mobile"].index(which)


def number(label, path):
    return f"+142555502{place(label, path):02}"


def laboratory():
    carriers, names, tenant = '[[carriers]]\nid = "callers"\nnetworks = ["NET.32/27"]\ngateways = []\n', ["callers"], ""
    for label, path in CALLS:
        name = f"{label}-{path}"
        for which in ("desk", "mobile"):
            names.append(f"{name}-{which}")
            gateway = f'{{ host = "NET.{phone(label, path, which)}", port = 5060, transport = "udp" }}'
            carriers += f'[[carriers]]\nid = "{names[-1]}"\ngateways = [{gateway}]\noptions_interval = "0s"\n'
        tenant += f'[[numbers]]\nnumber = "{number(label, path)}"\nto = {{ application = "{name}" }}\n'
        server = f"NET.{host(label)}:{PORT}"
        kind = "ws" if label.startswith("ws") else "http"
        tenant += f'[application.{name}]\nhook = "{kind}://{server}/{path}"\n'
        tenant += 'speech = { language = "en-GB", voice = "alba" }\n'
        if kind == "http":
            tenant += f'call_status_hook = "http://{server}/status"\n'
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    tenant += f'[[tokens]]\nname = "laboratory"\nsha256 = "{digest}"\n'
    tenant = TENANT.replace("CARRIERS", ", ".join(f'"{name}"' for name in names)) + tenant
    carriers += '[api]\nbind = "NET.1:8081"\n'
    servers = '[application_servers]\nallow_loopback = true\nmedia_folder = "."\ninitial_timeout = "15s"\n'
    lab = Lab("sdk", carriers=carriers, tenants={"contoso": tenant}, extra=servers)
    tone(lab.config / "tone.wav", 440, 1)
    lab.start()
    return lab


class Steered(Application):
    """An application with the callers and the phones of its calls."""

    def __init__(self, label):
        program, package = APPLICATIONS[label]
        secrets = [SECRET, f"http://{LAB.sbc}:8081", TOKEN] if program == "webhook.mjs" else []
        super().__init__(LAB, label, program, package, LAB.at(host(label)), *secrets)

    def call(self, path, scenario="uac_hung_up", **values):
        """A call to the number of one of its paths."""
        to = number(self.label, path)
        return LAB.sipp(scenario, LAB.at(32 + place(self.label, path)), "-s", to, **values)

    def phone(self, path, which, scenario, **values):
        return LAB.sipp(scenario, LAB.at(phone(self.label, path, which)), **values)

    def statuses(self, call_sid, last):
        """What was told of a leg, once its last status was."""
        name = "call:status" if self.label.startswith("ws") else "/status"
        self.wait(name, call_sid=call_sid, call_status=last)
        return [e["data"]["call_status"] for e in self.seen(name, call_sid=call_sid)]


# ---- Webhooks -----------------------------------------------------------------------------------------------------


def two_phones(label):
    app = APPS[label]
    desk = app.phone("two", "desk", "uas_hangs_up", talk=400)
    mobile = app.phone("two", "mobile", "uas_cancelled")
    caller = app.call("two")
    done = app.wait("/two-done", to=number(label, "two"))
    expect((done["dial_call_status"], done["dial_sip_status"]) == ("completed", 200), f"{done}")
    expect(done["customerData"] == {"order": 17}, f"{done}")
    tagged = app.wait("/status", call_sid=done["dial_call_sid"], call_status="in-progress")
    expect(tagged.get("customerData") == {"order": 18}, f"{tagged}")
    for peer in (desk, mobile, caller):
        peer.done()
    invited = desk.messages()
    expect("X-Order: 17" in invited, "the header of the dial is missing")
    expect('From: "Reception" <sip:+12065550100@' in invited, "the caller has another name")
    expect(f"c=IN IP4 {LAB.sbc}" in invited, "media does not pass here")
    expect("SIP/2.0 180" in caller.messages(), "the caller was answered before the phone")
    expect('text="Call completed elsewhere"' in mobile.messages(), "the phone that lost is not told why")
    own = app.statuses(done["call_sid"], "completed")
    expect(own == ["trying", "in-progress", "completed"], f"the caller: {own}")
    child = app.statuses(done["dial_call_sid"], "completed")
    expect(child == ["trying", "ringing", "in-progress", "completed"], f"the callee: {child}")


def screened(label):
    """Both phones answer; one's hook hangs it up, the other's lets it through, until the time limit."""
    app = APPS[label]
    desk, mobile = app.phone("screened", "desk", "uas_basic", **RINGS), app.phone("screened", "mobile", "uas_basic", **RINGS)
    caller = app.call("screened")
    declined, accepted = app.wait("/decline"), app.wait("/accept")
    done = app.wait("/screened-done")
    expect(done["dial_call_status"] == "completed" and done["dial_sip_status"] == 200, f"{done}")
    expect(done["dial_call_sid"] == accepted["call_sid"] and done["dial_ended_by"] == "time_limit", f"{done}")
    expect(declined["parent_call_sid"] == done["call_sid"], f"{declined}")
    of = {target["call_sid"]: (target["status"], target["sip_status"]) for target in done["dial_targets"]}
    expect(of[declined["call_sid"]] == ("failed", 603), f"{of}")
    if label.startswith("webhook"):
        app.wait("/last")
    for peer in (desk, mobile, caller):
        peer.done()


def keys(label):
    """A phone that presses 1 is let through; *2 is told, and upon that the call is changed over REST."""
    app, address = APPS[label], LAB.at(phone(label, "keys", "desk"))
    answers = [{"user": "", "answers": [(0, 180), (0, 200)]}]
    # A phone that plays nothing sends nothing, not even keys.
    sound = str(LAB.config / "tone.wav")
    desk = LAB.phone(f"desk-{label}", ip=address, port=5060, id=f"sip:+12065550111@{address}", rules=answers, play=sound)
    caller = app.call("keys")
    incoming = desk.wait("incoming", seconds=20)["call"]

    def presses(digits, event):
        """Nobody tells the phone when its keys are listened to."""
        seen = app.seen(event)
        if not seen:
            desk.do("dtmf", incoming, digits=digits)
        return seen

    until(lambda: presses("1", "/pressed"), 20, "1 is heard", 0.5)
    until(lambda: presses("*2", "/star"), 20, "*2 is heard", 1)
    pressed, star = app.wait("/pressed"), app.wait("/star")
    expect((pressed["digits"], pressed["reason"]) == ("1", "dtmfDetected"), f"{pressed}")
    expect((star["dtmf"], star["call_sid"]) == ("*2", pressed["call_sid"]), f"{star}")
    moved, done = app.wait("/moved"), app.wait("/keys-done")
    expect(moved["call_sid"] == star["parent_call_sid"] == done["call_sid"], f"{moved}")
    expect((done["dial_call_status"], done["dial_ended_by"]) == ("completed", "application"), f"{done}")
    desk.wait("state", call=incoming, state="DISCONNECTED")
    desk.close()
    caller.done()
    expect(not app.seen("error"), f"{app.seen('error')}")


def unsupported(label):
    """What can't be done is refused whole: nobody is rung, and the application hears which property it is, the caller not."""
    app = APPS[label]
    caller = app.call("refused", "uac_refused", code=480)
    caller.done()
    told = app.wait("/status", error="hook")
    expect("onHoldMusic" in told["reason"], f"{told}")
    expect("X-Reason: the application failed" in caller.messages(), "the caller is not told that it failed")
    expect("onHoldMusic" not in caller.messages(), "the caller is told why")


def declined(label):
    APPS[label].call("declined", "uac_refused", code=486).done()


def forged(label):
    """The check of the signature can fail, and does for others than portcullis."""
    app = APPS[label]
    before = len(app.seen("refused"))
    expect(before == 0, f"requests of portcullis were refused: {app.seen('refused')}")
    for given in ({}, {"Jambonz-Signature": f"t=1,v1={'0' * 64}"}):
        headers = {"Content-Type": "application/json"} | given
        request = urllib.request.Request(f"http://{app.address}:{PORT}/two", b"{}", headers)
        try:
            urllib.request.urlopen(request, timeout=5)
            raise AssertionError("a forged request was answered")
        except urllib.error.HTTPError as error:
            expect(error.code == 403, f"{error}")
    expect(len(app.seen("refused")) == 2, f"{app.seen('refused')}")


# ---- The WebSocket API --------------------------------------------------------------------------------------------


def session(label, path):
    found = until(lambda: [e for e in APPS[label].seen("session:new") if e["path"] == f"/{path}"], 10, "session:new")
    return found[0]["data"]


def dial(label):
    app = APPS[label]
    desk = app.phone("dial", "desk", "uas_hangs_up", talk=400)
    caller = app.call("dial")
    new = session(label, "dial")
    expect(new["to"] == number(label, "dial") and new["direction"] == "inbound", f"{new}")
    expect(new["defaults"]["synthesizer"]["voice"] == "alba", f"{new}")
    done = app.wait("/dialled")
    expect(done["call_sid"] == new["call_sid"], f"{done}")
    expect((done["dial_call_status"], done["dial_sip_status"]) == ("completed", 200), f"{done}")
    desk.done()
    caller.done()
    over(app, "dial")


def other_verbs(label):
    """Verbs by command while the two talk: the callee is hung up, they are run."""
    app = APPS[label]
    desk = app.phone("verbs", "desk", "uas_basic", **RINGS)
    caller = app.call("verbs")
    desk.done()
    caller.done()
    over(app, "verbs")


def other_hook(label):
    """The same with a hook to fetch them from."""
    app = APPS[label]
    desk = app.phone("hook", "desk", "uas_basic", **RINGS)
    caller = app.call("hook")
    told = app.wait("/elsewhere")
    expect(told["call_sid"] == session(label, "hook")["call_sid"], f"{told}")
    desk.done()
    caller.done()
    over(app, "hook")


def commands(label):
    app = APPS[label]
    desk = app.phone("commands", "desk", "uas_basic", **RINGS)
    caller = app.call("commands")
    caller.done()
    desk.done()
    own = session(label, "commands")["call_sid"]
    app.statuses(own, "completed")
    expect(app.wait("call:status", call_sid=own, call_status="completed")["customerData"] == {"order": 19}, "tag")
    over(app, "commands")


def events(label):
    """Every step of every verb is told, and of which verb it is."""
    app = APPS[label]
    app.call("events").done()
    over(app, "events")
    told = [(e["data"]["event"], e["data"].get("name") or e["data"]["verb"], e["data"].get("id")) for e in app.seen("verb:status")]
    expected = [
        ("finished", "config", None),
        ("starting", "play", "hello"),
        ("start-playback", "play", "hello"),
        ("stop-playback", "play", "hello"),
        ("finished", "play", "hello"),
        ("starting", "pause", "wait"),
        ("finished", "pause", "wait"),
        ("starting", "hangup", None),
        ("finished", "hangup", None),
    ]
    expect(told == expected, f"{told}")


def parted(label):
    """The callee becomes a call of its own, steered over a connection of its own."""
    app = APPS[label]
    desk = app.phone("parted", "desk", "uas_basic", **RINGS)
    caller = app.call("parted")
    child, parent = app.wait("/child"), app.wait("/parent")
    expect(child["parent_call_sid"] == parent["call_sid"], f"{child}")
    adult = session(label, "parted/adulting")
    expect(adult["call_sid"] == child["call_sid"], f"{adult}")
    expect(adult["parent_call_info"]["call_sid"] == parent["call_sid"], f"{adult}")
    desk.done()
    caller.done()
    expect(app.statuses(child["call_sid"], "completed")[-1] == "completed", "the end of the callee")
    over(app, "parted")
    over(app, "parted/adulting")


def over(app, path):
    """The session was closed as one that is done."""
    until(lambda: [e for e in app.seen("close") if e["path"] == f"/{path}" and e["code"] == 1000], 10, "close 1000")


def no_errors(label):
    """Nothing that the package sent was refused, and nothing that it was sent surprised it."""
    for event in ("jambonz:error", "log", "error"):
        expect(not APPS[label].seen(event), f"{APPS[label].seen(event)}")


def by_schema(label):
    """Every message that an application got was what the vendor's schemas say."""
    judged = [e for e in APPS[label].events() if "faults" in e]
    wrong = [(e["event"], e["faults"]) for e in judged if e["faults"]]
    expect(len(judged) >= 10 and not wrong, f"{len(judged)} messages, of them {wrong}")


score = Score()
LAB = laboratory()
APPS = {label: Steered(label) for label in APPLICATIONS}
SCENARIOS, AFTER = [], []
for label, (_, package) in APPLICATIONS.items():
    if label.startswith("webhook"):
        SCENARIOS += [
            (f"{package}: two phones ring, one answers, the action hook goes on", two_phones, label),
            (f"{package}: screening accepts and declines", screened, label),
            (f"{package}: press 1, *2, and a change over REST", keys, label),
            (f"{package}: an unsupported property is named", unsupported, label),
            (f"{package}: sip:decline", declined, label),
        ]
        AFTER.append((f"{package}: signatures are checked", forged, label))
    else:
        SCENARIOS += [
            (f"{package}: play, dial, verb:hook", dial, label),
            (f"{package}: screening accepts and declines", screened, label),
            (f"{package}: redirect to verbs", other_verbs, label),
            (f"{package}: redirect to a hook", other_hook, label),
            (f"{package}: commands", commands, label),
            (f"{package}: verb:status of every verb", events, label),
            (f"{package}: child_call_hook", parted, label),
        ]
        AFTER.append((f"{package}: nothing was refused", no_errors, label))
    AFTER.append((f"{package}: messages are as in the schemas", by_schema, label))
score.side_by_side(SCENARIOS, 3)
for scenario in AFTER:
    score.run(*scenario)
score.run("SIGTERM ends the binary with 0", LAB.stop)
score.close(*LAB.peers)
