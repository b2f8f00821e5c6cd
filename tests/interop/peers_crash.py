#!/usr/bin/env python3
"""What a peer that crashes leaves undone is no fault of ours: its scenario begins anew, twice at most, or the script does once whose
scenarios share it. What fails without a crash, or by one of the binary, has failed; but what was not heard has a second try."""

import os
import subprocess
import sys

from _lab import HERE, Score, expect

SCRIPT = """
import os, signal, sys
from pathlib import Path
from _lab import Failure, Lab, Score, Unheard
from _pair import CARRIERS, TENANT

crashes, runs = int(sys.argv[1]), []
# The score reads what is left as names of scenarios.
del sys.argv[1:]

def begun():
    lab = Lab("crash", carriers=CARRIERS, tenants={"contoso": TENANT})
    lab.start()
    return lab, lab.phone("phone", ip=lab.at(16), port=5060, id=f"sip:nobody@{lab.at(16)}")

def alone():
    runs.append(1)
    lab, phone = begun()
    with lab.ended_on_failure():
        of = WHOSE
        if len(runs) <= crashes:
            of.process.send_signal(signal.SIGABRT)
            of.process.wait()
            raise Failure("nobody there")
        phone.do("describe", "none")
        phone.wait("no-call")
        phone.close()
        lab.stop()

score = Score()
"""
ALONE = 'score.run("alone", alone)\nscore.close()\n'
SHARED = """
lab, phone = begun()
def shared():
    if "PORTCULLIS_ANEW" not in os.environ or crashes > 1:
        phone.process.send_signal(signal.SIGABRT)
        phone.process.wait()
        raise Failure("nobody there")
sys.argv.append(str(crashes))
score.run("shared", shared)
score.close(*lab.peers)
"""

HUB = """
from kamailio_hub import HubLab

def hub():
    runs.append(1)
    lab = HubLab("crash")
    with lab:
        if len(runs) <= crashes:
            # By one of its processes, which the others do not outlive; they take connections once they are there.
            lab.tls_to_hub().close()
            main = lab.kamailio.process.pid
            os.kill(int(Path(f"/proc/{main}/task/{main}/children").read_text().split()[-1]), signal.SIGSEGV)
            lab.kamailio.wait(30)
            raise Failure("nobody there")
        lab.stop()

score.run("hub", hub)
score.close()
"""
UNHEARD = """
def unheard():
    runs.append(1)
    if len(runs) <= crashes:
        raise Unheard("nothing is heard")

score.run("unheard", unheard)
score.close()
"""


def ends(rest, crashes, whose, anew, last):
    """How often something began anew, and the count at the end."""
    text = SCRIPT.replace("WHOSE", whose) + rest
    environment = {key: value for key, value in os.environ.items() if key != "PORTCULLIS_ANEW"} | {"PYTHONPATH": str(HERE)}
    # A script that begins anew is found by its file.
    file = HERE / ".." / ".." / "target" / f"crash-{os.getpid()}-{len(rest)}-{crashes}-{whose}.py"
    file.write_text(text)
    try:
        done = subprocess.run([sys.executable, file, str(crashes)], env=environment, capture_output=True, text=True, timeout=150)
    finally:
        file.unlink()
    said = done.stdout
    began = sum(line.startswith("anew ") or line.endswith("the script begins anew") for line in said.splitlines())
    expect((began, said.splitlines()[-1]) == (anew, last), f"{began} began anew:\n{said}{done.stderr}")


score = Score()
score.side_by_side(
    [
        ("a peer crashes once", ends, ALONE, 1, "phone", 1, "1 passed, 0 failed"),
        ("a peer crashes each time", ends, ALONE, 9, "phone", 2, "0 passed, 1 failed"),
        ("the binary crashes", ends, ALONE, 1, "lab.binary", 0, "0 passed, 1 failed"),
        ("a shared peer crashes once", ends, SHARED, 1, "phone", 1, "1 passed, 0 failed"),
        ("a shared peer crashes each time", ends, SHARED, 2, "phone", 1, "0 passed, 1 failed"),
        ("something is not heard once", ends, UNHEARD, 1, "phone", 1, "1 passed, 0 failed"),
        ("something is not heard again", ends, UNHEARD, 2, "phone", 1, "0 passed, 1 failed"),
        ("Kamailio crashes once", ends, HUB, 1, "phone", 1, "1 passed, 0 failed"),
    ],
    width=3,
)
score.close()
