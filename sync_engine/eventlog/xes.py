"""XES (IEEE 1849-2016): traces of events, attributes with types, packed or not.

An event's name, time and resource are its `concept:name`, `time:timestamp` and `org:resource`; a trace's `concept:name`
is its case. Everything else is kept with its type. An event has no id of its own, so it is known by what it says.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

from sync_engine.eventlog import times
from sync_engine.eventlog.opening import Options
from sync_engine.eventlog.records import Declaration, Record, Reject, SeenEvent, SeenObject
from sync_engine.eventlog.values import plain, typed
from sync_engine.eventlog.xml_parts import elements, local, refuse_definitions

_PLAIN = {"string", "int", "float", "boolean"}
_TRACE_DEPTH, _EVENT_DEPTH = 2, 3


class XesReader:
    """An XES file."""

    def __init__(self, path: Path, options: Options) -> None:
        refuse_definitions(path)
        self._path, self._zone = path, times.zone_named(options.time_zone)
        self._activity = options.activity_column or "concept:name"
        self._time = options.time_column or "time:timestamp"
        self._case = options.case_column or "concept:name"
        self._resource = options.resource_column or "org:resource"
        self._unit = options.unit_column
        self.guessed: dict[str, str] = {}
        self.declaration = Declaration("xes", header=self._nothing_yet())

    def _nothing_yet(self) -> dict[str, Any]:
        return {"attributes": {}, "extensions": [], "globals": {}, "classifiers": [], "log": {}}

    def records(self, tell: Callable[[int], None]) -> Iterator[Record]:
        """Traces in the order of the file, each before its events."""
        self.declaration.header = self._nothing_yet()
        number = 0
        case: str | None = None
        of_case: dict[str, Any] = {}
        root = ET.Element("log")
        for what, element, depth in elements(self._path, tell, deepest=_EVENT_DEPTH):
            name = local(element)
            if what == "start":
                if depth == 1:
                    root = element
                    self.declaration.header["attributes"] = dict(element.attrib)
                if name == "trace" and depth == _TRACE_DEPTH:
                    number, case, of_case = number + 1, None, {}
                elif name == "event" and depth == _EVENT_DEPTH and case is None:
                    case = str(of_case.get(self._case) or f"trace {number}")
                    yield self._trace(case, of_case)
            elif depth == _EVENT_DEPTH and name == "event":
                yield self._event(element, str(case))
                element.clear()
            elif depth == _EVENT_DEPTH and case is None and "key" in element.attrib:
                of_case[element.attrib["key"]] = _value(element)
            elif depth == _TRACE_DEPTH:
                if name == "trace":
                    if case is None:
                        yield self._trace(str(of_case.get(self._case) or f"trace {number}"), of_case)
                else:
                    self._header(name, element)
                root.clear()

    def _trace(self, case: str, of_case: dict[str, Any]) -> SeenObject:
        return SeenObject(
            case,
            None,
            tuple((name, None, value) for name, value in of_case.items() if name != self._case or str(value) != case),
        )

    def _event(self, element: ET.Element, case: str) -> Record:
        values = {child.attrib["key"]: _value(child) for child in element if "key" in child.attrib}
        told = values.get(self._time)
        try:
            moment, doubtful = times.localized(str(told["value"] if isinstance(told, dict) else told), self._zone)
            activity = str(values[self._activity])
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            reason = f"names no {self._activity}" if isinstance(error, KeyError) else "its time cannot be read"
            return Reject(reason, str(told or ""), ET.tostring(element, encoding="unicode"))
        actor = values.get(self._resource)
        del values[self._activity], values[self._time]
        if isinstance(actor, str):
            del values[self._resource]
        return SeenEvent(
            activity,
            moment,
            case,
            actor=actor if isinstance(actor, str) else "",
            unit=str(values[self._unit]) if self._unit in values else None,
            values=values,
            is_doubtful=doubtful,
        )

    def _header(self, name: str, element: ET.Element) -> None:
        header = self.declaration.header
        if name == "extension":
            header["extensions"].append(dict(element.attrib))
        elif name == "classifier":
            header["classifiers"].append(dict(element.attrib))
        elif name == "global":
            header["globals"][element.attrib.get("scope", "event")] = {
                child.attrib["key"]: _value(child) for child in element if "key" in child.attrib
            }
        elif "key" in element.attrib:
            header["log"][element.attrib["key"]] = _value(element)


def _value(element: ET.Element) -> Any:
    """An attribute as `values` describes; one that has attributes of its own is tagged with them."""
    kind = local(element)
    if kind == "string" and not len(element):
        return element.get("value", "")
    if kind in {"list", "container"}:
        inner = [child for values in element if local(values) == "values" for child in values] or list(element)
        return {"type": kind, "value": [[child.attrib.get("key", ""), _value(child)] for child in inner]}
    text = element.attrib.get("value", "")
    children = {child.attrib["key"]: _value(child) for child in element if "key" in child.attrib}
    if not children and kind in _PLAIN:
        value = typed(text, kind)
        # Text that only looks like its type, or another form of the same number, would not come back as it was.
        return plain(value) if kind == "string" or not isinstance(value, str) else {"type": kind, "value": text}
    return {"type": kind, "value": text, **({"children": children} if children else {})}
