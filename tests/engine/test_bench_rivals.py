"""The engine is measured beside others, and beside its own past; each rival is left out with its reason where it is not there
(issue "Ahead of the rivals", F21)."""

import shutil
from importlib.util import find_spec

import pytest

from benchmarks import cells
from benchmarks.finished import COUNTED, ORIGINALS, WHOLE, copy_journeys, make_originals, make_partitions
from benchmarks.growth import run as run_growth
from benchmarks.rivals import servers
from benchmarks.rivals.field import RIVALS
from benchmarks.rivals.program import STEPS
from benchmarks.rivals.run import run as run_rivals
from benchmarks.rivals.trial import _gaps, _rate

PACKAGES = {"dbos", "procrastinate", "celery"}


def schemas(database):
    """Cells, and the schemas of rivals; a session's temporary one goes with the session."""
    with database.connect_owner() as owner:
        return [
            name
            for (name,) in owner.execute("SELECT nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg_%' ORDER BY 1")
        ]


def rival(name):
    return tuple(one for one in RIVALS if one.name == name)


@pytest.mark.long
@pytest.mark.timeout(120)
def test_a_quick_run_measures_us_and_a_rival_and_leaves_nothing_behind(database):
    before = schemas(database)
    figures = run_rivals(database, quick=True, progress=lambda _: None, rivals=rival("procrastinate"))
    for ours in figures["ours"].values():
        assert ours["steps_per_s"] > 0
        assert 0 < ours["step_ms_lone"]["p50"] <= ours["step_ms_lone"]["p99"]
    assert figures["pg_batched_per_s"] > 0
    found = figures["rivals"]["procrastinate"]
    if find_spec("procrastinate") is None:
        assert "is not installed" in found["skipped"]
        assert figures["times_best_rival_two_workers"] is None
    else:
        assert found["two_workers"]["steps_per_s"] == figures["best_rival_two_workers"] > 0
        assert [trial["workers"] for trial in found["tried"]] == [1, 2]
        assert figures["times_best_rival_two_workers"] > 0
    assert schemas(database) == before


def test_a_rival_without_its_package_is_left_out_with_the_reason(database, monkeypatch):
    import benchmarks.rivals.run as module

    absent = [one.__class__(**{**vars_of(one), "package": "no-such-package"}) for one in rival("DBOS")]
    monkeypatch.setattr(
        module,
        "_ours",
        lambda *_, **__: {
            name: {"steps_per_s": 1, "step_ms_lone": {"p99": 1}} for name in ("one_worker", "two_workers")
        },
    )
    figures = run_rivals(database, quick=True, progress=lambda _: None, rivals=tuple(absent))
    assert figures["rivals"]["DBOS"] == {
        "skipped": "the package no-such-package is not installed; the extra [bench] has it"
    }
    assert figures["best_rival_one_worker"] is None


def vars_of(one):
    return {name: getattr(one, name) for name in one.__dataclass_fields__}


def test_a_broker_that_is_not_there_is_missed_by_name(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(servers.Missing, match="redis-server"), servers.redis(tmp_path, fsync="always"):
        pytest.fail("no server, no broker")
    with pytest.raises(servers.Missing, match="rabbitmq-server"), servers.rabbitmq(tmp_path):
        pytest.fail("no server, no broker")


def test_every_rival_names_a_package_of_the_extra_and_several_settings():
    assert {one.package for one in RIVALS} == PACKAGES
    assert all(len(one.settings) >= 2 for one in RIVALS)


def test_a_rate_counts_from_when_the_last_worker_is_at_work():
    """Starting up costs a rival nothing: before its second process begins, nothing counts."""
    second = 1_000_000_000
    steps = [("a", n, 1, n * second) for n in range(10)] + [("b", 99, 1, 5 * second)]
    assert _rate(steps) == 4 / 4


def test_a_gap_is_from_one_step_of_a_journey_to_the_next():
    steps = [("a", 1, 0, 0), ("b", 1, 1, 2_000_000), ("a", 1, 2, 5_000_000), ("a", 2, 2, 9_000_000)]
    assert _gaps(steps) == [(1, 2.0), (2, 3.0)]
    assert STEPS == 6


# -- growth ----------------------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
def test_a_quick_growth_measures_every_size_and_leaves_nothing_behind(database):
    before = schemas(database)
    figures = run_growth(database, finished=(0, 1000), quick=True, progress=lambda _: None)
    assert list(figures["finished"]) == ["0", "1000"]
    assert all(one["transitions_per_s"] > 0 and one["claim_100_ms"] > 0 for one in figures["finished"].values())
    assert figures["throughput_share"] > 0
    assert schemas(database) == before


def said(connection, table, of):
    """Rows of a table without what has to differ between copies, sorted."""
    differs = {"idempotency_key", "number", "external_id", "written_order", "position", "copied"}
    differs |= {"number_key", "external_key", "reference_key"}  # worked out from these by the database
    kinds = dict(
        connection.execute(
            "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0",
            [table],
        )
    )
    same = sorted(
        name for name, kind in kinds.items() if name not in differs and kind not in {"uuid", "timestamp with time zone"}
    )
    assert same or table == "recording"
    return connection.execute(f"SELECT {', '.join(same)} FROM {of} ORDER BY {', '.join(same)}").fetchall()


def test_a_copied_journey_is_the_engines_own_but_for_its_name_and_time(connection):
    """What growth is measured beside: every column that an index, a statistic or a statement looks at is as the engine writes it."""
    make_partitions(connection)
    make_originals(connection)
    made = {table: cells.one(connection, f"SELECT count(*) FROM {table}") for table in WHOLE}
    copies = 3
    copy_journeys(connection, made["event"] * copies)
    for table in WHOLE:
        original = said(connection, table, f"original_{table}")
        if table in COUNTED:
            assert cells.one(connection, f"SELECT count(*) FROM {table}") >= made[table] + copies * made["event"]
        else:
            assert said(connection, table, table) == sorted(original * (1 + copies), key=original_order(original)), (
                table
            )
    _copies_hang_together(connection, copies)


def original_order(rows):
    order = {str(row): nth for nth, row in enumerate(rows)}
    return lambda row: order[str(row)]


def _copies_hang_together(connection, copies):
    documents = ORIGINALS * (1 + copies)
    assert (
        cells.one(
            connection,
            "SELECT count(*) FROM document d JOIN event e ON (e.document_id, e.seq, e.recorded_at) = (d.document_id, d.last_event_seq, d.last_event_at)",
        )
        == documents
    )
    assert (
        cells.one(connection, "SELECT count(*) FROM document JOIN work_item USING (document_id) WHERE status = 'done'")
        == documents
    )
    for one, other in (("event", "recording"), ("attempt", "intent")):
        key = {"recording": "recording_id", "intent": "idempotency_key"}[other]
        originals = cells.one(connection, f"SELECT count(*) FROM original_{one} JOIN original_{other} USING ({key})")
        assert cells.one(connection, f"SELECT count(*) FROM {one} JOIN {other} USING ({key})") == originals * (
            1 + copies
        ), one
    gaps = "SELECT DISTINCT finished_at - created_at FROM {} ORDER BY 1"
    assert (
        connection.execute(gaps.format("work_item")).fetchall()
        == connection.execute(gaps.format("original_work_item")).fetchall()
    )
    ordered = connection.execute(
        "SELECT work_item_id, created_at FROM work_item WHERE created_at < now() - interval '1 day' ORDER BY 1"
    ).fetchall()
    assert [at for _, at in ordered] == sorted(at for _, at in ordered), "ids go with time, as the program's do"
    assert (
        connection.execute(
            "SELECT DISTINCT tableoid::regclass::text FROM event WHERE tableoid::regclass::text LIKE '%default'"
        ).fetchall()
        == []
    )
