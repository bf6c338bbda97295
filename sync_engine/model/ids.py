"""Identifiers the program makes itself, so that no database sequence ties machines together.

Ids are version 7 UUIDs (RFC 9562, section 5.7): 48 bits of Unix milliseconds, then random bits. They sort by the time
they were made, which keeps indexes compact, and cannot be guessed. Clock and randomness come in as arguments.
"""

import hashlib
from base64 import b32encode
from collections.abc import Callable
from datetime import datetime
from random import Random
from uuid import UUID

NewId = Callable[[datetime], UUID]
"""Makes the id of something that begins at the given time."""


def id_maker(rng: Random) -> NewId:
    """A maker of time-ordered UUIDs drawing from `rng` (`random.SystemRandom` outside of tests)."""

    def new_id(now: datetime) -> UUID:
        milliseconds = int(now.timestamp() * 1000) & 0xFFFF_FFFF_FFFF
        tail = rng.getrandbits(74)
        value = milliseconds << 80 | 0x7 << 76 | (tail >> 62) << 64 | 0b10 << 62 | tail & 0x3FFF_FFFF_FFFF_FFFF
        return UUID(int=value)

    return new_id


def reference(document_id: UUID, purpose: str, length: int) -> str:
    """Our own business reference for one intended effect, `length` characters of A-Z and 2-7.

    It depends on nothing but the document and the purpose, so whoever asks again, after whatever crash, asks with
    the same reference and finds what was already done. Twelve characters carry 60 bits.
    """
    digest = hashlib.sha256(f"{purpose}|{document_id}".encode()).digest()
    return b32encode(digest).decode()[:length]
