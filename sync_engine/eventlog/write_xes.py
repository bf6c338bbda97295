"""XES (IEEE 1849-2016): a trace per object of one type, with the header its file had."""

from collections.abc import Mapping
from itertools import groupby
from pathlib import Path
from typing import Any
from xml.sax.saxutils import XMLGenerator

from sync_engine.eventlog.schema import STARTED_AT
from sync_engine.eventlog.stored import StoredEvent, StoredLog
from sync_engine.eventlog.xml_text import xml_attributes

_EXTENSIONS = [
    {"name": "Concept", "prefix": "concept", "uri": "http://www.xes-standard.org/concept.xesext"},
    {"name": "Time", "prefix": "time", "uri": "http://www.xes-standard.org/time.xesext"},
    {"name": "Organizational", "prefix": "org", "uri": "http://www.xes-standard.org/org.xesext"},
]


def write_xes(log: StoredLog, path: Path, case_type: str) -> int:
    """Returns how many events were written; one that names several objects of the type is in several traces."""
    written = 0
    header = log.declaration.header if log.declaration.format == "xes" else {}
    with path.open("w", encoding="utf-8") as file:
        xml = XMLGenerator(file, "utf-8", short_empty_elements=True)
        xml.startDocument()
        xml.startElement("log", xml_attributes({"xes.version": "1849-2016", **header.get("attributes", {})}))
        _write_header(xml, header)
        traces = groupby(log.cases(case_type), key=lambda event: event.seen.case)
        trace = next(traces, None)
        for case in log.objects():
            if case.object_type != case_type:
                continue
            xml.startElement("trace", xml_attributes({}))
            values = {name: value for name, since, value in case.values if since is None}
            for name, value in {"concept:name": case.object_id, **values}.items():
                _attribute(xml, name, value)
            if trace is not None and trace[0] == case.object_id:
                for event in trace[1]:
                    _event(xml, event)
                    written += 1
                trace = next(traces, None)
            xml.endElement("trace")
            xml.ignorableWhitespace("\n")
        xml.endElement("log")
        xml.endDocument()
    return written


def _write_header(xml: XMLGenerator, header: Mapping[str, Any]) -> None:
    for extension in header.get("extensions") or _EXTENSIONS:
        _empty(xml, "extension", extension)
    for scope, attributes in header.get("globals", {}).items():
        xml.startElement("global", xml_attributes({"scope": scope}))
        for name, value in attributes.items():
            _attribute(xml, name, value)
        xml.endElement("global")
    for classifier in header.get("classifiers", []):
        _empty(xml, "classifier", classifier)
    for name, value in header.get("log", {}).items():
        _attribute(xml, name, value)


def _event(xml: XMLGenerator, event: StoredEvent) -> None:
    seen = event.seen
    xml.startElement("event", xml_attributes({}))
    _attribute(xml, "concept:name", seen.activity)
    _attribute(xml, "time:timestamp", {"type": "date", "value": seen.event_at.isoformat()})
    if seen.actor:
        _attribute(xml, "org:resource", seen.actor)
    if seen.started_at is not None:
        _attribute(xml, STARTED_AT, {"type": "date", "value": seen.started_at.isoformat()})
    if seen.external_id is not None and "identity:id" not in seen.values:
        _attribute(xml, "identity:id", seen.external_id)
    for name, value in seen.values.items():
        _attribute(xml, name, value)
    xml.endElement("event")


def _attribute(xml: XMLGenerator, name: str, value: Any) -> None:
    if not isinstance(value, Mapping):
        kind = {bool: "boolean", int: "int", float: "float"}.get(type(value), "string")
        said = ("true" if value else "false") if isinstance(value, bool) else str(value)
        _empty(xml, kind, {"key": name, "value": said})
        return
    kind, inner = value["type"], value["value"]
    if isinstance(inner, list):
        xml.startElement(kind, xml_attributes({"key": name}))
        if kind == "list":
            xml.startElement("values", xml_attributes({}))
        for key, one in inner:
            _attribute(xml, key, one)
        if kind == "list":
            xml.endElement("values")
        xml.endElement(kind)
        return
    xml.startElement(kind, xml_attributes({"key": name, "value": inner}))
    for key, one in value.get("children", {}).items():
        _attribute(xml, key, one)
    xml.endElement(kind)


def _empty(xml: XMLGenerator, name: str, attributes: Mapping[str, str]) -> None:
    xml.startElement(name, xml_attributes(attributes))
    xml.endElement(name)
