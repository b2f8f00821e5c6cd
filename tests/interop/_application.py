"""A program of sdk/, written with the vendor's own packages, and what it saw."""

import json

from _lab import HERE, ROOT, Process, expect, until

PACKAGES = ROOT / "target/sdk"
PORT = 3000


class Application(Process):
    def __init__(self, lab, label, program, package, address, *arguments):
        self.label, self.address = label, address
        command = ["node", HERE / "sdk" / program, package, address, PORT, PACKAGES, label, *arguments]
        super().__init__(label, command, lab.folder / f"{label}.log")
        lab.peers.append(self)
        until(lambda: self.poll() and self.seen("listening"), 15, f"{label} listens")

    def poll(self):
        expect(self.process.poll() is None, f"{self.label} ended: {self.tail()}")
        return True

    def events(self):
        # The last line may be half written.
        lines = self.log.read_text(errors="replace").split("\n")[:-1]
        return [json.loads(line) for line in lines if line.startswith('{"event"')]

    def seen(self, event, **fields):
        """Its events of a name, with these fields in their data."""
        return [
            e
            for e in self.events()
            if e["event"] == event and all(e.get("data", {}).get(k) == v for k, v in fields.items())
        ]

    def wait(self, event, seconds=20, **fields):
        found = until(lambda: self.poll() and self.seen(event, **fields), seconds, f"{self.label}: {event} {fields}")
        return found[0]["data"]
