"""What a reader finds in a file, whatever its format: events, objects, and records that cannot be read."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, Protocol

Relation = tuple[str, str]
"""(object id, qualifier)"""

Value = tuple[str, datetime | None, Any]
"""(attribute, since when, value); None: from the beginning."""


class BadLog(Exception):
    """A file that cannot be read as asked; the message says what to do."""


class SeenEvent(NamedTuple):
    """One event. Either `case` is set (formats with one case per event) or `relations` name its objects."""

    activity: str
    event_at: datetime
    case: str | None = None
    relations: tuple[Relation, ...] = ()
    external_id: str | None = None
    started_at: datetime | None = None
    actor: str = ""
    unit: str | None = None
    values: dict[str, Any] = {}  # noqa: RUF012 - read only
    is_doubtful: bool = False
    """Its time fell into an hour that a clock change skipped or repeated."""


class SeenObject(NamedTuple):
    """One object; of a format with cases, what is known of a case beside its events (its type is then the log's)."""

    object_id: str
    object_type: str | None
    values: tuple[Value, ...] = ()
    links: tuple[Relation, ...] = ()


class Reject(NamedTuple):
    """A record that cannot be read, and why."""

    reason: str
    value: str
    raw: str
    line: int | None = None


Record = SeenEvent | SeenObject | Reject


@dataclass
class Declaration:
    """What a file says of itself beside its records; an export needs it to say the same again.

    `types` maps (scope, kind, attribute) to the declared type: scope is "event" or "object", kind the event or object
    type ("" in formats that have none). `header` is what only the file's own format knows.
    """

    format: str
    types: dict[tuple[str, str, str], str] = field(default_factory=dict)
    kinds: dict[str, list[str]] = field(default_factory=lambda: {"event": [], "object": []})
    header: dict[str, Any] = field(default_factory=dict)

    def declare_kind(self, scope: str, kind: str) -> None:
        """A type exists, with or without attributes."""
        if kind not in self.kinds[scope]:
            self.kinds[scope].append(kind)

    def as_json(self) -> dict[str, Any]:
        """For the database."""
        return {
            "format": self.format,
            "types": sorted([*key, declared] for key, declared in self.types.items()),
            "kinds": self.kinds,
            "header": self.header,
        }

    @classmethod
    def of(cls, stored: dict[str, Any]) -> "Declaration":
        """From the database; an empty one for a log that never said anything."""
        types = {(scope, kind, name): declared for scope, kind, name, declared in stored.get("types", [])}
        kinds = stored.get("kinds") or {"event": [], "object": []}
        return cls(stored.get("format", ""), types, kinds, stored.get("header", {}))

    def joined(self, newer: "Declaration") -> "Declaration":
        """Of a log with several files: what any of them says, the newer one where they differ."""
        kinds = {
            scope: [*self.kinds[scope], *(kind for kind in newer.kinds[scope] if kind not in self.kinds[scope])]
            for scope in ("event", "object")
        }
        return Declaration(newer.format, {**self.types, **newer.types}, kinds, {**self.header, **newer.header})


class Reader(Protocol):
    """A file, opened: iterate over its records as often as you like, each time from the beginning."""

    declaration: Declaration
    guessed: dict[str, str]
    """What nobody said and the reader decided: shown to whoever imports."""

    def records(self, tell: Callable[[int], None]) -> Iterator[Record]:
        """The file's records in its order; `tell` hears now and then how many bytes of the file are behind."""
