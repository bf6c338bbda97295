"""OCEL 2.0 as XML (specification of 2023, section 6). All values are text there; their types are declared."""

from collections.abc import Callable, Iterator
from pathlib import Path
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
        for what, element, depth in elements(self._path, tell):
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
        values = tuple(
            (
                one.attrib["name"],
                times.since(one.attrib.get("time"), self._zone),
                typed(one.text or "", self.declaration.types.get(("object", kind, one.attrib["name"]), "string")),
            )
            for one in _inside(element, "attribute")
        )
        return SeenObject(element.attrib["id"], kind, values, _relations(element))

    def _event(self, element: ET.Element) -> SeenEvent:
        kind = element.attrib["type"]
        moment, doubtful = times.localized(element.attrib["time"], self._zone)
        return SeenEvent(
            kind,
            moment,
            relations=_relations(element),
            external_id=element.attrib["id"],
            values={
                one.attrib["name"]: typed(
                    one.text or "", self.declaration.types.get(("event", kind, one.attrib["name"]), "string")
                )
                for one in _inside(element, "attribute")
            },
            is_doubtful=doubtful,
        )


def _inside(element: ET.Element, name: str) -> Iterator[ET.Element]:
    return (one for one in element.iter() if local(one) == name)


def _relations(element: ET.Element) -> tuple[tuple[str, str], ...]:
    found = (one for one in element.iter() if local(one) in {"relationship", "relobj"})
    return tuple((one.attrib["object-id"], one.attrib.get("qualifier", "")) for one in found)
