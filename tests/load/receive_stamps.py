"""When the kernel received a packet: its clock of the day, beside each packet of a socket that asks for it."""

import struct
import sys

SO_TIMESTAMPNS = 35


def stamp(ancillary):
    """Nanoseconds of the kernel's clock of the day."""
    for _, kind, data in ancillary:
        if kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return seconds * 1_000_000_000 + nanoseconds
    sys.exit("the kernel gives no receive stamps")
