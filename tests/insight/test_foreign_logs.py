"""Imported logs in the rollups: by their own times, apart from ours, and nothing that cannot be right in a duration (issue 4 section 1;
section 6, traps 13 and 16)."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import pytest

from sync_engine.database.connections import borrowed
from sync_engine.eventlog.importing import Request, import_log
from sync_engine.eventlog.opening import Options
from sync_engine.eventlog.stages import Mapping
from sync_engine.insight import fold
from sync_engine.model.ids import id_maker
from tests.insight.told import FIRST_DAY, told

YEAR_AGO = datetime(2019, 3, 30, 12, tzinfo=UTC)
NOW = FIRST_DAY + timedelta(days=200)
STEPS = ("Create Purchase Order", "Receive goods", "Pay invoice")


@pytest.fixture
def connection(cell):
    _, pool = cell
    with borrowed(pool) as connection:
        yield connection


@pytest.fixture
def take(cell, connection, tmp_path):
    """Imports cases (their name, and the time of each of STEPS) as the log "theirs", beside a company of our own."""
    company, books = told(cell, connection, 21, journeys=20)
    books.write(company.recordings)
    database, _ = cell
    with database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {database.cell}")
        owner.execute("TRUNCATE event_log, event_log_file, event_log_reject, imported_event, object_attribute, document_identifier, document_link")  # fmt: skip

    def run(cases: dict[str, list[datetime]]) -> None:
        rows = [f"{case},{step},{at.isoformat()}" for case, times in cases.items() for step, at in zip(STEPS, times, strict=False)]  # fmt: skip
        path: Path = tmp_path / "theirs.csv"
        path.write_text("\n".join(["case,activity,timestamp", *rows]), encoding="utf-8")
        request = Request(path, "theirs", "", Options(), Mapping(), owner_unit="", case_type="case")
        import_log(connection, request, new_id=id_maker(Random(5)))
        fold.fold_all(connection, now=NOW)

    return run


def read(connection, measure, source="theirs"):
    return connection.execute(
        "SELECT sum(n)::int, sum(total) FROM rolled(%s, ARRAY[%s], NULL, NULL, '1900-01-01', '2100-01-01')", [source, measure]
    ).fetchone()  # fmt: skip


def test_stays_of_an_imported_log_are_by_its_own_times_and_in_no_figure_of_ours(connection, take):
    fold.fold_all(connection, now=NOW)
    ours = {
        measure: read(connection, measure, "finsync")
        for measure in ("entered", "stay_wall", "ordered_wall", "submitted")
    }
    views = "SELECT (SELECT count(*) FROM slo_event), (SELECT count(*) FROM open_document), (SELECT count(*) FROM cycle_time)"
    before = connection.execute(views).fetchone()
    take({f"case {n}": [YEAR_AGO + timedelta(days=n), YEAR_AGO + timedelta(days=n + 1), YEAR_AGO + timedelta(days=n + 4)] for n in range(30)})  # fmt: skip
    entered, stays = read(connection, "entered"), read(connection, "stay_wall")
    assert entered[0] >= 60
    assert stays == (entered[0] - 30, 30 * 4 * 86400), (
        "each case: the stays between its three events, four days together"
    )
    days = connection.execute("SELECT min(starts_on), max(starts_on) FROM rolled('theirs', '{entered}', NULL, NULL, '2019-01-01', '2019-12-31', 'day')").fetchone()  # fmt: skip
    assert days == (YEAR_AGO.date(), (YEAR_AGO + timedelta(days=33)).date())
    assert connection.execute(views).fetchone() == before
    for measure, figure in ours.items():
        assert read(connection, measure, "finsync") == figure
    kept = connection.execute("SELECT * FROM rolled_up ORDER BY source, measure, part, business_unit, grain, starts_on, known_on").fetchall()  # fmt: skip
    fold.rebuild(connection)
    again = connection.execute("SELECT * FROM rolled_up ORDER BY source, measure, part, business_unit, grain, starts_on, known_on").fetchall()  # fmt: skip
    assert [row[:-1] for row in again] == [row[:-1] for row in kept]


def test_a_time_that_cannot_be_right_is_counted_and_in_no_duration(connection, take):
    """Trap 16: neither as the end of a stay nor as its beginning."""
    right = {f"case {n}": [YEAR_AGO, YEAR_AGO + timedelta(days=2), YEAR_AGO + timedelta(days=3)] for n in range(5)}
    wrong = {"old": [datetime(1948, 1, 1, tzinfo=UTC), YEAR_AGO, YEAR_AGO + timedelta(days=1)]}
    take(right | wrong)
    assert read(connection, "suspect")[0] == 1
    stays, total = read(connection, "stay_wall")
    assert total == 5 * 3 * 86400 + 86400
    assert stays == 5 * 2 + 1


def test_an_edge_of_a_period_cuts_an_imported_log_to_the_second(connection, take):
    take({f"case {n}": [YEAR_AGO + timedelta(minutes=n), YEAR_AGO + timedelta(hours=30, minutes=n)] for n in range(60)})
    for edge in (YEAR_AGO + timedelta(minutes=17, seconds=3), YEAR_AGO + timedelta(hours=30, minutes=41)):
        counted, things = (
            connection.execute(text, [edge]).fetchone()[0]
            for text in (
                "SELECT coalesce(sum(n), 0)::int FROM rolled('theirs', '{entered,stay_wall}', NULL, NULL, %s, '2100-01-01')",
                "SELECT count(*) FROM rollup_fact WHERE source = 'theirs' AND measure IN ('entered', 'stay_wall') AND at >= %s",
            )
        )
        assert counted == things > 0
