#!/usr/bin/env python3
"""What the build may contain: no banned crate, no licence that isn't on the list.

Asks `cargo tree` which packages are built for Linux with every feature, tests included, and `cargo metadata` for their
licences. (The resolve graph of `cargo metadata` names optional packages that nothing turns on; `cargo tree` doesn't.)
Ends with `N passed, N failed`, alone on a line.
"""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = "x86_64-unknown-linux-gnu"

BANNED = {
    "ring": "aws-lc-rs is the only cryptographic provider in the process",
    "openssl-sys": "aws-lc-rs is the only cryptographic provider in the process",
    "native-tls": "rustls verifies as Teams needs it",
    "g729-sys": "derived from GPL code",
    "serde_yaml": "deprecated",
    "serde_yml": "RUSTSEC-2025-0068",
    "trust-dns-proto": "RUSTSEC-2025-0017: hickory is its new name",
    "rustls-pemfile": "unmaintained: rustls-pki-types reads PEM",
    "audiopus_sys": "unmaintained",
}

ALLOWED = {
    "MIT", "MIT-0", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "ISC", "Zlib",
    "Unicode-3.0", "CC0-1.0", "CDLA-Permissive-2.0", "MPL-2.0", "BSL-1.0", "0BSD", "Unlicense",
}

# Packages whose manifest names a file instead of an expression: what the file says, and the file that was read.
CLARIFIED = {
    "rsip": ("MIT", "bb5d177c5b6b08389183bd7a511f99facd69b1be2ccc8457322d33d6b464398c"),
    "rsip-derives": ("MIT", "5e6f40047da38754b92450b7f9af9b1d81152125552f1a4539b8910be0c832b9"),
}


def allows(expression):
    """True when a licence expression (SPDX, or the old form with slashes) can be met from ALLOWED."""
    tokens = re.findall(r"\(|\)|[^\s()]+", expression.replace("/", " OR "))
    position = 0

    def peek():
        return tokens[position] if position < len(tokens) else None

    def take():
        nonlocal position
        position += 1
        return tokens[position - 1] if position <= len(tokens) else ""

    def either():
        result = both()
        while peek() == "OR":
            take()
            result = both() or result
        return result

    def both():
        result = one()
        while peek() == "AND":
            take()
            result = one() and result
        return result

    def one():
        if peek() == "(":
            take()
            result = either()
            take()
            return result
        name = take()
        if peek() == "WITH":
            take()
            name = f"{name} WITH {take()}"
        return name in ALLOWED

    return bool(tokens) and either() and position == len(tokens)


def cargo(*arguments):
    done = subprocess.run(["cargo", *arguments], cwd=ROOT, text=True, capture_output=True)
    if done.returncode != 0:
        sys.exit(f"cargo {' '.join(arguments)}\n{done.stderr}\n0 passed, 1 failed")
    return done.stdout


def built():
    """(name, version) of every package that is built: normal, build and dev."""
    tree = cargo("tree", "--locked", "--all-features", "--target", TARGET, "-e", "normal,build,dev", "--prefix", "none",
                 "--format", "{p}")
    return {tuple(line.split()[:2]) for line in tree.splitlines() if line.strip()}


def banned(packages):
    return [f"{name} {version} is banned: {BANNED[name]}" for name, version in sorted(packages) if name in BANNED]


def unlicensed(packages, metadata):
    faults = []
    for package in metadata:
        name, version = package["name"], package["version"]
        if (name, f"v{version}") not in packages or package["source"] is None:  # our own has none
            continue
        expression = package["license"]
        if expression is None and name in CLARIFIED and package["license_file"]:
            expression, digest = CLARIFIED[name]
            text = (Path(package["manifest_path"]).parent / package["license_file"]).read_bytes()
            if hashlib.sha256(text).hexdigest() != digest:
                faults.append(f"{name} {version}: its licence file changed; read it and renew the digest in {__file__}")
        if expression is None or not allows(expression):
            faults.append(f"{name} {version}: licence `{expression}` is not on the list")
    return faults


def self_check():
    """The checks must be able to fail."""
    good = ["MIT", "MIT/Apache-2.0", "GPL-3.0 OR MIT", "(MIT OR Apache-2.0) AND Unicode-3.0", "MIT OR GPL-2.0 AND MIT",
            "Apache-2.0 WITH LLVM-exception OR GPL-2.0"]
    bad = ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR ISC) AND (GPL-2.0 OR LGPL-2.1)", "Apache-2.0 WITH Nothing", "MIT ISC"]
    faults = [f"`{text}` should be allowed" for text in good if not allows(text)]
    faults += [f"`{text}` should be refused" for text in bad if allows(text)]
    if len(banned({("ring", "v0.17.0"), ("rings", "v1.0.0")})) != 1:
        faults.append("a banned package went unseen")
    return faults


def main():
    packages = built()
    metadata = json.loads(cargo("metadata", "--locked", "--format-version", "1", "--all-features"))["packages"]
    checks = {
        "the policy checks can fail": self_check(),
        "the tree was read": [] if len(packages) > 100 else [f"only {len(packages)} packages seen"],
        "no banned package": banned(packages),
        "every licence is on the list": unlicensed(packages, metadata),
    }
    for name, faults in checks.items():
        print(f"{'FAILED' if faults else 'ok'}: {name}")
        for fault in faults:
            print(f"    {fault}")
    failed = sum(1 for faults in checks.values() if faults)
    print(f"{len(checks) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
