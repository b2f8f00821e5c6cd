#!/usr/bin/env python3
"""What became of the tests that each rule of Teams names: read from the logs of tests/run, written to
target/teams-conformance.txt. A rule passes when every test that it names has run and passed.

With --record also to tests/data/teams/results.toml, from where docs/teams-conformance.md has its results."""

import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
LOGS = ROOT / "target/test-logs"
RECORD = ROOT / "tests/data/teams/results.toml"


def results():
    """Test by name: whether it passed."""
    seen = {}
    target = ""
    for line in (LOGS / "tests.log").read_text(errors="replace").splitlines():
        if running := re.match(r"\s+Running (\S+)", line):
            target = "behaviour::" if "tests/behaviour" in line else ""
        elif test := re.match(r"test (\S+)(?: - should panic)? \.\.\. (\w+)", line):
            seen[target + test[1]] = test[2] == "ok"
    for log in LOGS.glob("interop-*.log"):
        script = log.name.removeprefix("interop-").removesuffix(".log")
        for line in log.read_text(errors="replace").splitlines():
            if test := re.match(r"(ok|FAILED)\s+(.*?) \([\d.]+ s\)", line):
                seen[f"interop/{script}: {test[2]}"] = test[1] == "ok"
    return seen


def record(rules, seen):
    """Of each rule how many of its tests passed, and of how many."""
    commit = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True).stdout.strip()
    counts = [f"{rule['id']} = [{sum(seen.get(test, False) for test in rule['tests'])}, {len(rule['tests'])}]" for rule in rules]
    text = f'# Written by tests/conformance.py --record after a run of tests/run.\ncommit = "{commit}"\n\n[rules]\n'
    RECORD.write_text(text + "\n".join(counts) + "\n")


def main():
    rules = tomllib.loads((ROOT / "tests/data/teams/rules.toml").read_text())["rules"]
    seen = results()
    lines, passed, failed = [], 0, 0
    for rule in rules:
        wrong = [f"{test}: {'failed' if test in seen else 'not run'}" for test in rule["tests"] if not seen.get(test)]
        if wrong:
            result, failed = "; ".join(wrong), failed + 1
        elif rule["tests"]:
            result, passed = f"{len(rule['tests'])} tests passed", passed + 1
        else:
            result = "no test"
        lines.append(f"TEAMS-{rule['id']:03} {rule['level']:6} {rule['state']:7} {result}")
    if "--record" in sys.argv[1:]:
        record(rules, seen)
    (ROOT / "target/teams-conformance.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(line for line in lines if "failed" in line or "not run" in line))
    states = {state: sum(rule["state"] == state for rule in rules) for state in ("kept", "partly", "open", "outside")}
    print(", ".join(f"{count} {state}" for state, count in states.items()))
    print(f"{passed} passed, {failed} failed")
    return failed != 0


sys.exit(main())
