"""Imports files into a fresh cell, and says what is in a log in a form that can be compared."""

from pathlib import Path
from random import Random

import pytest

from sync_engine.eventlog.importing import Request, import_log
from sync_engine.eventlog.opening import Options
from sync_engine.eventlog.stages import Mapping
from sync_engine.eventlog.stored import StoredLog
from sync_engine.model.ids import id_maker

SHARED = Path(__file__).parents[3] / "shared" / "data" / "eventlogs"
_DELIVERED = id_maker(Random(8))


def shared(name):
    """A log of somebody else that lies beside the repository."""
    if not (SHARED / name).exists():
        pytest.skip(f"{name} is not beside the repository")
    return SHARED / name


@pytest.fixture
def take(connection):
    """Imports a file and gives what was said about it."""

    def run(path, log="theirs", *, kind="", mapping=None, unit="", case_type="case", **options):
        more = {name: options.pop(name) for name in ("progress", "stop") if name in options}
        request = Request(
            Path(path), log, kind, Options(**options), mapping or Mapping(), owner_unit=unit, case_type=case_type
        )
        return import_log(connection, request, new_id=_DELIVERED, **more)

    return run


def contents(connection, log):
    """(events, objects) of a log, each in an order of its own and free of what only our tables know."""
    stored = StoredLog(connection, log)
    with stored.reading():
        events = sorted(
            (
                event.seen.external_id or "",
                event.seen.activity,
                event.seen.event_at,
                event.seen.started_at,
                event.seen.actor,
                event.seen.case if not event.seen.external_id else "",
                tuple(sorted(event.seen.relations)),
                sorted(event.seen.values.items(), key=str),
            )
            for event in stored.events()
        )
        objects = [
            (one.object_id, one.object_type, sorted(one.values, key=str), sorted(one.links)) for one in stored.objects()
        ]
    return events, objects
