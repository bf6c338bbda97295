"""How a named question is put, whoever puts it."""

from typing import Any, Protocol

Row = dict[str, Any]


class Asks(Protocol):
    """Whoever puts a named question: a person's `Reports`, or the engine."""

    def remembered(self, question: str, **arguments: Any) -> list[Row]:
        """The rows that answer; shared: read them, do not change them."""
        ...
