"""OCEL 2.0 as XML (specification of 2023, section 6). All values are text there; their types are declared.

Items (types, objects, events) lie at one depth and are small, so they are put together from what the parser meets: making a tree of
the document first, to take it apart again, cost a fifth of the reading.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET
from xml.parsers import expat

from sync_engine.eventlog import times
from sync_engine.eventlog.opening import Options, unpacked
from sync_engine.eventlog.records import BadLog, Declaration, Record, Reject, SeenEvent, SeenObject
from sync_engine.eventlog.values import typed
from sync_engine.eventlog.xml_parts import BLOCK, refuse_definitions

_ITEM_DEPTH = 3


class _Item:
    """A type, object or event: its own attributes, those it has by name with their text, and the objects it names."""

    __slots__ = ("name", "own", "related", "said")

    def __init__(self, name: str, own: dict[str, str]) -> None:
        self.name, self.own = name, own
        self.said: list[tuple[dict[str, str], str]] = []
        self.related: list[dict[str, str]] = []

    def as_text(self) -> str:
        """As XML again, for whoever has to see what could not be read."""
        element = ET.Element(self.name, self.own)
        for own, text in self.said:
            ET.SubElement(element, "attribute", own).text = text
        for own in self.related:
            ET.SubElement(element, "relationship", own)
        return ET.tostring(element, encoding="unicode")


class _Meeting:
    """What the parser meets, put together; `done` holds the items that have ended since somebody emptied it."""

    def __init__(self) -> None:
        self.done: list[_Item] = []
        self._depth = 0
        self._item = _Item("", {})
        self._text: list[str] = []
        self._names: dict[str, str] = {}
        self._parser = parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler, parser.EndElementHandler = self._starts, self._ends

    def feed(self, block: bytes, *, is_last: bool = False) -> None:
        """More of the file.

        Raises:
            xml.parsers.expat.ExpatError: it is broken.
        """
        self._parser.Parse(block, is_last)

    def _local(self, tag: str) -> str:
        """Without the prefix of its namespace."""
        name = self._names[tag] = tag.rpartition(":")[2]
        return name

    def _starts(self, tag: str, own: dict[str, str]) -> None:
        self._depth += 1
        if self._depth < _ITEM_DEPTH:
            return
        name = self._names.get(tag) or self._local(tag)
        if self._depth == _ITEM_DEPTH:
            self._item = _Item(name, own)
        elif name == "attribute":
            self._text = []
            self._item.said.append((own, ""))
            self._parser.CharacterDataHandler = self._text.append
        elif name in {"relationship", "relobj"}:
            self._item.related.append(own)

    def _ends(self, tag: str) -> None:
        self._depth -= 1
        if self._depth == _ITEM_DEPTH - 1:
            self.done.append(self._item)
        elif self._depth >= _ITEM_DEPTH and self._names.get(tag) == "attribute":
            self._item.said[-1] = (self._item.said[-1][0], "".join(self._text))
            self._parser.CharacterDataHandler = (
                None  # what stands between elements is nobody's, and there is much of it
            )


class OcelXmlReader:
    """An OCEL 2.0 file in XML."""

    def __init__(self, path: Path, options: Options) -> None:
        refuse_definitions(path)
        self._path, self._zone = path, times.zone_named(options.time_zone)
        self.guessed: dict[str, str] = {}
        self.declaration = Declaration("ocel2-xml")

    def records(self, tell: Callable[[int], None]) -> Iterator[Record]:
        """Objects and events in the order of the file."""
        meeting = _Meeting()
        with unpacked(self._path) as (content, raw):
            try:
                while block := content.read(BLOCK):
                    meeting.feed(block)
                    tell(raw.tell())
                    yield from self._read(meeting.done)
                    meeting.done.clear()
                meeting.feed(b"", is_last=True)
            except expat.ExpatError as error:
                raise BadLog(f"{self._path.name} cannot be read as XML: {error}.") from error

    def _read(self, items: list[_Item]) -> Iterator[Record]:
        for item in items:
            try:
                if item.name == "event":
                    yield self._event(item)
                elif item.name == "object":
                    yield self._object(item)
                elif item.name in {"object-type", "event-type"}:
                    self._declare(item)
            except (KeyError, ValueError) as error:
                yield Reject(f"cannot be read: {error!r}", item.own.get("id", ""), item.as_text())

    def _declare(self, item: _Item) -> None:
        scope, kind = item.name.removesuffix("-type"), item.own["name"]
        self.declaration.declare_kind(scope, kind)
        for own, _ in item.said:
            self.declaration.types[scope, kind, own["name"]] = own["type"]

    def _object(self, item: _Item) -> SeenObject:
        kind = item.own["type"]
        values = tuple(
            (own["name"], times.since(own.get("time"), self._zone), self._value("object", kind, own["name"], text))
            for own, text in item.said
        )
        return SeenObject(item.own["id"], kind, values, _relations(item))

    def _event(self, item: _Item) -> SeenEvent:
        kind = item.own["type"]
        moment, doubtful = times.localized(item.own["time"], self._zone)
        return SeenEvent(
            kind,
            moment,
            relations=_relations(item),
            external_id=item.own["id"],
            values={own["name"]: self._value("event", kind, own["name"], text) for own, text in item.said},
            is_doubtful=doubtful,
        )

    def _value(self, scope: str, kind: str, name: str, text: str) -> Any:
        return typed(text, self.declaration.types.get((scope, kind, name), "string"))


def _relations(item: _Item) -> tuple[tuple[str, str], ...]:
    return tuple([(own["object-id"], own.get("qualifier", "")) for own in item.related])
