"""OCEL 2.0 as XML (specification of 2023, section 6). All values are text there; their types are declared."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from sync_engine.eventlog import times
from sync_engine.eventlog.opening import Options
from sync_engine.eventlog.records import Declaration, Record, Reject, SeenEvent, SeenObject
from sync_engine.eventlog.values import typed
from sync_engine.eventlog.xml_parts import elements, local, refuse_definitions

_ITEM_DEPTH = 3


class OcelXmlReader:
    """An OCEL 2.0 file in XML."""

    def __init__(self, path: Path, options: Options) -> None:
        refuse_definitions(path)
        self._path, self._zone = path, times.zone_named(options.time_zone)
        self.guessed: dict[str, str] = {}
        self.declaration = Declaration("ocel2-xml")

    def records(self, tell: Callable[[int], None]) -> Iterator[Record]:
        """Objects and events in the order of the file."""
        section = ET.Element("log")
        for what, element, depth in elements(self._path, tell, deepest=_ITEM_DEPTH):
            if what == "start" and depth == _ITEM_DEPTH - 1:
                section = element
            if what != "end" or depth != _ITEM_DEPTH:
                continue
            name = local(element)
            if name in {"object-type", "event-type"}:
                scope = name.removesuffix("-type")
                self.declaration.declare_kind(scope, element.attrib["name"])
                for attribute in element.iter():
                    if local(attribute) == "attribute":
                        self.declaration.types[scope, element.attrib["name"], attribute.attrib["name"]] = (
                            attribute.attrib["type"]
                        )
            elif name in {"object", "event"}:
                try:
                    yield self._object(element) if name == "object" else self._event(element)
                except (KeyError, ValueError) as error:
                    yield Reject(
                        f"cannot be read: {error!r}",
                        element.attrib.get("id", ""),
                        ET.tostring(element, encoding="unicode"),
                    )
                section.clear()

    def _object(self, element: ET.Element) -> SeenObject:
        kind = element.attrib["type"]
        attributes, relations = _inside(element)
        values = tuple(
            (one.attrib["name"], times.since(one.attrib.get("time"), self._zone), self._value("object", kind, one))
            for one in attributes
        )
        return SeenObject(element.attrib["id"], kind, values, relations)

    def _event(self, element: ET.Element) -> SeenEvent:
        kind = element.attrib["type"]
        moment, doubtful = times.localized(element.attrib["time"], self._zone)
        attributes, relations = _inside(element)
        return SeenEvent(
            kind,
            moment,
            relations=relations,
            external_id=element.attrib["id"],
            values={one.attrib["name"]: self._value("event", kind, one) for one in attributes},
            is_doubtful=doubtful,
        )

    def _value(self, scope: str, kind: str, attribute: ET.Element) -> Any:
        return typed(
            attribute.text or "", self.declaration.types.get((scope, kind, attribute.attrib["name"]), "string")
        )


def _inside(element: ET.Element) -> tuple[list[ET.Element], tuple[tuple[str, str], ...]]:
    """The attributes of an object or event, and (object, qualifier) of those it names, in one pass."""
    attributes, relations = [], []
    for one in element.iter():
        name = local(one)
        if name == "attribute":
            attributes.append(one)
        elif name in {"relationship", "relobj"}:
            relations.append((one.attrib["object-id"], one.attrib.get("qualifier", "")))
    return attributes, tuple(relations)
