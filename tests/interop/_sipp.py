"""Scenarios for SIPp: files under sipp/ in which {{words}} stand for text that every scenario shares."""

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parent / "sipp"

PIECES = {
    # Headers of a request that a caller sends in its call.
    "caller": """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: "SIPp" <sip:+12065550100@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>[peer_tag_param]
Call-ID: [call_id]
Contact: <sip:+12065550100@[local_ip]:[local_port]>
Max-Forwards: 70
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS""",
    # The same for the ACK of a refusal and for CANCEL, whose Via is that of the INVITE (RFC 3261 section 17.1.1.3).
    "hop": """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-{0}];rport
From: "SIPp" <sip:+12065550100@[local_ip]:[local_port]>;tag=[pid]c[call_number]
To: <sip:[service]@[remote_ip]:[remote_port]>{1}
Call-ID: [call_id]
Max-Forwards: 70""",
    # Headers of the called side's answer, and of its answers and requests once there is a dialog.
    "answer": """[last_Via:]
[last_From:]
[last_To:];tag=[pid]s[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:gateway@[local_ip]:[local_port]>
Allow: INVITE, ACK, CANCEL, BYE, OPTIONS""",
    "reply": """[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:gateway@[local_ip]:[local_port]>""",
    "called": """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch];rport
From: <sip:gateway@[local_ip]:[local_port]>;tag=[pid]s[call_number]
To:[$from]
Call-ID: [call_id]
Contact: <sip:gateway@[local_ip]:[local_port]>
Max-Forwards: 70""",
    "hop-called": """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch-{0}];rport
From: <sip:gateway@[local_ip]:[local_port]>;tag=[pid]s[call_number]
To:[$from]
Call-ID: [call_id]
Max-Forwards: 70""",
    "empty": "Content-Length: 0",
    # Session description: version, direction, address, port.
    "sdp": """Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 53655765 {0} IN IP4 [local_ip]
s=-
c=IN IP4 {2}
t=0 0
m=audio {3} RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
a=ptime:20
a={1}""",
    # The answer to an offer of ours.
    "sdp-taken": """Content-Type: application/sdp
Content-Length: [len]

v=0
o=sipp 53655765 {0} IN IP4 [local_ip]
s=-
c=IN IP4 [local_ip]
t=0 0
m=audio [media_port] RTP/AVP 8 101
a=rtpmap:8 PCMA/8000
a=rtpmap:101 telephone-event/8000
a={1}""",
    # Where requests inside the dialog go, from an answer and from an INVITE.
    "target": """<action><ereg regexp="sips?:[^&gt; ]*" search_in="hdr" header="Contact:" assign_to="target"/></action>""",
    "invited": """<action><ereg regexp="sips?:[^&gt; ]*" search_in="hdr" header="Contact:" assign_to="target"/>
<ereg regexp=".*" search_in="hdr" header="From:" assign_to="from"/></action>""",
}
DEFAULTS = {"sdp": ["1", "sendrecv", "[local_ip]", "[media_port]"], "sdp-taken": ["1", "sendrecv"], "hop": ["1", ""], "hop-called": ["1"]}
# SIPp keeps the tag of who refused first: a request without it, and those of the dialog that it led to.
PIECES["caller-anew"] = PIECES["caller"].replace("[peer_tag_param]", "")
PIECES["caller-met"] = re.sub("To: .*", "To:[$peer]", PIECES["caller"])


def scenario(name, values):
    """The text of sipp/NAME.xml with its {{words}} filled in."""

    def fill(found):
        word, *given = found.group(1).split()
        if word in values:
            return str(values[word])
        defaults = DEFAULTS.get(word, [])
        return PIECES[word].format(*given, *defaults[len(given) :]) if defaults else PIECES[word]

    text = (FOLDER / f"{name}.xml").read_text()
    # Twice: a value may hold words too.
    for _ in range(2):
        text = re.sub(r"\{\{([^}]+)\}\}", fill, text)
    # SIPp wants one empty line before a message, and one behind a message without a body.
    return re.sub(r"<!\[CDATA\[\s*(.*?)\s*\]\]>", lambda m: f"<![CDATA[\n\n{m.group(1)}\n\n]]>", text, flags=re.S)
