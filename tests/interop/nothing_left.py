#!/usr/bin/env python3
"""A script of this folder leaves no process behind: not when a peer can't start, nor when somebody ends it."""

import os
import signal
import subprocess
import sys

from _lab import HERE, Score, expect

SCRIPT = """
from _lab import Lab
from _pair import CARRIERS, TENANT
lab = Lab("left", carriers=CARRIERS, tenants={"contoso": TENANT})
lab.start()
print(lab.binary.process.pid, flush=True)
"""
# At no address of this machine.
PEER = 'lab.phone("nowhere", ip="192.0.2.1", port=5060, id="sip:nobody@192.0.2.1")\n'
WAITS = "import time\ntime.sleep(60)\n"


def ends(rest, signum=None):
    script = subprocess.Popen([sys.executable, "-c", SCRIPT + rest], cwd=HERE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        binary = int(script.stdout.readline() or 0)
        expect(binary, "the script ran no binary")
        if signum:
            script.send_signal(signum)
        expect(script.wait(40) != 0, "the script ended well")
    finally:
        script.kill()
    try:
        os.kill(binary, signal.SIGKILL)
    except ProcessLookupError:
        return
    expect(False, "the script has left its binary running")


score = Score()
score.side_by_side(
    [
        ("a peer that can't start", ends, PEER),
        *((f"{signum.name}", ends, WAITS, signum) for signum in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)),
    ]
)
score.close()
