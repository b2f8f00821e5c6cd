"""A laboratory on loopback addresses: certificates, configuration, the binary, phones, tones, and the count of what passed.

Every lab has a network 127.X.Y.0/24 of its own, so that labs run side by side on the ports that SIP always has:
.1 the SBC, .3 the peer like Teams, .9 a name server for peers that know no hosts file, from .16 up carriers."""

import atexit
import json
import math
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import traceback
import wave
from array import array
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import _sipp

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BINARY = Path(os.environ.get("PORTCULLIS_BIN", ROOT / "target/debug/portcullis"))
BASE = "sbc1.example.net"
HUB = "sip.pstnhub.microsoft.com"
# One that bears the names of all hubs, as Microsoft's do.
HUB_CERTIFICATE = "pstnhub.microsoft.com"
HUBS = [HUB, "sip2.pstnhub.microsoft.com", "sip3.pstnhub.microsoft.com"]


class Failure(Exception):
    """What was expected didn't come."""


class Unheard(Failure):
    """Who should be heard was not, or not all the time: what a machine that has too much to do brings about as well."""


def expect(condition, what, failure=Failure):
    if not condition:
        raise failure(what)


def until(condition, seconds, what, step=0.02):
    """Waits for a condition that nobody announces; its value."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Failure(f"{what} not within {seconds} s")
        time.sleep(step)


# ---- The count ----------------------------------------------------------------------------------------------------

# What a failure bears where a peer has crashed.
FALLEN = "-- a peer itself has crashed"
CRASHES = {-number for number in (signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV)}


def crashed(peer):
    """In words, where a peer has ended by a fault of its own: PJSIP asserts and races, now and then."""
    code = peer.process.poll()
    return f"{peer.name} by signal {-code}" if code in CRASHES else ""


class Score:
    """One line a scenario; the closing line is what tests/run adds up.

    What a peer that has crashed leaves undone says nothing of anybody else: its scenario begins anew, twice at most. The binary is no
    peer. Once it begins anew for what was not heard: the machine may have kept anybody on the way from running, and that does not come
    twice; sound that is broken does. So does sound that is broken now and then: two scenarios of a script may begin anew for that."""

    def __init__(self):
        self.passed, self.failed, self.unheard, self.lock = 0, 0, 0, threading.Lock()
        self.only = sys.argv[1:]

    def run(self, name, scenario, *args):
        if self.only and not any(word in name for word in self.only):
            return False
        begun = time.monotonic()
        for attempt in range(3):
            unheard = False
            try:
                scenario(*args)
                verdict, why = "ok", ""
            except Failure as failure:
                verdict, why = "FAILED", "\n".join([f": {failure}", *getattr(failure, "__notes__", [])])
                unheard = isinstance(failure, Unheard)
            except Exception:
                verdict, why = "FAILED", "\n" + traceback.format_exc()
            with self.lock:
                self.unheard += unheard
                forgiven = unheard and attempt == 0 and self.unheard <= 2
            if not (FALLEN in why and attempt < 2 or forgiven):
                break
            print(f"anew   {name}{why}", flush=True)
        with self.lock:
            if verdict == "ok":
                self.passed += 1
            else:
                self.failed += 1
            print(f"{verdict:6} {name} ({time.monotonic() - begun:.1f} s){why}", flush=True)
        return verdict == "ok"

    def side_by_side(self, scenarios, width=4):
        """Runs (name, function, arguments…) in parallel."""
        with ThreadPoolExecutor(width) as pool:
            for future in [pool.submit(self.run, *scenario) for scenario in scenarios]:
                future.result()

    def close(self, *shared):
        """Where a peer that scenarios share has crashed, the whole script once more in place of this run."""
        fallen = ", ".join(filter(None, map(crashed, shared)))
        if self.failed and fallen and "PORTCULLIS_ANEW" not in os.environ:
            end_all()
            print(f"{FALLEN}: {fallen}: the script begins anew", flush=True)
            os.environ["PORTCULLIS_ANEW"] = "1"
            os.execv(sys.executable, [sys.executable, *sys.argv])
        end_all()
        print(f"{self.passed} passed, {self.failed} failed", flush=True)
        # Threads that read a dead peer's pipe are no reason to stay.
        os._exit(1 if self.failed or not self.passed else 0)


# ---- Processes ----------------------------------------------------------------------------------------------------


RUNNING = []
STARTING = threading.RLock()
# What else is taken back at the end.
TAKEN_BACK = []


def end_all(*signalled):
    """Leaves nothing of ours behind, whatever happened: at the end of the script, also by an error that nobody caught, and when
    somebody or a time limit ends it."""
    # Never given back: no other thread starts anything from here on.
    STARTING.acquire(timeout=5)
    for process in RUNNING:
        if process.poll() is None:
            process.kill()
            process.wait()
    for take_back in TAKEN_BACK:
        take_back()
    if signalled:
        os._exit(1)


atexit.register(end_all)
for end in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    # Whoever has had one ignored, as nohup has, meant it.
    if signal.getsignal(end) is not signal.SIG_IGN:
        signal.signal(end, end_all)


def begin(command, **options):
    """A process that ends with us."""
    with STARTING:
        process = subprocess.Popen([str(word) for word in command], **options)
        RUNNING.append(process)
    return process


class Process:
    """A process of ours whose output goes to a file; ended by its id."""

    def __init__(self, name, command, log, **options):
        self.name, self.log = name, Path(log)
        with open(self.log, "wb") as out:
            self.process = begin(command, stdout=out, stderr=subprocess.STDOUT, **options)

    def wait(self, seconds):
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Failure(f"{self.name} did not end within {seconds} s") from None

    def stop(self, signum=signal.SIGTERM, seconds=10):
        if self.process.poll() is None:
            self.process.send_signal(signum)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise Failure(f"{self.name} did not stop within {seconds} s of signal {signum}") from None

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def tail(self, lines=20):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


class Names(threading.Thread):
    """A name server that knows the lab's names: A records only."""

    def __init__(self, bound, names):
        super().__init__(daemon=True)
        self.names, self.socket, self.open = names, bound, True
        self.socket.settimeout(0.2)
        self.start()

    def close(self):
        self.open = False
        self.join()
        self.socket.close()

    def run(self):
        while self.open:
            try:
                query, peer = self.socket.recvfrom(1500)
            except TimeoutError:
                continue
            labels, at = [], 12
            while query[at]:
                labels.append(query[at + 1 : at + 1 + query[at]].decode().lower())
                at += 1 + query[at]
            kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
            question = query[12 : at + 5]
            name = ".".join(labels)
            address = self.names.get(name) or self.names.get("*." + name.split(".", 1)[-1])
            answer = b""
            if address and kind == 1:
                answer = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + socket.inet_aton(address)
            flags = 0x8580 if address else 0x8583
            head = query[:2] + struct.pack("!HHHHH", flags, 1, 1 if answer else 0, 0, 0)
            self.socket.sendto(head + question + answer, peer)


class Lab:
    """Certificates, a configuration and the binary that runs it."""

    def __init__(self, name, *, carriers, tenants, bind=None, teams="", extra=""):
        expect(BINARY.exists(), f"{BINARY} is missing: cargo build")
        self.net, answers = self.free_network()
        self.sbc, self.teams, self.names = self.at(1), self.at(3), self.at(9)
        self.bind = bind or self.sbc
        self.folder = Path(tempfile.mkdtemp(prefix=f"portcullis-{name}-"))
        self.config = self.folder / "config"
        (self.config / "tenants").mkdir(parents=True)
        # PJSIP takes no wildcards (RFC 5922 section 7.2): every trunk name has a certificate of its own.
        self.trunks = [f"{tenant}.{BASE}" for tenant in [*tenants, "nobody"]]
        wanted = [word for made in [BASE, *self.trunks, HUB_CERTIFICATE] for word in ("--name", made)]
        made = subprocess.run(
            [BINARY, "certs", "dev", "--out", self.folder / "certs", *wanted],
            capture_output=True, text=True,
        )
        expect(made.returncode == 0, f"certs dev: {made.stderr}")
        self.ca = self.folder / "certs/ca.pem"
        (self.config / "sbc.toml").write_text(self._sbc_toml(carriers, teams, extra))
        for tenant, text in tenants.items():
            (self.config / f"tenants/{tenant}.toml").write_text(text.replace("NET", self.net))
        checked = subprocess.run([BINARY, "check", "--config", self.config], capture_output=True, text=True)
        expect(checked.returncode == 0, f"check: {checked.stdout}{checked.stderr}")
        self.peers = []
        self.binary = None
        self.name_server = Names(answers, {"*." + BASE: self.sbc, BASE: self.sbc} | {hub: self.teams for hub in HUBS})

    # Networks that labs of this script have had. None comes again: what a lab leaves may end later than its name server.
    had = set()
    choosing = threading.Lock()

    def free_network(self):
        """The network's first three bytes, and the name server's socket."""
        with self.choosing:
            return self.choose_network()

    def choose_network(self):
        for attempt in range(200):
            net = f"127.{20 + (os.getpid() + attempt) % 200}.{(os.getpid() // 200 + attempt) % 250}"
            if net in self.had:
                continue
            probe = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            try:
                probe.bind((f"{net}.9", 53))
                self.had.add(net)
                return net, probe
            except OSError:
                probe.close()
        raise Failure("no loopback network is free")

    def at(self, last):
        return f"{self.net}.{last}"

    def admin(self):
        return self.bind if self.bind.startswith("127.") else "127.0.0.1"

    def certificate(self, name):
        return [str(self.folder / f"certs/{name}.pem"), str(self.folder / f"certs/{name}.key"), str(self.ca)]

    def _sbc_toml(self, carriers, teams, extra):
        ca = self.certificate(BASE)[2]
        shown = ", ".join(
            f'{{ certificate = "{chain}", key = "{key}" }}' for chain, key, _ in map(self.certificate, [BASE, *self.trunks])
        )
        hosts = ", ".join(f'"{hub}" = ["{self.teams}"]' for hub in HUBS)
        # Behind NAT what peers are told is not what is bound.
        told = f'advertise = "{self.sbc}"' if self.bind != self.sbc else ""
        loopback = "true" if self.bind.startswith("127.") else "false"
        return f"""
drain = "5s"
[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "{self.bind}:5061"
certificates = [{shown}]
[[listeners]]
name = "udp"
purpose = "carrier"
transport = "udp"
bind = "{self.bind}:5060"
{told}
[media]
bind = "{self.bind}"
allow_loopback = {loopback}
{told}
[teams]
base = "{BASE}"
networks = ["{self.teams}/32"]
roots = "{ca}"
{teams}
[dns]
servers = ["{self.names}"]
hosts = {{ {hosts} }}
[admin]
bind = "{self.admin()}:8080"
[log]
level = "debug"
{extra.replace("FOLDER", str(self.folder))}
{carriers.replace("NET", self.net)}
"""

    def __enter__(self):
        self.start()
        return self

    def start(self):
        command = [*self.within("sbc"), BINARY, "run", "--config", self.config]
        self.binary = Process("portcullis", command, self.folder / "portcullis.log")
        with self.ended_on_failure():
            until(self.listens, 15, "the binary listens")

    def within(self, place):
        """What a command begins with to run where the SBC or its peers are: nothing, all are on one machine."""
        return []

    def listens(self):
        expect(self.binary.process.poll() is None, f"the binary ended: {self.binary.tail()}")
        with socket.socket() as probe:
            probe.bind((self.teams, 0))
            return probe.connect_ex((self.sbc, 5061)) == 0

    def at_ease(self):
        """Waits while the binary refuses calls because the machine has too much to do, as it may when everything starts."""

        def takes_calls():
            if not self.binary:
                return True
            told = re.findall(r"no longer overloaded|overloaded: a share", self.binary.log.read_text(errors="replace"))
            return not told or told[-1].startswith("no")

        until(takes_calls, 30, "the binary takes calls again")

    def __exit__(self, kind, error, trace):
        try:
            if kind and issubclass(kind, Exception) and not getattr(error, "__notes__", None):
                for told in self.story():
                    error.add_note(told)
        finally:
            for peer in self.peers:
                peer.close()
            if kind:
                self.name_server.close()
                self.binary.stop(signal.SIGKILL)

    def story(self):
        """What everybody has said last, for whoever reads of a failure where the machine that saw it is gone."""
        for peer in self.peers:
            if crashed(peer):
                yield f"{FALLEN}: {crashed(peer)}"
            if isinstance(peer, Phone):
                with peer.arrived:
                    last = peer.last_events()
                yield f"-- {peer.name}: {last}"
                if peer.process.poll() is not None:
                    yield f"-- {peer.name} has ended with {peer.process.returncode}: {peer.said()}"
        if self.binary:
            yield f"-- the binary's log:\n{self.binary.tail(25)}"

    @contextmanager
    def ended_on_failure(self):
        """What is begun before somebody can enter the lab: nothing of it stays when it fails."""
        try:
            yield
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise

    def stop(self):
        """SIGTERM with no call up: the binary has to end, with 0, by itself; an INVITE that nobody has answered lasts as long as `drain`."""
        code = self.binary.stop(signal.SIGTERM, 20)
        self.name_server.close()
        expect(code == 0, f"exit code {code} after SIGTERM; the log ends with:\n{self.binary.tail()}")
        text = self.binary.log.read_text(errors="replace")
        expect("panicked" not in text, f"a panic: {text}")
        shutil.rmtree(self.folder, ignore_errors=True)

    # ---- Peers ------------------------------------------------------------------------------------------------

    def phone(self, name, **settings):
        return Phone(self, name, settings)

    def teams_phone(self, **settings):
        """A peer like Teams at the hubs' address: mutual TLS, mandatory SRTP."""
        return self.phone(
            "teams",
            **{
                "ip": self.teams,
                "port": 5061,
                "id": f"sip:+14255550100@{HUB}",
                "contact": f"<sip:+14255550100@{HUB}:5061;transport=tls>",
                "tls": self.certificate(HUB_CERTIFICATE),
                "nameserver": self.names,
                "srtp": True,
                "mux": True,
            }
            | settings,
        )

    def sipp(self, scenario, address, *options, target=None, count=1, **values):
        """SIPp at a carrier's address, with a scenario of ours."""
        folder = Path(tempfile.mkdtemp(prefix=f"sipp-{scenario}-", dir=self.folder))
        (folder / "scenario.xml").write_text(_sipp.scenario(scenario, values))
        command = [
            "sipp", "-sf", folder / "scenario.xml", "-i", address, "-p", 5060, "-mi", address, "-m", count, "-l", 1,
            "-nostdin", "-timeout", "40s", "-timeout_error", "-trace_err", "-error_file", folder / "errors",
            "-trace_msg", "-message_file", folder / "messages", *options,
        ]
        if scenario.startswith("uac"):
            self.at_ease()
            command.append(f"{target or self.sbc}:5060")
        peer = Sipp(scenario, command, folder / "output", cwd=folder)
        peer.folder = folder
        self.peers.append(peer)
        if scenario.startswith("uas"):
            peer.listens(address)
        return peer


def has_udp_socket(address, port):
    """Whether somebody has bound it. Nobody finds out by binding it himself: whoever wants it just then would not get it."""
    bound = f"{struct.unpack('=I', socket.inet_aton(address))[0]:08X}:{port:04X}"
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    return any(line.split()[1] == bound for line in lines)


class Sipp(Process):
    def listens(self, address, port=5060):
        """Waits for its socket, on a slow machine too; one that has ended is not waited for."""

        def is_there():
            expect(self.process.poll() is None, f"sipp {self.name} ended with {self.process.returncode}")
            return has_udp_socket(address, port)

        try:
            until(is_there, 60, f"sipp {self.name} listens on {address}")
        except Failure as failure:
            raise Failure(f"{failure}; it says: {self.said()}") from None

    def done(self, seconds=30):
        """SIPp's verdict: 0 when every call went as its scenario says."""
        code = self.wait(seconds)
        expect(code == 0, f"sipp {self.name} ended with {code}: {self.said()}")

    def said(self):
        errors = self.folder / "errors"
        return errors.read_text(errors="replace")[-1500:] if errors.exists() else self.tail()

    def messages(self):
        path = self.folder / "messages"
        return path.read_text(errors="replace") if path.exists() else ""


class Phone:
    """A process of _phone.py."""

    def __init__(self, lab, name, settings):
        self.lab, self.name = lab, name
        within = lab.within(settings.pop("place", "peers"))
        command = [*within, sys.executable, str(HERE / "_phone.py"), json.dumps(settings)]
        with open(lab.folder / f"{name}.log", "wb") as log:
            self.process = begin(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, bufsize=1)
        lab.peers.append(self)
        self.seen, self.arrived = [], threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        self.wait("ready", seconds=20)

    def _read(self):
        for line in self.process.stdout:
            # The library writes lines of its own when it logs.
            if line.startswith('{"event"'):
                with self.arrived:
                    self.seen.append(json.loads(line))
                    self.arrived.notify_all()

    def do(self, what, call, **fields):
        if what == "call":
            self.lab.at_ease()
        self.process.stdin.write(json.dumps({"do": what, "call": call, **fields}) + "\n")

    def mark(self):
        with self.arrived:
            return len(self.seen)

    def wait(self, event, seconds=10, since=0, **fields):
        """The first event after `since` that has these fields; a function as a field's value is asked."""

        def fits(found):
            return found["event"] == event and all(
                want(found.get(key)) if callable(want) else found.get(key) == want for key, want in fields.items()
            )

        end = time.monotonic() + seconds
        with self.arrived:
            while True:
                for found in self.seen[since:]:
                    if fits(found):
                        return found
                left = end - time.monotonic()
                if self.process.poll() is not None:
                    raise Failure(f"{self.name} ended with {self.process.returncode}: {self.said()}")
                if left <= 0:
                    raise Failure(f"{self.name}: no '{event}' {fields} in {self.last_events(since)}")
                self.arrived.wait(min(left, 0.5))

    def said(self):
        return (self.lab.folder / f"{self.name}.log").read_text(errors="replace")[-1500:]

    def last_events(self, since=0):
        """For who holds `arrived`."""
        return [{key: value for key, value in event.items() if key != "text"} for event in self.seen[since:]][-8:]

    def events(self, event, **fields):
        with self.arrived:
            return [e for e in self.seen if e["event"] == event and all(e.get(k) == v for k, v in fields.items())]

    def stats(self, call):
        mark = self.mark()
        self.do("stats", call)
        return self.wait("stats", since=mark, call=call)

    def got_and_sent(self, call):
        """Packets (received, sent) of a call; zeros while it has no stream, as while PJSIP itself holds."""
        stats = self.stats(call)
        return stats["received"], stats["sent"]

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


# ---- Sound --------------------------------------------------------------------------------------------------------

RATE = 8000


def tone(path, hertz, seconds=2):
    """A tone for players that repeat it: whole periods."""
    samples = array("h", (int(9000 * math.sin(2 * math.pi * hertz * n / RATE)) for n in range(RATE * seconds)))
    with wave.open(str(path), "wb") as out:
        out.setparams((1, 2, RATE, 0, "NONE", ""))
        out.writeframes(samples.tobytes())
    return str(path)


def share(samples, hertz):
    """Share of the signal's power at a frequency, 0 to 1 (Goertzel)."""
    energy = sum(s * s for s in samples)
    if not samples or energy == 0:
        return 0.0
    coefficient = 2 * math.cos(2 * math.pi * hertz / RATE)
    last = before = 0.0
    for sample in samples:
        last, before = sample + coefficient * last - before, last
    power = last * last + before * before - coefficient * last * before
    return 2 * power / (len(samples) * energy)


# PJSIP plays half a percent faster for seconds while its buffer is fuller than it likes, and a piece of T seconds tells tones
# apart that differ by 1/T Hz.
PIECE = 1 / 32


def pieces(path):
    """A recording in pieces of 1/32 s."""

    def closed():
        # The library writes the header's lengths some time after the recorder is gone: until then there are none, or nothing by them.
        try:
            with wave.open(str(path)) as recording:
                samples = array("h", recording.readframes(recording.getnframes()))
                return samples and (recording.getframerate(), samples)
        except (wave.Error, EOFError):
            return None

    rate, samples = until(closed, 15, f"{path} is complete")
    if rate != RATE:
        samples = samples[:: rate // RATE]
    window = int(RATE * PIECE)
    return [samples[at : at + window] for at in range(0, len(samples) - window, window)]


def heard(path, hertz):
    """A quarter of a second of a recording, the best there is of it, by its share of a tone."""
    shares = sorted(share(piece, hertz) for piece in pieces(path))
    return shares[-8] if len(shares) >= 8 else 0.0


def track(path, *hertz, start=0, end=None):
    """A recording, or what it has between two times (seconds), as a character for each piece: `#` one of these tones, `.` none."""
    heard_in = lambda piece: max(map(abs, piece)) > 1000 and any(share(piece, tone) > 0.5 for tone in hertz)
    return "".join("#" if heard_in(piece) else "." for piece in pieces(path)[int(start / PIECE) : end and int(end / PIECE)])


def longest_gap(found):
    """Seconds of a track for which nothing is heard, at its beginning and its end as well."""
    return max(map(len, found.split("#"))) * PIECE
