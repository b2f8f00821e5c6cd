"""What all load tools share: a network namespace of their own, the system under test on core 1, generators on core 0,
CPU and memory from /proc, and an end that reaches only what was started here, by process id.

Needs root, Linux and two cores. Missing programs are installed with apt."""

import atexit
import contextlib
import csv
import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
TICKS = os.sysconf("SC_CLK_TCK")
SYSTEM_CORE, LOAD_CORE = "1", "0"
# Above other work on a shared machine; both sides alike, so that ratios stay fair.
NICE = os.environ.get("LOAD_NICE", "-15")
SYSTEM, CALLER, CALLEE, PAGER = "127.0.0.20", "127.0.0.50", "127.0.0.30", "127.0.0.10"
NUMBER = "+15550001111"
PACKAGES = {
    "sipp": "sip-tester", "kamailio": "kamailio", "rtpengine": "rtpengine-daemon", "gcc": "gcc", "ip": "iproute2",
    "openssl": "openssl", "taskset": "util-linux", "iptables": "iptables",
}


def need(*programs):
    """Installs the Debian packages of programs that are not there."""
    os.environ["PATH"] += ":/usr/sbin:/sbin"
    missing = sorted({PACKAGES[name] for name in programs if not shutil.which(name)})
    if missing:
        print("installing", *missing, file=sys.stderr)
        quiet = {"stdout": subprocess.DEVNULL, "env": {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}}
        subprocess.run(["apt-get", "-q", "update"], check=True, **quiet)
        with no_daemons_started():
            subprocess.run(["apt-get", "-qy", "--no-install-recommends", "install", *missing], check=True, **quiet)


@contextlib.contextmanager
def no_daemons_started():
    """A daemon that a package would start now is none of ours. A machine that has a policy of its own keeps it."""
    path = "/usr/sbin/policy-rc.d"
    if os.path.exists(path):
        yield
        return
    with open(path, "x") as policy:
        policy.write("#!/bin/sh\nexit 101\n")
    os.chmod(path, 0o755)
    try:
        yield
    finally:
        os.unlink(path)


class Lab:
    """A namespace with a loopback, a folder, and the processes that were started in them."""

    def __init__(self, *programs):
        need("ip", "taskset", *programs)
        self.name = f"portcullis-load-{os.getpid()}"
        self.folder = tempfile.mkdtemp(prefix="load-lab-")
        self.processes = []
        atexit.register(self.close)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: sys.exit(1))
        subprocess.run(["ip", "netns", "add", self.name], check=True)
        subprocess.run(["ip", "-n", self.name, "link", "set", "lo", "up"], check=True)
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))

    def start(self, core, command, **options):
        """A process in the namespace, on one core; its pid is the program's own."""
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, **options}
        prefix = ["nice", "-n", NICE, "ip", "netns", "exec", self.name, "taskset", "-c", core]
        process = subprocess.Popen(prefix + command, cwd=self.folder, start_new_session=True, **options)
        # Where the scheduler groups by session, niceness counts within a session alone.
        try:
            with open(f"/proc/{process.pid}/autogroup", "w") as group:
                group.write(NICE)
        except OSError:
            pass
        self.processes.append(process)
        return process

    def end(self, process, patience=5):
        """Ends one process of ours: politely, then not."""
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if process in self.processes:
            self.processes.remove(process)

    def close(self):
        for process in list(self.processes):
            self.end(process, 1)
        subprocess.run(["ip", "netns", "del", self.name], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def write(self, name, text):
        path = self.path(name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(text)
        return path

    def answers_options(self, patience=10.0, launch=lambda: None):
        """Seconds from `launch` until the system answers an OPTIONS, asked every few milliseconds from the callee's
        address; `None` when it does not."""
        probe = (
            "import socket,sys,time\n"
            "s=socket.socket(socket.AF_INET,socket.SOCK_DGRAM);s.bind((sys.argv[2],0));s.settimeout(0.005)\n"
            "p=s.getsockname()[1];began=time.monotonic();n=0;print('ready',flush=True)\n"
            "while time.monotonic()-began<float(sys.argv[3]):\n"
            " n+=1\n"
            " m=f'OPTIONS sip:{sys.argv[1]} SIP/2.0\\r\\nVia: SIP/2.0/UDP {sys.argv[2]}:{p};branch=z9hG4bKp{p}x{n}\\r\\n'\\\n"
            "   f'From: <sip:probe@{sys.argv[2]}>;tag={p}\\r\\nTo: <sip:{sys.argv[1]}>\\r\\nCall-ID: {p}x{n}\\r\\n'\\\n"
            "   f'CSeq: 1 OPTIONS\\r\\nMax-Forwards: 70\\r\\nContent-Length: 0\\r\\n\\r\\n'\n"
            " try:\n"
            "  s.sendto(m.encode(),(sys.argv[1],5060))\n"
            "  if s.recv(4096).startswith(b'SIP/2.0 200'): print(time.monotonic());sys.exit(0)\n"
            " except OSError: time.sleep(0.002)\n"
            "sys.exit(1)\n"
        )
        command = ["ip", "netns", "exec", self.name, "taskset", "-c", LOAD_CORE, sys.executable, "-c", probe]
        asked = subprocess.Popen([*command, SYSTEM, CALLEE, str(patience)], stdout=subprocess.PIPE, text=True)
        self.processes.append(asked)
        asked.stdout.readline()
        began = time.monotonic()
        launch()
        answered = asked.stdout.readline()
        self.end(asked)
        return float(answered) - began if answered else None

    def portcullis(self, numbers="", workers=1, extra=""):
        """The release binary between two carriers: `caller`, and `callee` where all of +1555 lives."""
        config = self.configure(numbers, workers, extra)
        binary = release_binary()
        log = open(self.path("portcullis.log"), "a")
        process = self.start(SYSTEM_CORE, [binary, "run", "--config", config], stderr=log)
        if self.answers_options() is None:
            sys.exit(f"portcullis does not answer; its log:\n{open(self.path('portcullis.log')).read()[-2000:]}")
        return process

    def configure(self, numbers="", workers=1, extra=""):
        """Writes the configuration folder and a certificate for the Teams listener, which every node has."""
        if not os.path.exists(self.path("config/sbc.pem")):
            os.makedirs(self.path("config/tenants"), exist_ok=True)
            subject = ["-subj", "/CN=sbc.load.test", "-addext", "subjectAltName=DNS:sbc.load.test,DNS:*.sbc.load.test"]
            files = ["-keyout", self.path("config/sbc.key"), "-out", self.path("config/sbc.pem")]
            need("openssl")
            command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *files, *subject]
            subprocess.run(command, check=True, capture_output=True)
        self.write("config/sbc.toml", f"""
[[listeners]]
name = "teams"
purpose = "teams"
transport = "tls"
bind = "{SYSTEM}:5061"
certificates = [{{ certificate = "sbc.pem", key = "sbc.key" }}]

[[listeners]]
name = "trunks"
purpose = "carrier"
transport = "udp"
bind = "{SYSTEM}:5060"

[media]
bind = "{SYSTEM}"
ports = "10000-60999"
workers = {workers}
timeout = "1h"
allow_loopback = true

[teams]
base = "sbc.load.test"
hubs = ["hub.load.test"]

[dns]
hosts = {{ "hub.load.test" = ["127.0.0.40"] }}

[log]
level = "error"

[[carriers]]
id = "caller"
networks = ["{CALLER}/32", "127.0.1.0/24", "{PAGER}/32"]
options_interval = "0s"

[[carriers]]
id = "callee"
networks = ["{CALLEE}/32"]
gateways = [{{ host = "{CALLEE}", port = 5060 }}]
options_interval = "0s"
{extra}
""")
        self.write("config/tenants/load.toml", f"""
domains = ["load.test"]
label = "load"
carriers = ["callee"]

[[numbers]]
range = "+15550000000-+15559999999"
to = {{ carrier = "callee" }}
{numbers}
""")
        return self.path("config")

    def sipp(self, scenario, address, port, *arguments, **options):
        """A SIPp on the load core."""
        command = [
            shutil.which("sipp"), "-nostdin", "-t", "u1", "-buff_size", "4194304", "-max_retrans", "5",
            "-sf", os.path.join(HERE, "sipp", scenario), "-i", address, "-mi", address, "-p", str(port),
        ]
        return self.start(LOAD_CORE, [*command, *map(str, arguments)], **options)

    def caller(self, scenario, rate, calls, statistics, *arguments):
        """SIPp that places `calls` calls at `rate` and keeps statistics."""
        return self.sipp(
            scenario, CALLER, 5070, "-s", NUMBER, "-key", "caller", "+15550002222", "-l", 20000, "-r", rate, "-m", calls,
            "-trace_stat", "-fd", 1, "-stf", statistics, *arguments, f"{SYSTEM}:5060",
        )


def compile_tools(lab):
    """The generators that are written in C, in the lab's folder."""
    for name, libraries in [("rtpgen", ["-lcrypto", "-lpthread"]), ("udpfloor", [])]:
        command = ["gcc", "-O2", "-o", lab.path(name), os.path.join(HERE, f"{name}.c"), *libraries]
        if subprocess.run(command, check=False, capture_output=True).returncode:
            packages = ["apt-get", "-qy", "--no-install-recommends", "install", "libssl-dev", "libc6-dev"]
            subprocess.run(packages, check=True, stdout=subprocess.DEVNULL)
            subprocess.run(command, check=True)


def release_binary():
    """The release binary: PORTCULLIS_BINARY, or the one that cargo builds now."""
    given = os.environ.get("PORTCULLIS_BINARY")
    if given:
        return os.path.abspath(given)
    subprocess.run(["cargo", "build", "--release", "--quiet"], cwd=ROOT, check=True)
    target = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))
    return os.path.join(target, "release", "portcullis")


def family(pid):
    """The process and its children, and theirs."""
    pids = [pid]
    for parent in pids:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                with open(f"/proc/{parent}/task/{task}/children") as children:
                    pids.extend(int(child) for child in children.read().split())
        except OSError:
            continue
    return pids


def cpu_seconds(pids):
    """User and system time of the processes so far."""
    ticks = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/stat") as stat:
                fields = stat.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            continue
    return ticks / TICKS


def memory_kib(pids):
    """Proportional set size of the processes."""
    kib = 0
    for pid in pids:
        try:
            with open(f"/proc/{pid}/smaps_rollup") as rollup:
                kib += next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
    return kib


def descriptors(pids):
    """Open file descriptors of the processes."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in pids if os.path.exists(f"/proc/{pid}/fd"))


def last_row(path):
    """The last line of SIPp's statistics."""
    try:
        with open(path) as file:
            return list(csv.DictReader(file, delimiter=";"))[-1]
    except (OSError, IndexError):
        return {}


def figure(row, name):
    return int(row.get(name) or 0)


def report(**values):
    """One JSON line, with the machine's load beside the figures."""
    print(json.dumps({**values, "load1": round(os.getloadavg()[0], 1)}), flush=True)


def median(values):
    values = sorted(values)
    return values[len(values) // 2] if values else None
