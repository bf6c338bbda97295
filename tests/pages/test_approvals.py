"""Approvals: one decision is one task however many are asked, every figure opens exactly its rows, approvers are named to those who may
know alone, and limits say what they let through (PRODUCT 4.10, D08, section 6 traps 2, 3, 7, 17 and 18)."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
from psycopg.types.json import Jsonb

from pages import approvals as page
from pages import approvals_parts, tables
from sync_engine.control.roles import NAMES_APPROVERS, Role
from sync_engine.database.statements import sql
from sync_engine.insight import fold
from sync_engine.insight.reports import approval_measures as measures
from sync_engine.insight.reports import approvals as ask
from sync_engine.insight.reports.approvals import Asked
from tests.conftest import _server
from tests.pages.asking import asking
from tests.pages.books import MONDAY, NOW, Books
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, SUPPORT, words_of

PAGE = "approvals"
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
PERIOD = Asked(NOW - 30 * DAY, NOW, None, NOW, named=True)
PEOPLE = ("Lena Lead", "Fritz Finance", "Paula Procurement", "Nora North", "Volker Vertretung")
WORDS = {"approved": "approval_granted", "rejected": "approval_denied", "cancelled": "approval_cancelled"}


def person(name):
    return {"user": name.split()[0].lower(), "name": name, "email": ""} if name else None


class Approvals(Books):
    """Requests for decisions about requisitions, with known times."""

    def asked(self, about, requested, decided=None, *, by="Lena Lead", decided_by=None, group="", request="", outcome="approved", position=1, unit="DE-SOUTH", seen_after=2 * MINUTE, **more):  # fmt: skip
        """One person is asked; decided unless it says when not."""
        ends = outcome if decided else None
        moves = [("approval_received", None, "requested", requested, requested)]
        if ends:
            moves.append((WORDS[ends], "requested", ends, decided, decided + seen_after))
        row = self.document("approval", f"A{len(self.people)}", unit, moves, amount=None, closed=bool(ends), **more)
        is_human = ends in {"approved", "rejected"}
        canonical = {
            "request": request, "group": group, "position": position, "approver": person(by), "decided_by": (person(decided_by) or person(by)) if is_human else None,
            "decision": ends or "pending", "requested_at": requested.isoformat(), "decided_at": decided.isoformat() if is_human else None,
        }  # fmt: skip
        self.connection.execute("UPDATE document SET source_system = %s WHERE document_id = %s", ["servicenow" if group else "coupa", row])  # fmt: skip
        self.content(row, canonical, requested, unit)
        self.connection.execute(
            "INSERT INTO document_link (from_document_id, to_document_id, relation, business_unit, recorded_at) VALUES (%s, %s, 'decides', %s, %s)",
            [row, about, unit, requested],
        )
        self.people.append(row)
        return row

    def content(self, document_id, canonical, at, unit):
        """What a document says."""
        self.connection.execute(
            "INSERT INTO document_payload (document_id, payload_version, canonical, payload_hash, schema_version, mapping_version, author, recorded_at, business_unit) VALUES (%s, 0, %s, '', '1', '1', 'test', %s, %s)",
            [document_id, Jsonb(canonical), at, unit],
        )  # fmt: skip

    def fill(self):
        self.people = []
        self.heard_from_everybody()
        # A sitting: three came before seven, all decided about nine; then nine more, one a day and hour.
        self.sitting = [self.requisition(f"50{n:02}", MONDAY, amount=100 * (n + 1)) for n in range(3)]
        self.sat = [self.asked(one, MONDAY + 10 * n * MINUTE, MONDAY + 3 * HOUR + 2 * n * MINUTE) for n, one in enumerate(self.sitting)]  # fmt: skip
        for n in range(9):
            at = MONDAY + (n % 5) * DAY + (n // 5) * 4 * HOUR + 30 * MINUTE
            self.asked(self.requisition(f"51{n:02}", at, amount=500 * (n + 1)), at, at + HOUR)
        # One that two groups decide: the first of three members speaks for finance, procurement's two have not.
        self.large = self.requisition("5200", MONDAY, amount=12000)
        self.asked(self.large, MONDAY, MONDAY + 5 * HOUR, by="Lena Lead", position=1)
        for name, ends in (("Fritz Finance", "approved"), ("Frida Finance", "cancelled"), ("Falk Finance", "cancelled")):  # fmt: skip
            self.asked(self.large, MONDAY + HOUR, MONDAY + 2 * HOUR, by=name, group="Finance DE-SOUTH", request="R1", outcome=ends)  # fmt: skip
        for name in ("Paula Procurement", "Peter Procurement"):
            self.asked(self.large, MONDAY + HOUR, by=name, group="Procurement DE-SOUTH", request="R1")
        # Refused; by a delegate; within seconds; against the clock; the integration's own and in somebody's place; withdrawn; a test.
        one = self.requisition("5300", MONDAY + DAY)
        self.asked(one, MONDAY + DAY, MONDAY + DAY + 2 * HOUR, outcome="rejected")
        self.asked(one, MONDAY + DAY, MONDAY + DAY + 5 * HOUR, decided_by="Volker Vertretung", position=2)
        self.quick = self.asked(one, MONDAY + 2 * DAY, MONDAY + 2 * DAY + timedelta(seconds=20))
        self.backwards = self.asked(one, MONDAY + DAY + HOUR, MONDAY + DAY)
        self.asked(one, MONDAY + DAY, MONDAY + DAY + 6 * HOUR, by="finsync", position=3)
        self.asked(one, MONDAY + DAY, MONDAY + DAY + 6 * HOUR, decided_by="finsync", position=4)
        self.asked(one, MONDAY + DAY, MONDAY + DAY + 6 * HOUR, outcome="cancelled", position=5)
        self.asked(one, MONDAY + DAY, MONDAY + DAY + 6 * HOUR, is_test=True)
        # Changed after it was asked for, then approved.
        again = self.requisition("5400", MONDAY, sent_back=MONDAY + HOUR)
        self.asked(again, MONDAY + 2 * HOUR, MONDAY + 4 * HOUR)
        # Open since Monday; the other unit's; just below the limit, and split below it.
        self.open = self.asked(self.requisition("5500", MONDAY, amount=700), MONDAY + HOUR)
        self.north = self.requisition("5600", MONDAY, unit="DE-NORTH", amount=999)
        self.asked(self.north, MONDAY, MONDAY + HOUR, by="Nora North", unit="DE-NORTH")
        self.near = self.requisition("5700", MONDAY, amount=9800)
        self.above = self.requisition("5701", MONDAY, amount=10100)
        self.split = [self.requisition(f"580{n}", MONDAY + n * DAY, amount=6000) for n in range(2)]
        self.elsewhere = self.requisition("5803", MONDAY + HOUR, amount=6000)
        self.apart = self.requisition("5804", MONDAY - 20 * DAY, amount=6000)
        for one, supplier in ((self.split[0], "S1"), (self.split[1], "S1"), (self.elsewhere, "S2"), (self.apart, "S1")):
            self.content(one, {"lines": [{"supplier": supplier}, {"supplier": supplier}]}, MONDAY, "DE-SOUTH")
        self.exception(one, "approval_conflict", category="policy", raised=MONDAY + 2 * DAY)


@pytest.fixture(scope="module")
def _waiting(_servers):
    with pytest.MonkeyPatch.context() as monkeypatch:
        books = Approvals(_server(_servers, "embedded", None), monkeypatch)
        books.fill()
        fold.fold_all(books.connection, now=NOW)
        yield books
        books.close()


@pytest.fixture
def books(_waiting, monkeypatch):
    _waiting.monkeypatch = monkeypatch
    _waiting.use()
    return _waiting


@pytest.fixture
def found(books):
    with asking(books) as reports:
        return ask.tasks(reports, PERIOD)


# -- what is counted ------------------------------------------------------------------------------------------------------


def test_a_group_s_request_is_one_task_and_a_program_s_step_is_none(books, found):
    """Trap 3: three members asked are one decision. The integration's own step, what it decided in somebody's place, what was
    withdrawn and a test document (trap 17) are no decisions."""
    assert len(found.decided) == 12 + 1 + 1 + 2 + 1 + 1 + 1
    finance = found.decided[found.decided["role"] == "Finance DE-SOUTH"]
    assert finance[["approver", "members"]].to_numpy().tolist() == [["Fritz Finance", 3]]
    waiting = found.open[found.open["role"] == "Procurement DE-SOUTH"]
    assert waiting[["approver", "members"]].to_numpy().tolist() == [[None, 2]], "nobody of the group has it yet"
    assert sorted(found.open["role"]) == ["Procurement DE-SOUTH", "Procurement, step 1"]


def test_clocks_that_contradict_each_other_are_counted_apart(books, found):
    """Trap 7."""
    assert list(found.backwards["task_id"]) == [books.backwards]
    assert books.backwards not in set(found.decided["task_id"])


def test_working_time_is_the_unit_s_and_waiting_adds_up(books, found):
    rows = found.decided.set_index("task_id")
    assert rows["business_s"][books.sat[0]] == 3 * 3600
    causes = ["off", "contention", "priority", "batching", "handover", "unexplained"]
    assert (rows[causes].sum(axis=1) - rows["wait_s"]).abs().max() < 1e-3
    assert rows["wait_s"][books.sat[0]] == 3 * 3600 + 120
    assert rows["handover"][books.sat[0]] == 120
    assert rows["batching"][books.sat[0]] > 2 * 3600
    assert rows["batching"][books.quick] == 0


def test_the_approver_s_own_calendar_and_the_nights_when_the_clock_is_changed(books):
    """Business calendars per approver, across daylight saving and the year's end, in SQL from the filled table."""
    with books.connection.transaction(force_rollback=True):
        about = books.requisition("5900", MONDAY)
        autumn = books.asked(about, datetime(2026, 10, 23, 14, tzinfo=UTC), datetime(2026, 10, 26, 8, tzinfo=UTC))
        year = books.asked(about, datetime(2026, 12, 31, 15, tzinfo=UTC), datetime(2027, 1, 4, 8, tzinfo=UTC))
        night = books.asked(about, datetime(2026, 11, 2, 20, tzinfo=UTC), datetime(2026, 11, 3, 8, tzinfo=UTC), by="Schicht Nacht")  # fmt: skip
        books.connection.execute("INSERT INTO calendar_interval (calendar, opens_at, closes_at, worked_before_s) VALUES ('coupa:schicht', '2026-11-02T21:00Z', '2026-11-03T05:00Z', 0)")  # fmt: skip
        rows = books.connection.execute(
            sql("report_approvals.tasks"), {"units": None, "since": NOW, "as_of": datetime(2027, 2, 1, tzinfo=UTC), "named": False, "most": 100}
        )  # fmt: skip
        names = [one.name for one in rows.description]
        by_id = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
    assert {key: (by_id[key]["calendar"], by_id[key]["business_s"]) for key in (autumn, year, night)} == {
        autumn: ("DE-SOUTH", 2 * 3600),
        year: ("DE-SOUTH", 2 * 3600),
        night: ("coupa:schicht", 8 * 3600),
    }


def test_first_pass_rates_and_delegation(found):
    flagged = measures.flagged(found.decided, found.everything)
    assert flagged["is_returned"].sum() == 1
    assert flagged["is_delegated"].sum() == 1
    assert (flagged["outcome"] == "rejected").sum() == 1
    assert flagged["is_quick"].sum() == 1
    assert not flagged["is_reflex"].any()
    rates = measures.rates(flagged, by=["role"]).set_index("role")
    assert rates["rate"]["Finance DE-SOUTH"] == 1
    assert pd.isna(rates["p50_s"]["Finance DE-SOUTH"]), "fewer than ten have no median"
    assert rates["p50_s"]["Procurement, step 1"] == 3600


def test_six_within_five_minutes_are_a_reflex_and_a_stamp_is_quick_and_always_yes():
    rows = pd.DataFrame([
        {"task_id": n, "person": 1, "approver": "x", "role": "r", "document_type": "requisition", "outcome": "approved", "requested_at": MONDAY, "decided_at": MONDAY + HOUR + n * timedelta(seconds=40), "business_s": 60.0}
        for n in range(12)
    ])  # fmt: skip
    flagged = measures.flagged(rows, rows)
    assert flagged["is_reflex"].all()
    assert list(flagged["is_quick"]) == [False] + [True] * 11
    assert measures.rates(flagged, by=["role"])["is_stamp"].all()
    slow = rows.assign(decided_at=[MONDAY + (n + 1) * HOUR for n in range(12)])
    assert not measures.flagged(slow, slow)[["is_quick", "is_reflex"]].to_numpy().any()


def test_a_queue_says_when_it_would_be_clear_and_none_without_decisions(found):
    """Trap 2: nothing decided is no pace, not an endless one."""
    queues = measures.queues(found, days=30).set_index("role")
    assert queues["open"]["Procurement, step 1"] == 1
    assert queues["clears_in_s"]["Procurement, step 1"] == pytest.approx(30 * 86400 / queues["decided"]["Procurement, step 1"])  # fmt: skip
    assert pd.isna(queues["clears_in_s"]["Procurement DE-SOUTH"])
    assert queues["arrived"].sum() == len(found.arrived)


def test_documents_would_be_sooner_by_no_more_than_they_waited(found):
    causes = measures.causes(found)
    assert causes["share"].sum() == pytest.approx(1)
    assert (causes["saved_s"] <= causes["s"] + 1e-6).all()
    assert causes["s"].sum() == pytest.approx(found.decided["wait_s"].sum())


def test_requests_and_decisions_by_the_clock_on_the_wall(found):
    hours = measures.by_hour(found)
    assert len(hours) == 168
    assert hours["arrived"].sum() == len(found.arrived)
    assert hours["decided"].sum() == len(found.decided)
    # Six in the morning UTC is eight in Hamburg and Munich.
    assert hours.set_index(["weekday", "hour"])["arrived"][0, 8] >= 4


# -- limits ---------------------------------------------------------------------------------------------------------------


def test_just_below_the_limit_and_split_below_it(books):
    """Trap 18: splitting hides a breach. Three weeks apart is no split, nor is another supplier; the limit itself is not below it."""
    with asking(books) as reports:
        rows = ask.near_limits(reports, PERIOD)
    assert dict(zip(rows["document_id"], rows["pattern"], strict=True)) == {books.near: "near", **dict.fromkeys(books.split, "split")}  # fmt: skip
    assert set(rows["above"]) == {1}
    assert set(rows[rows["pattern"] == "split"]["reached"]) == {12000}


def test_a_higher_limit_lets_through_what_nobody_else_decided(books, found):
    flagged = measures.flagged(found.decided, found.everything)
    at = measures.raised(flagged, 1.25)
    assert (len(at.vanish), at.documents, at.value, at.alone) == (1, 1, 12000, 0), "procurement's chain decided too"
    without = flagged[(flagged["role"] != "Procurement, step 1")]
    assert measures.raised(without, 1.25).alone == 12000
    assert len(measures.raised(flagged, 1.2).vanish) == 0, "the new limit itself still asks"


# -- the page -------------------------------------------------------------------------------------------------------------

LISTS = ["decided", "open", "refused", "not-at-once", "rush", "delegated", "backwards", "higher"]


def listed(app):
    """The rows of the list that is opened, by its heading and in its table."""
    [heading] = [one.value for one in app.subheader if one.value.endswith((" request", " requests")) and ": " in one.value]  # fmt: skip
    rows = [one.value for one in app.dataframe if "works_s" in one.value.columns]
    return int(heading.rpartition(": ")[2].split()[0]), len(rows[0]) if rows else 0


def test_every_figure_opens_exactly_its_rows(books, found):
    """The drill contract."""
    app = books.look(PAGE, person=LEADER)
    assert not app.exception
    shown = {link.label: link for link in app.page_link}
    assert "Show 19" in shown
    expected = {"decided": 19, "open": 2, "refused": 1, "not-at-once": 2, "rush": 1, "delegated": 1, "backwards": 1, "higher": 1}  # fmt: skip
    for name in LISTS:
        opened = books.look(PAGE, person=LEADER, show=name)
        assert not opened.exception
        assert listed(opened) == (expected[name],) * 2, name


@pytest.mark.parametrize("cause", approvals_parts.CAUSES)
def test_every_cause_opens_exactly_its_decisions(books, found, cause):
    n = int((found.decided[cause] > 0).sum())
    assert listed(books.look(PAGE, person=LEADER, show="cause", cause=cause)) == (n, n)


def test_a_role_and_a_filter_narrow_the_list(books):
    assert listed(books.look(PAGE, show="open", of="Procurement, step 1")) == (1, 1)
    assert listed(books.look(PAGE, show="decided", role="Finance DE-SOUTH")) == (1, 1)
    said = words_of(books.look(PAGE, type="invoice"))
    assert "No decisions match" in said.replace("\\", "")


def test_the_figures_say_what_they_are_of_and_explain_themselves(books):
    app = books.look(PAGE, person=LEADER)
    metrics = {one.label: one.value for one in app.metric}
    assert metrics["Time to decide"] == "1.0 working hours"
    assert metrics["Open requests"] == "2"
    assert metrics["Approval rate"] == "94.7 %"
    for key in ("cycle", "open", "first", "rate", "rush", "heard"):
        said = words_of(books.look(PAGE, person=LEADER, explain=key))
        assert "**Formula:**" in said, key
        assert "**Population:**" in said, key


def test_what_the_tools_do_not_say_is_said(books):
    said = words_of(books.look(PAGE)).replace("\\", "")
    assert "neither tool says when a request was opened" in said


def test_a_page_asks_at_most_twelve_questions(books):
    app = books.look(PAGE, person=LEADER)
    [asked] = [one.value for one in app.caption if "to the database" in one.value]
    assert int(asked.split(" question")[0].rpartition(" ")[2]) <= 12


# -- privacy --------------------------------------------------------------------------------------------------------------


def everything_of(app):
    """All that reaches the browser: what is said, every cell and address, every chart with its hovers, every link."""
    charts = [str(one.proto) for one in app.get("plotly_chart")]
    assert all("Procurement" in chart or "asked for" in chart or "Outside" in chart for chart in charts)
    links = [f"{link.label} {link.proto}" for link in app.page_link]
    return "\n".join([words_of(app), *links, *charts]).replace("\\", "")


@pytest.mark.parametrize("who", [OPERATIONS, ANALYST, SUPPORT])
@pytest.mark.parametrize("query", [{}, {"show": "decided"}, {"show": "open"}, {"show": "delegated"}, {"show": "cause", "cause": "batching"}], ids=str)  # fmt: skip
def test_nobody_else_is_told_who_an_approver_is(books, who, query):
    """4.10: named people only for their managers and auditors. What somebody who may know has just seen is not served to others."""
    books.look(PAGE, person=AUDITOR, **query)
    app = books.look(PAGE, person=who, **query)
    assert not app.exception
    said = everything_of(app)
    assert "Procurement, step 1" in said
    for name in PEOPLE:
        assert name not in said
        assert name.split()[0].lower() + '"' not in said


def test_the_address_of_an_approver_opens_nothing_to_others_and_never_names_anybody(books):
    lena = approvals_parts.who("Lena Lead")
    n = listed(books.look(PAGE, person=AUDITOR, show="decided", who=lena))[0]
    assert n > 10
    assert "asks for rows that are not here" in words_of(books.look(PAGE, show="decided", who=lena))
    app = books.look(PAGE, person=AUDITOR)
    said = words_of(app)
    assert "Lena Lead" in said
    links = [str(cell) for one in app.dataframe for column in one.value.columns if column in {"rows", "past", "trace", "case"} for cell in one.value[column]]  # fmt: skip
    assert any(lena in link for link in links)
    assert not any("Lena" in link or "lena" in link for link in links)


def test_an_export_names_approvers_to_those_who_may_know_alone(books, monkeypatch):
    for who, is_told in ((OPERATIONS, False), (AUDITOR, True)):
        sheets = []
        monkeypatch.setattr(
            tables.st, "download_button", lambda _label, data, sheets=sheets, **_: sheets.append(data() if callable(data) else data)
        )  # fmt: skip
        books.look(PAGE, person=who, show="decided")
        assert len(sheets) >= 3
        text = b"".join(sheets).decode()
        assert ("Lena Lead" in text) is is_told, who
        assert "5100" in text


def test_the_database_itself_names_approvers_to_those_roles_alone(books):
    """Whoever asks for names without the role gets none: the statement looks at the session, not at what the page says."""
    for who, is_told in ((SUPPORT, False), (OPERATIONS, False), (AUDITOR, True), (LEADER, True)):
        with asking(books, who) as reports:
            rows = reports.rows("report_approvals.tasks", units=None, since=NOW - 30 * DAY, as_of=NOW, named=True, most=100)  # fmt: skip
            near = reports.rows("report_approvals.near_limits", units=None, since=NOW - 30 * DAY, until=NOW, named=True, share=0.05, days=3, most=100)  # fmt: skip
        assert ({row["approver"] for row in rows} != {None}) is is_told
        assert ({row["requester"] for row in (*rows, *near)} != {None}) is is_told
        assert ask.names_approvers(reports.person.roles) is is_told
    assert {role.value for role in NAMES_APPROVERS} == {"finance_leader", "auditor"}


def test_what_is_of_another_unit_is_in_no_figure_of_mine(books):
    """R123."""
    with asking(books, ANALYST) as reports:
        mine = ask.tasks(reports, PERIOD)
        assert set(mine.everything["business_unit"]) == {"DE-SOUTH"}
        assert len(mine.decided) == 18
    assert "DE-NORTH" not in words_of(books.look(PAGE, person=ANALYST))


def test_what_the_engine_recorded_of_real_flows_is_what_the_tools_say(own_world):
    """End to end: procurement's chain and both groups of the approval tool, through the engine, against the tools' own books."""
    house = own_world.house
    large = house.submit(house.line(quantity="600", cost_centre="4702"))
    house.run(minutes=10)
    house.approve_in_coupa(large)
    house.run(minutes=20)
    assert house.decide_in_servicenow("fin.1") == 1
    house.run(minutes=10)
    own_world.stop_the_clock()
    now = house.clock.now()
    with asking(own_world, AUDITOR) as reports:
        found = ask.tasks(reports, Asked(now - 30 * DAY, now, None, now, named=True))
    by_people = [
        row
        for row in house.coupa._approvals
        if row["status"] == "approved" and row["approved-by"]["login"] != "finsync"
    ]
    asked_by = found.decided["role"].value_counts()
    assert asked_by["Finance DE-SOUTH"] == 1
    assert len(found.decided) == len(by_people) + 1
    assert "Procurement DE-SOUTH" in set(found.open["role"])
    assert found.backwards.empty
    assert (found.decided["limit_amount"] == 10000).all()
    finance = found.decided[found.decided["role"] == "Finance DE-SOUTH"].iloc[0]
    assert (finance["approver"], finance["number"]) == ("fin.1", str(large))
    assert finance["ready_at"] <= finance["requested_at"] <= finance["decided_at"] <= finance["seen_at"]


# -- nothing --------------------------------------------------------------------------------------------------------------


def test_an_empty_house_says_what_to_do(empty_world):
    empty_world.use()
    app = empty_world.look(PAGE, person=AUDITOR)
    assert not app.exception
    assert "There is no data" in words_of(app) or "No documents have come in yet" in words_of(app)


def test_a_quiet_period_is_good_news_with_its_number(books):
    app = books.look(PAGE, period="custom", since="2026-03-01", until="2026-03-02", unit="DE-NORTH")
    assert not app.exception
    assert "No decisions match" in words_of(app).replace("\\", "")


def test_nothing_asked_and_nothing_open_is_good_news(empty_world):
    empty_world.use()
    empty_world.connection.execute("UPDATE feed_state SET last_success_at = %(now)s, complete_until = %(now)s, silent_after_s = 3600", {"now": NOW})  # fmt: skip
    empty_world.stop_the_clock()
    said = words_of(empty_world.look(PAGE, person=AUDITOR))
    assert "Nobody was asked to decide anything" in said


def test_whoever_has_no_unit_is_told_which_grant_is_missing(books):
    books.house.put_person("nobody@demo.test", Role.AUDITOR, units=())
    app = books.look(PAGE, person="nobody@demo.test")
    assert not app.exception
    assert "No business unit has been given to you" in words_of(app).replace("\\", "")


@pytest.mark.parametrize("query", [{"show": "nonsense"}, {"show": "cause", "cause": "weather"}, {"show": "decided", "who": "nobody"}, {"cause": "off"}], ids=str)  # fmt: skip
def test_an_address_that_asks_for_what_is_not_there_is_told_so(books, query):
    app = books.look(PAGE, person=LEADER, **query)
    assert not app.exception
    assert "asks for rows that are not here" in words_of(app)


def test_figures_are_compared_with_the_stretch_before_where_both_have_enough(books):
    with asking(books) as reports:
        week = ask.tasks(reports, Asked(NOW - 30 * DAY, NOW, None, NOW, named=False))
        later = ask.tasks(reports, Asked(NOW, NOW + 30 * DAY, None, NOW, named=False))
    assert week.before.empty
    assert set(later.before["task_id"]) == set(week.decided["task_id"])
    assert page._faster(later.before["business_s"] + 3600, later.before["business_s"], 3600, "h") == {"change": "+1.0 h", "better": False}  # fmt: skip
    assert page._faster(later.before["business_s"].head(9), later.before["business_s"], 3600, "h") == {}
    half = later.before.assign(outcome=["approved", "rejected"] * 9 + ["approved"])
    assert page._points(later.before, half, lambda rows: rows["outcome"] == "approved", True) == {"change": "+42.1 points", "better": True}  # fmt: skip


def test_every_definition_is_on_the_page(books):
    said = words_of(books.look(PAGE)).replace("\\", "")
    for one in page.DEFINITIONS:
        assert f"**{one.name}**" in said
