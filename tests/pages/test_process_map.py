"""The process map: a step counts once for each document that took it, every mark opens exactly its documents, deviations know how lines
are matched, and the map works on what another maker logged."""

from datetime import timedelta

import pandas as pd
import pytest
from psycopg.types.json import Jsonb

from pages import charts, charts_map
from pages import process_map_parts as parts
from sync_engine.insight import fold
from sync_engine.insight.reports import process_map as ask
from sync_engine.insight.reports.process_map import Asked
from tests.conftest import _server
from tests.pages.asking import asking
from tests.pages.books import MONDAY, NOW, Books
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, words_of
from tests.pages.test_by_week import shown_on

PAGE = "process-map"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ASKED = Asked("finsync", MONDAY - 30 * DAY, NOW)
LOG = "theirs"


@pytest.fixture(scope="module")
def _walked(_servers):
    """Twelve requisitions straight to their order, one sent back, one under way, one in the north, a test; two orders with goods and
    invoice; and a log of another maker in which one event is about two objects."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        books = Books(_server(_servers, "embedded", None), monkeypatch)
        books.heard_from_everybody()
        for n in range(12):
            books.requisition(f"40{n:02}", MONDAY, approved=MONDAY + (n + 1) * HOUR, ordered=MONDAY + (n + 2) * HOUR)
        books.again = books.requisition("4100", MONDAY, sent_back=MONDAY + HOUR, approved=MONDAY + 3 * HOUR, ordered=MONDAY + 4 * HOUR)  # fmt: skip
        books.requisition("4200", MONDAY + HOUR)
        books.requisition("4300", MONDAY, unit="DE-NORTH", approved=MONDAY + HOUR, ordered=MONDAY + 2 * HOUR)
        books.requisition("4400", MONDAY, approved=MONDAY + HOUR, ordered=MONDAY + 2 * HOUR, is_test=True)
        books.three_way, books.two_way = (_bought(books, number, needs) for number, needs in (("4500", True), ("4501", False)))  # fmt: skip
        _theirs(books)
        fold.fold_all(books.connection, now=NOW)
        yield books
        books.close()


def _bought(books, number, needs_goods):
    """An order accepted at nine, billed at ten, goods at eleven."""
    at = MONDAY + 3 * HOUR
    order = books.document(
        "purchase_order", number, "DE-SOUTH",
        [("order_drafted", None, "drafted", at - HOUR, at - HOUR), ("order_accepted", "drafted", "posted", at, at), ("goods_received_in_full", "posted", "received", at + 2 * HOUR, at + 2 * HOUR)],
        amount=700,
    )  # fmt: skip
    invoice = books.document("invoice", f"R{number}", "DE-SOUTH", [("invoice_received", None, "received", at + HOUR, at + HOUR)])  # fmt: skip
    with books.database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {books.database.cell}")
        owner.execute(
            "INSERT INTO order_movement (source_document_id, source_line, kind, order_document_id, order_line, quantity, amount, moved_on, business_unit, recorded_at)"
            " VALUES (%s, 1, 'billed', %s, 1, 1, 700, %s, 'DE-SOUTH', %s)",
            [invoice, order, at.date(), at],
        )
        owner.execute(
            "INSERT INTO document_payload (document_id, payload_version, canonical, payload_hash, schema_version, mapping_version, author, recorded_at, business_unit)"
            " VALUES (%s, 0, %s, '', '1', '1', 'test', %s, 'DE-SOUTH')",
            [
                order,
                Jsonb({"lines": [{"receipt_required": needs_goods, "contract": "C-1" if needs_goods else ""}]}),
                at,
            ],
        )
    return order


def _theirs(books):
    """Two objects of an imported log; news of an earlier event comes later; one event names the second object too."""
    box, item = (books.document("posting", f"{kind}-1", "DE-SOUTH", moves) for kind, moves in (
        ("box", [("open", None, "open", MONDAY, NOW - DAY), ("ship", "open", "shipped", MONDAY + 3 * HOUR, NOW - DAY), ("pack <b>", "shipped", "packed", MONDAY + HOUR, NOW - HOUR)]),
        ("item", [("pick", None, "picked", MONDAY + 2 * HOUR, NOW - DAY)]),
    ))  # fmt: skip
    with books.database.connect_owner() as owner:
        owner.execute(f"SET search_path TO {books.database.cell}")
        for table in ("event", "document"):
            for document, kind in ((box, "box"), (item, "item")):
                owner.execute(f"UPDATE {table} SET source = %s, document_type = %s WHERE document_id = %s", [LOG, kind, document])  # fmt: skip
        owner.execute(
            "INSERT INTO event_object (recording_id, ordinal, recorded_at, document_id, qualifier, business_unit)"
            " SELECT recording_id, ordinal, recorded_at, %s, 'part', 'DE-SOUTH' FROM event WHERE document_id = %s AND activity = 'ship'",
            [item, box],
        )


@pytest.fixture
def walked(_walked, monkeypatch):
    _walked.monkeypatch = monkeypatch
    _walked.use()
    return _walked


def step(found, activity, before=None, kind="requisition"):
    """One activity or step of a map."""
    here = found[(found["document_type"] == kind) & (found["activity"] == activity)]
    here = here[here["from_activity"].isna()] if before is None else here[here["from_activity"] == before]
    assert len(here) == 1, (activity, before)
    return here.iloc[0]


# -- the map counts -------------------------------------------------------------------------------------------------------


def test_a_step_counts_each_time_and_a_document_and_its_money_once(walked):
    """Traps 3 and 5: attempts are not documents, and no join multiplies a sum."""
    with asking(walked) as reports:
        found = ask.steps(reports, ASKED)
    validated = step(found, "validated")
    assert (validated["n"], validated["documents"], validated["repeats"]) == (16, 15, 1)
    assert validated["value"] == 1500
    assert (step(found, "changed", "budget_confirmed")["n"], step(found, "validated", "changed")["n"]) == (1, 1)
    assert step(found, "requisition_received", "")["documents"] == 15  # the test document is nowhere


def test_time_on_a_step_is_from_the_step_before(walked):
    with asking(walked) as reports:
        found = ask.steps(reports, ASKED)
    confirmed = step(found, "orders_confirmed", "orders_drafted")
    assert confirmed["n"] == 14
    assert confirmed["p50_s"] == 59 * 60


def test_every_mark_opens_exactly_its_documents(walked):
    """The drill contract, for every mark there is."""
    with asking(walked) as reports:
        found = ask.steps(reports, ASKED)
        for row in found.to_dict("records"):
            rows = ask.behind(reports, ASKED, row["document_type"], row["activity"], row["from_activity"])
            assert len(rows) == rows["document_id"].nunique() == row["documents"], row
            assert rows["n"].sum() == row["n"], row


def test_what_is_of_another_unit_is_in_no_figure_of_mine(walked):
    """R123."""
    with asking(walked, ANALYST) as reports:
        found = ask.steps(reports, ASKED)
        assert step(found, "requisition_received")["documents"] == 14
        assert set(ask.behind(reports, ASKED, "requisition", "validated", None)["business_unit"]) == {"DE-SOUTH"}


def test_time_between_two_activities_is_from_first_to_first(walked):
    with asking(walked) as reports:
        found = ask.between(reports, ASKED, "requisition", "validated", "approval_completed")
    assert len(found) == 14
    assert found.set_index("document_id")["s"][walked.again] == 3 * 3600 - 120


# -- variants -------------------------------------------------------------------------------------------------------------


def test_variants_are_of_what_ended_and_sum_to_all_of_it(walked):
    with asking(walked) as reports:
        found = ask.variants(reports, ASKED)
        ended = ask.straight(reports, ASKED, ask.REVISIONS)
        for row in found.to_dict("records"):
            assert len(ask.of_variant(reports, ASKED, row["document_type"], row["activities"])) == row["documents"]
        assert [row["number"] for row in ask.revised(reports, ASKED, ask.REVISIONS).to_dict("records")] == ["4100"]
    assert list(found["documents"]) == [13, 1]
    assert found["documents"].sum() == found["of"].iloc[0] == ended.documents == 14
    assert found["cumulative"].iloc[-1] == pytest.approx(1)
    assert (ended.first_time_right, ended.right) == (13, pytest.approx(13 / 14))


def test_first_time_right_is_by_the_revisions_that_are_chosen(walked):
    """UIP3: what counts as a revision is the reader's to say."""
    with asking(walked) as reports:
        assert ask.straight(reports, ASKED, ["order_changed"]).first_time_right == 14
        empty = ask.straight(reports, Asked("finsync", NOW, NOW + DAY), ask.REVISIONS)
    assert (empty.right, empty.automatic) == (None, None)  # trap 2: nothing of nothing is no data


# -- deviations -----------------------------------------------------------------------------------------------------------


def test_an_invoice_before_the_goods_is_a_deviation_where_lines_are_matched_three_ways_alone(walked):
    with asking(walked) as reports:
        orders = ask.orders(reports, ASKED)
        found = ask.deviations(orders).set_index("name")
        behind = {name: list(ask.deviating(reports, ASKED, orders, name)["document_id"]) for name in found.index}
    assert len(found) == 11
    assert (found["documents"]["invoice_before_goods"], found["of"]["invoice_before_goods"]) == (1, 1)
    assert behind["invoice_before_goods"] == [walked.three_way]
    assert behind["no_contract"] == [walked.two_way]
    assert found["documents"]["no_requisition"] == 2
    assert found["documents"]["goods_before_order"] == 0
    for name in found.index:
        assert len(behind[name]) == found["documents"][name]
    assert ask.off_the_way(orders) == len({one for documents in behind.values() for one in documents})


# -- what others logged ---------------------------------------------------------------------------------------------------


def test_an_imported_log_is_in_the_order_of_its_times_and_a_shared_event_is_a_step_of_both_objects(walked):
    """OCEL 2.0; an event that came late stands where it belongs."""
    with asking(walked) as reports:
        found = ask.steps(reports, Asked(LOG, ASKED.since, ASKED.until))
    assert step(found, "ship", "pack <b>", "box")["p50_s"] == 2 * 3600
    assert step(found, "ship", "pick", "item")["p50_s"] == 3600
    assert step(found, "ship", kind="box")["documents"] == step(found, "ship", kind="item")["documents"] == 1


def test_the_paths_made_anew_are_the_paths(walked):
    """A rebuild from the events answers the same."""
    before = walked.connection.execute("SELECT * FROM document_path ORDER BY document_id").fetchall()
    fold.rebuild(walked.connection)
    assert walked.connection.execute("SELECT * FROM document_path ORDER BY document_id").fetchall() == before
    assert len(before) == 21


# -- what is drawn --------------------------------------------------------------------------------------------------------


def _steps(edges):
    rows = [("t", before, activity, n) for before, activity, n in edges]
    names = dict.fromkeys(name for before, activity, _ in edges for name in (before, activity))
    rows += [("t", None, name, sum(n for _, to, n in edges if to == name) or 1) for name in names]
    table = pd.DataFrame(rows, columns=["document_type", "from_activity", "activity", "n"])
    return table.assign(documents=table["n"], place=range(len(table)), value=0.0, repeats=0, negative=0, p50_s=None, p85_s=None, total_s=0.0, rework=0.0)  # fmt: skip


def test_what_is_hidden_is_counted_and_no_activity_floats():
    found = _steps([("a", "b", 100), ("b", "c", 90), ("a", "c", 10), ("c", "a", 5), ("c", "d", 1)])
    drawn = charts_map.choose(found, nodes_percent=100, edges_percent=10)
    ways = set(zip(drawn.edges["from_activity"], drawn.edges["activity"], strict=True))
    assert {("a", "b"), ("b", "c"), ("c", "d")} <= ways
    assert ("a", "c") not in ways
    assert drawn.hidden_edges == 1
    assert drawn.hidden_share == pytest.approx(10 / 206)
    everything = charts_map.choose(found, nodes_percent=100, edges_percent=100)
    assert (everything.hidden_edges, everything.hidden_share) == (0, 0)


def test_a_map_holds_forty_activities_and_says_how_many_more_there_are():
    found = _steps([(f"a{i}", f"a{i + 1}", 100 - i) for i in range(60)])
    drawn = charts_map.choose(found, nodes_percent=100, edges_percent=10)
    assert (len(drawn.nodes), drawn.too_many, drawn.hidden_nodes) == (40, 21, 21)


@pytest.mark.parametrize("narrow", [False, True])
def test_every_mark_of_the_figure_says_which_step_it_is(narrow):
    drawn = charts_map.choose(_steps([("a", "b", 5), ("b", "b", 2), ("b", "a", 1)]), nodes_percent=100, edges_percent=100)  # fmt: skip
    words = charts_map.Words(str, str, lambda metric, row: str(row[metric]), lambda row: "asked")
    no_joins = pd.DataFrame(columns=["from_type", "from_activity", "document_type", "activity", "n"])
    figure = charts_map.process_map(drawn, no_joins, types=["t"], metric="n", words=words, style=charts.look(dark=True), narrow=narrow)  # fmt: skip
    marks = {(named[1], named[2]) for trace in figure.data for named in trace.customdata}
    assert marks == {("a", "b"), ("b", "b"), ("b", "a"), (None, "a"), (None, "b")}


def test_a_repeated_step_is_said_once_with_its_number():
    assert parts.path_words(["a_b", "c", "c", "a_b"]) == "a b → c x2 → a b"


# -- the page -------------------------------------------------------------------------------------------------------------


def test_the_page_says_what_share_went_straight_and_opens_a_step(walked):
    app = walked.look(PAGE, person=LEADER, of="requisition", before="changed", step="validated")
    assert not app.exception
    said = words_of(app)
    assert "92.9 % of 14 documents" in said
    assert "changed → validated: 1 document" in said
    assert "Invoice before goods" in said


def test_the_time_between_two_activities_stands_from_the_shortest_down(walked, monkeypatch):
    shown = shown_on(walked, monkeypatch, PAGE, of="requisition", step="validated", then="approval_completed")
    up = shown["process.between"].layout.yaxis
    assert up.categoryorder == "array"
    assert (up.categoryarray[-1], up.categoryarray[0]) == ("under 1 min", "over 30 d")


@pytest.mark.parametrize(
    "query",
    [
        {"of": "requisition", "step": "<script>"},
        {"of": "nothing"},
        {"variant": "x" * 200},
        {"deviation": "none"},
        {"of": "requisition", "step": "validated", "then": "never"},
        {"nodes": "-4", "edges": "²", "metric": "speed", "log": "others"},
    ],
)
def test_an_address_that_asks_for_what_is_not_there_draws_the_page_and_says_so(walked, query):
    app = walked.look(PAGE, person=LEADER, **query)
    assert not app.exception
    assert any("address of this page" in warning.value for warning in app.warning)


def test_an_imported_log_has_its_map_and_its_words_are_not_markup(walked):
    """R019: every view works on what another maker logged."""
    app = walked.look(PAGE, person=LEADER, log=LOG, period="custom", since="2026-09-01", until="2026-09-14")
    assert not app.exception
    said = words_of(app)
    assert "Deviations need orders" in said
    [chart] = app.get("plotly_chart")
    assert "pack <b>" not in chart.proto.spec.replace("\\u003c", "<")


def test_what_ended_elsewhere_is_offered_where_the_period_is_empty(walked):
    app = walked.look(PAGE, person=LEADER, period="custom", since="2026-01-01", until="2026-01-02")
    assert not app.exception
    assert "reaches from 7 Sep 2026" in words_of(app)


def test_an_auditor_sees_the_map_and_an_empty_house_says_what_to_do(walked, empty_world):
    empty_world.use()
    app = empty_world.look(PAGE, person=AUDITOR)
    assert not app.exception
    assert "There is nothing to draw here." in words_of(app)
