"""OCEL as JSON: 1.0 (`ocel:` keys, values without history) and 2.0 (arrays, qualifiers, attributes that change).

After the OCEL 1.0 specification (ocel-standard.org, 2020) and the OCEL 2.0 specification (2023), section 7.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from sync_engine.eventlog import json_parts, times
from sync_engine.eventlog.opening import Options, unpacked
from sync_engine.eventlog.records import BadLog, Declaration, Record, Reject, SeenEvent, SeenObject
from sync_engine.eventlog.values import plain, typed


class OcelJsonReader:
    """An OCEL file in JSON of either version."""

    def __init__(self, path: Path, options: Options, *, version: int) -> None:
        self._path, self._zone = path, times.zone_named(options.time_zone)
        self.guessed: dict[str, str] = {}
        self.declaration = Declaration(f"ocel{version}-json")
        self._read = self._version_1 if version == 1 else self._version_2

    def records(self, tell: Callable[[int], None]) -> Iterator[Record]:
        """Events and objects in the order of the file."""
        with unpacked(self._path) as (content, raw):
            try:
                for section, key, part in json_parts.parts(content, tell, raw.tell):
                    try:
                        record = self._read(section, key, part)
                    except (KeyError, TypeError, ValueError, AttributeError) as error:
                        yield Reject(f"cannot be read: {error!r}", str(key or ""), str(part)[:10_000])
                    else:
                        if record is not None:
                            yield record
            except UnicodeDecodeError as error:
                raise BadLog(f"{self._path.name} is not UTF-8: {error}.") from error

    def _version_1(self, section: str, key: str | None, part: Any) -> Record | None:
        match section:
            case "ocel:events" if key is not None:
                moment, doubtful = times.localized(str(part["ocel:timestamp"]), self._zone)
                return SeenEvent(
                    str(part["ocel:activity"]),
                    moment,
                    relations=tuple((str(named), "") for named in part.get("ocel:omap", ())),
                    external_id=key,
                    values={name: plain(value) for name, value in part.get("ocel:vmap", {}).items()},
                    is_doubtful=doubtful,
                )
            case "ocel:objects" if key is not None:
                kind = str(part["ocel:type"])
                self.declaration.declare_kind("object", kind)
                values = tuple((name, None, plain(value)) for name, value in part.get("ocel:ovmap", {}).items())
                return SeenObject(key, kind, values)
            case _:
                self.declaration.header.setdefault(section, {})[key or ""] = part
        return None

    def _version_2(self, section: str, key: str | None, part: Any) -> Record | None:
        match section:
            case "eventTypes" | "objectTypes":
                scope = section.removesuffix("Types")
                self.declaration.declare_kind(scope, part["name"])
                for attribute in part.get("attributes") or ():
                    self.declaration.types[scope, part["name"], attribute["name"]] = attribute["type"]
            case "events":
                return self._event_2(part)
            case "objects":
                return self._object_2(part)
            case _:
                self.declaration.header.setdefault(section, {})[key or ""] = part
        return None

    def _event_2(self, part: dict[str, Any]) -> SeenEvent:
        kind = str(part["type"])
        moment, doubtful = times.localized(str(part["time"]), self._zone)
        types = self.declaration.types
        return SeenEvent(
            kind,
            moment,
            relations=tuple(
                (str(one["objectId"]), one.get("qualifier") or "") for one in part.get("relationships") or ()
            ),
            external_id=str(part["id"]),
            values={
                one["name"]: typed(one["value"], types.get(("event", kind, one["name"]), "string"))
                for one in part.get("attributes") or ()
            },
            is_doubtful=doubtful,
        )

    def _object_2(self, part: dict[str, Any]) -> SeenObject:
        kind = str(part["type"])
        types = self.declaration.types
        return SeenObject(
            str(part["id"]),
            kind,
            tuple(
                (
                    one["name"],
                    times.since(one.get("time"), self._zone),
                    typed(one["value"], types.get(("object", kind, one["name"]), "string")),
                )
                for one in part.get("attributes") or ()
            ),
            tuple((str(one["objectId"]), one.get("qualifier") or "") for one in part.get("relationships") or ()),
        )
