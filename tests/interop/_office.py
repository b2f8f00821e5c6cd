"""A tenant with users whose phones register, a carrier, and Teams; whoever speaks plays a tone of its own."""

import subprocess

from _lab import BASE, BINARY, Lab, Unheard, expect, heard, tone, until
from _pair import CARRIERS

REALM = "sip.contoso.example"
LISTENERS = """
[[listeners]]
name = "users-udp"
purpose = "users"
transport = "udp"
bind = "NET.1:5080"
[[listeners]]
name = "users-tcp"
purpose = "users"
transport = "tcp"
bind = "NET.1:5080"
[[listeners]]
name = "users-tls"
purpose = "users"
transport = "tls"
bind = "NET.1:5081"
certificates = [{ certificate = "CERT.pem", key = "CERT.key" }]
[registrar]
store = "bindings.redb"
"""
TENANT = f"""
domains = ["contoso.example"]
label = "contoso"
realm = "{REALM}"
carriers = [TRUNKS]
[[numbers]]
range = "+14255550100-+14255550149"
to = "teams"
[[numbers]]
number = "+14255550150"
to = {{ user = "alice@{REALM}" }}
[[numbers]]
number = "+14255550151"
to = {{ user = "bob@{REALM}" }}
"""
USERS = {
    "alice": ("wonderland", 'number = "+14255550150"'),
    "bob": ("builder", 'number = "+14255550151"'),
    "carol": ("secret", "srtp = true"),
}


def user(name):
    word, more = USERS[name]
    made = subprocess.run([BINARY, "user", f"{name}@{REALM}"], input=word, capture_output=True, text=True)
    expect(made.returncode == 0, made.stderr)
    return f"{made.stdout}{more}\n"


class Office(Lab):
    """A lab with users, whose phones register."""

    def __init__(self, name, *, carriers="", trunks=("north",), tenant="", extra=""):
        self.hertz = {}
        named = ", ".join(f'"{trunk}"' for trunk in trunks)
        contoso = TENANT.replace("TRUNKS", named) + tenant + "".join(map(user, USERS))
        super().__init__(name, carriers=LISTENERS + CARRIERS + carriers, tenants={"contoso": contoso}, extra=extra)

    def _sbc_toml(self, carriers, teams, extra):
        chain, _, _ = self.certificate(BASE)
        return super()._sbc_toml(carriers.replace("CERT", chain.removesuffix(".pem")), teams, extra)

    def playing(self, phone, hertz):
        self.hertz[phone] = hertz
        return phone

    def device(self, name, last, hertz, transport="udp", **more):
        """A registered PJSIP phone."""
        port = 5081 if transport == "tls" else 5080
        # The certificate names the node, not its address.
        host = BASE if transport == "tls" else self.sbc
        suffix = "" if transport == "udp" else f";transport={transport}"
        phone = self.phone(
            f"{name}{last}",
            ip=self.at(last),
            port=5060,
            id=f"sip:{name}@{REALM}",
            registrar=f"sip:{REALM}{suffix}",
            proxy=f"sip:{host}:{port};lr{suffix}",
            nameserver=self.names,
            transport=transport,
            ca=str(self.ca),
            credentials=[[name, USERS[name][0]]],
            play=tone(self.folder / f"{hertz}.wav", hertz),
            **more,
        )
        registered = phone.wait("registered", seconds=15)
        expect(registered["code"] == 200, f"{name} is registered: {registered}")
        return self.playing(phone, hertz)

    def carrier(self):
        phone = self.phone(
            "carrier", ip=self.at(16), port=5060, id=f"sip:+12065550100@{self.at(16)}", play=tone(self.folder / "1000.wav", 1000)
        )
        return self.playing(phone, 1000)

    def call(self, caller, to, callee):
        """An answered call; the callee's name of it."""
        mark = callee.mark()
        caller.do("call", "out", to=to)
        incoming = callee.wait("incoming", since=mark)
        callee.do("answer", incoming["call"], code=180)
        caller.wait("state", call="out", state="EARLY")
        callee.do("answer", incoming["call"], code=200)
        caller.wait("state", call="out", state="CONFIRMED")
        callee.wait("state", call=incoming["call"], state="CONFIRMED")
        return incoming

    def hear(self, *ends):
        """Two ends (phone, call): each hears the other's tone."""
        (one, _), (other, _) = ends
        for phone, call in ends:
            phone.do("record", call, file=str(self.folder / f"{phone.name}.wav"))
        for phone, call in ends:
            least = phone.stats(call)["received"] + 60
            until(lambda phone=phone, call=call, least=least: phone.stats(call)["received"] >= least, 10, "packets", 0.1)
        for (phone, call), partner in zip(ends, (other, one)):
            phone.do("recorded", call)
            phone.wait("recorded", call=call)
            found = heard(self.folder / f"{phone.name}.wav", self.hertz[partner])
            expect(found > 0.9, f"{phone.name} hears {self.hertz[partner]} Hz with a share of {found:.2f}", Unheard)

    def end(self, caller, callee, call):
        caller.do("hangup", "out")
        callee.wait("state", call=call, state="DISCONNECTED")
        caller.wait("state", call="out", state="DISCONNECTED")
