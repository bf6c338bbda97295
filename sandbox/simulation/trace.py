"""What happened, as one digest: two runs of a plan are the same run if they say the same line by line."""

import hashlib
from collections import deque

REMEMBERED = 60
"""So many of the last lines are kept for whoever looks into a failure."""


class Trace:
    """Takes down lines. `digest` is the SHA-256 over all of them."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.lines = 0
        self.last: deque[str] = deque(maxlen=REMEMBERED)

    def say(self, *words: object) -> None:
        """One line."""
        line = " ".join(str(word) for word in words)
        self._hash.update(line.encode())
        self._hash.update(b"\n")
        self.lines += 1
        self.last.append(line)

    @property
    def digest(self) -> str:
        """Over everything said so far."""
        return self._hash.hexdigest()
