"""Nobody sees a row, a number, a search hit or an export of a unit that was not given to them; nothing from outside is more than text."""

import csv
import io

import pandas as pd
import pytest

from pages import PAGES
from pages.format import csv_bytes, plain, visible
from sync_engine.engine import store
from sync_engine.insight.reports.stuck import Asked
from tests.pages.conftest import ANALYST, HOSTILE, LEADER, OPERATIONS, numbers_in, words_of

ADDRESSES = [
    ("overview", {}), ("overview", {"show": "stuck"}), ("overview", {"show": "gap"}), ("overview", {"unit": "DE-NORTH"}), ("exceptions", {}), ("exceptions", {"unit": "DE-NORTH"}),
    ("exceptions", {"scope": "filter"}), ("exceptions", {"cause": "cost_centre_blocked|s4hana|cost_centre=4101"}), ("trace", {"q": "200"}), ("invoices-due", {}), ("invoices-due", {"show": "not-invoiced"}), ("invoices-due", {"show": "late"}),
]  # fmt: skip


@pytest.mark.parametrize(("page", "query"), ADDRESSES, ids=str)
def test_an_analyst_never_meets_another_unit(world, page, query):
    # Warm the cache with everything first: what others saw must not be served.
    world.look(page, person=LEADER, **query)
    app = world.look(page, person=ANALYST, **query)
    assert not app.exception
    asked_for = "DE-NORTH" if query.get("unit") else ""
    said = words_of(app).replace("\\", "")
    said = "\n".join(line for line in said.splitlines() if not (asked_for and "does not exist here" in line))
    assert "DE-NORTH" not in said
    assert str(world.north) not in numbers_in(said)
    assert "4101" not in numbers_in(said)
    for link in app.page_link:
        assert "DE-NORTH" not in link.label


def test_a_page_that_a_role_does_not_open_says_which_do(world):
    """4.0, no permission: names the grant that is missing, instead of a page that seems not to exist."""
    app = world.look("audit", person=ANALYST)
    assert not app.exception
    said = words_of(app)
    assert "Your role does not open this page; it takes one of these: finance leader, finance operations, integration support, auditor." in said  # fmt: skip
    assert not app.metric
    assert "Audit" not in [link.label for link in app.page_link]


def test_another_unit_s_case_document_and_number_stay_closed(world):
    case, order, number = (
        str(world.case_of(world.north)),
        str(world.document(world.north, "purchase_order")),
        str(world.north),
    )
    assert "no such exception" in words_of(world.look("exceptions", person=ANALYST, case=case))
    assert "no such document" in words_of(world.look("trace", person=ANALYST, document=order))
    assert "Nothing you may see" in words_of(world.look("trace", person=ANALYST, q=number))
    assert str(world.north) in words_of(world.look("trace", person=LEADER, q=number))


def test_reprocessing_what_one_may_not_see_is_not_planned(world):
    case = world.case_of(world.north)
    said = words_of(world.look("exceptions", person=ANALYST, case=str(case), scope="case"))
    assert "Nothing here can be reprocessed" in said
    said = words_of(world.look("exceptions", person=ANALYST, scope="rows", pick=case.hex))
    assert "Nothing here can be reprocessed" in said


@pytest.fixture
def hostile_world(own_world):
    own_world.connection.execute("UPDATE document SET supplier_name = %s, title = %s", [HOSTILE, HOSTILE])
    own_world.connection.execute("UPDATE exception_case SET message = %s", [HOSTILE])
    return own_world


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_a_hostile_name_is_text_everywhere(hostile_world, page):
    world = hostile_world
    case = str(world.case_of(world.south[0]))
    queries = {
        "overview": {"show": "stuck"},
        "invoices-due": {"show": "not-invoiced"},
        "exceptions": {"case": case},
        "trace": {"document": str(world.document(world.south[0], "purchase_order"))},
    }
    app = world.look(page, person=OPERATIONS, **queries.get(page, {}))
    assert not app.exception
    for kind in ("markdown", "caption", "info", "warning", "success", "error", "subheader", "title"):
        for element in app.get(kind):
            assert "![x](" not in str(element.value)
            assert "<b>" not in str(element.value)
    for thing in (*app.button, *app.metric, *app.page_link):
        assert "![x](" not in thing.label


def test_an_export_is_read_as_text_and_numbers():
    names = [HOSTILE, "+1", "@SUM(1)", "-2", "\t=1", "＝1", "Nordwerk", None]  # noqa: RUF001
    frame = pd.DataFrame({"name": names, "amount": [-2.5] * 8}, dtype=object)
    written = csv_bytes(frame, [("name", "Supplier"), ("amount", "=Amount")])
    assert written.startswith(b"\xef\xbb\xbf")
    header, *rows = csv.reader(io.StringIO(written.decode("utf-8-sig")))
    assert header == ["Supplier", "'=Amount"]
    assert [name[:1] for name, _ in rows] == ["'"] * 6 + ["N", ""]
    assert {amount for _, amount in rows} == {"-2.5"}


@pytest.mark.parametrize(
    "text",
    [
        "![x](http://evil.test/a.png)",
        "[click](http://evil.test)",
        "http://evil.test",
        "www.evil.test",
        "<img src=x>",
        "$x^2$",
        ":material/bomb:",
        ":red[x]",
        "# big",
        "**x**",
        "a | b",
        ":smile:",
    ],
)
def test_outside_text_in_markdown_shows_its_own_characters_and_does_nothing(text):
    from markdown_it import MarkdownIt

    rendered = MarkdownIt("commonmark").render(plain(text))
    assert "<img" not in rendered
    assert "<a " not in rendered
    assert "<h1" not in rendered
    assert "<strong" not in rendered
    assert (
        rendered.replace("\u2060", "")
        .strip()
        .removeprefix("<p>")
        .removesuffix("</p>")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", '"')
        == text
    )


def test_text_that_turns_the_reading_direction_cannot_hide_anything():
    assert visible("invoice\u202egpj.exe\x00") == "invoice\ufffdgpj.exe\ufffd"


def test_what_else_a_document_is_called_does_not_repeat_its_number(world):
    """An invoice is called by the supplier's number; "Known as" is for the numbers it has elsewhere."""
    number = world.one("SELECT number FROM document WHERE document_type = 'invoice'")
    elsewhere = world.one(
        "SELECT external_id FROM document_identifier JOIN document USING (document_id) WHERE document_type = 'invoice' AND kind = 'supplier_invoice'"
    )
    with world.connection.transaction(force_rollback=True):
        world.connection.execute("UPDATE document SET closed_at = NULL WHERE document_type = 'invoice'")
        asked = Asked(world.house.clock.now(), types=["invoice"])
        about = asked.everything() | asked.rows(None) | {"limits": "[]"}
        found = {row["number"]: row["known_as"] for row in store.rows(world.connection, "report_stuck.rows", **about)}
    assert found[number] == elsewhere
