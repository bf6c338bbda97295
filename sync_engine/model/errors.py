"""Every error the engine expects, grouped by what happens next.

    SyncError
      TransientError        try again later         (throttled, refused connection, 503 without a body processed)
      AnswerLost            look before sending     (timeout, reset, 502, 504, a reply cut off)
      BusinessRejection     a person decides        (period closed, cost centre blocked)
      MappingError          fix a table, replay     (unknown status word, missing field)
      ConfigurationError    stop this system        (bad credentials, wrong scope)

`collectors/http.py` is the only place that turns a status code into one of these; a connector turns its system's
message codes into a `code` of `exceptions.KINDS`. Anything else is a bug: it is not caught where it happens, the item is
parked with a dump and the others go on.
"""

from typing import Any


class SyncError(Exception):
    """Base of everything handled on purpose.

    Args:
        message: One sentence for the person who has to act; it names the value and the place.
        code: A key of `exceptions.KINDS`.
        system: The outside system that said so, or "finsync".
        facts: Values behind the sentence (field, value, cost centre ...), as strings, for grouping and display.
    """

    default_code = "unexpected"

    def __init__(
        self, message: str, *, system: str = "finsync", code: str | None = None, facts: dict[str, Any] | None = None
    ) -> None:
        super().__init__(message)
        self.system = system
        self.code = code or self.default_code
        self.facts = {name: str(value) for name, value in (facts or {}).items()}


class TransientError(SyncError):
    """Certainly not done; the same request may be repeated later.

    `retry_after_s` is what the system asked for, in seconds, or None when it did not say.
    """

    default_code = "system_unavailable"

    def __init__(self, message: str, *, retry_after_s: float | None = None, **kwargs: Any) -> None:
        super().__init__(message, **kwargs)
        self.retry_after_s = retry_after_s


class AnswerLost(SyncError):
    """Sent, and we do not know what became of it. Never repeated without a look-up."""

    default_code = "answer_lost"


class BusinessRejection(SyncError):
    """The system understood the request and refused it."""

    default_code = "refused"


class MappingError(SyncError):
    """We met a word, a field or a value that no table explains; nothing was guessed."""

    default_code = "value_unmapped"


class ConfigurationError(SyncError):
    """Our side of the connection is wrong: credentials, scope, address."""

    default_code = "access_refused"
