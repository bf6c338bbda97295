"""The journey of the issue, on a living demo, in a real browser, over real HTTP: a period is closed, an order is refused, somebody
sees it, finance opens the period, the order is reprocessed and verified, and procurement shows its number."""

import json
import re
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx2
import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.living.living import LivingDemo, eventually

pytestmark = [pytest.mark.xdist_group("living demo"), pytest.mark.long]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
PATIENCE_MS = 60_000
UNIT, OTHER_UNIT = "DE-SOUTH", "US-EAST"


@pytest.fixture(scope="module")
def demo() -> Iterator[LivingDemo]:
    if CHROMIUM is None:
        pytest.skip("this machine has no Chromium")
    with tempfile.TemporaryDirectory(prefix="finsync-living-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)
        with closing(LivingDemo(Path(folder))) as living:
            living.start("--days", "3", "--seed", "11")
            living.wait_until_alive()
            yield living


@pytest.fixture
def page(demo: LivingDemo) -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        )
        context = browser.new_context(viewport={"width": 1440, "height": 1000}, accept_downloads=True)
        context.set_default_timeout(PATIENCE_MS)
        opened = context.new_page()
        expect.set_options(timeout=PATIENCE_MS)
        opened.goto(demo.url)
        yield opened
        browser.close()


class Systems:
    """The outside systems as somebody with access to their APIs sees them."""

    def __init__(self, demo: LivingDemo) -> None:
        self._urls = demo.systems
        self._tokens: dict[str, str] = {}

    def get(self, system: str, path: str, **query: str) -> Any:
        token = self._tokens.setdefault(system, self._token(system))
        headers = {"authorization": f"Bearer {token}", "accept": "application/json"}
        answer = httpx2.get(self._urls[system] + path, params=query, headers=headers, timeout=30)
        answer.raise_for_status()
        return answer.json()

    def _token(self, system: str) -> str:
        path = {"coupa": "/oauth2/token", "servicenow": "/oauth_token.do"}[system]
        form = {"grant_type": "client_credentials", "client_id": "finsync", "client_secret": "sandbox"}
        if system == "coupa":
            form["scope"] = "core.requisition.read core.purchase_order.read"
        answer = httpx2.post(self._urls[system] + path, data=form, timeout=30)
        answer.raise_for_status()
        return str(answer.json()["access_token"])


def _look_as(page: Page, name: str) -> None:
    page.get_by_role("combobox", name=re.compile("Looking as")).click()
    page.get_by_role("option", name=name).click()
    expect(page.get_by_test_id("stSidebar").get_by_text(name).first).to_be_visible(timeout=PATIENCE_MS)


def _choose(page: Page, label: str, option: str) -> None:
    box = page.get_by_role("combobox", name=re.compile(label))
    box.click()
    box.fill(option)  # a long list is only drawn where one looks
    # What is wanted moves up while the list grows shorter, and "Select all" is where a click was meant for it.
    page.wait_for_function("document.querySelectorAll('[role=option]').length <= 3")
    page.get_by_role("option", name=re.compile(option)).first.click()
    page.keyboard.press("Escape")


def _go(page: Page, name: str) -> None:
    page.get_by_test_id("stSidebar").get_by_role("link", name=name).click()


def _row(demo: LivingDemo, question: str, *values: Any) -> tuple[Any, ...] | None:
    with demo.database.connect_owner() as connection:
        return connection.execute(question.encode(), list(values)).fetchone()


def _one(demo: LivingDemo, question: str, *values: Any) -> Any:
    row = _row(demo, question, *values)
    return row[0] if row else None


def test_a_closed_period_is_seen_repaired_and_reprocessed_until_procurement_shows_the_order(
    demo: LivingDemo, page: Page
) -> None:
    systems = Systems(demo)
    _look_as(page, "Finance operations, all units")

    ordered = demo.finsync("sandbox", "submit", UNIT, "--amount", "2500").strip()
    sap_number = eventually("the order", lambda: _one(demo, _ERP_NUMBER, ordered))
    _find(page, sap_number, ordered)

    assert "period" in demo.finsync("sandbox", "break", "s4hana", "--posting-period", "closed")
    refused = demo.finsync("sandbox", "submit", UNIT, "--amount", "2600").strip()
    case_id, number = eventually("the exception", lambda: _row(demo, _PERIOD_CASE, refused))
    [task] = eventually("the remediation task", lambda: _tasks(systems, case_id))
    assert "posting period" in task["short_description"].lower()
    assert "Amount: " in task["description"]
    [link] = re.findall(rf"{demo.url}/trace\?document=[0-9a-f-]+", task["description"])
    page.goto(link)
    expect(
        page.get_by_text(re.compile(f"Purchase order {number} is held up: the posting period is closed"))
    ).to_be_visible()
    _look_as(page, "Finance operations, all units")
    _open_in_the_queue(page, number)

    demo.finsync("sandbox", "break", "s4hana", "--posting-period", "open")
    _reprocess(page, number, "The period is open again")
    assert _one(demo, "SELECT count(*) FROM redrive WHERE reason = 'The period is open again'") == 1

    sap_number = eventually("the order", lambda: _one(demo, _ERP_NUMBER, number))
    shown = eventually("Coupa's order", lambda: _orders_in_coupa(systems, sap_number))
    assert [order["po-number"] for order in shown] == [sap_number]
    eventually("the task is resolved", lambda: _tasks(systems, case_id)[0]["state"] in {"6", "7"})
    figures = json.loads(demo.finsync("reconcile", "--sandbox", "--json"))
    assert (figures["requisitions_with_two_live_orders"], figures["events_lost"]) == (0, 0)


def _find(page: Page, sap_number: str, requisition: str) -> None:
    """Any number of any system finds the whole family."""
    _go(page, "Document trace")
    search = page.get_by_role("textbox", name=re.compile("Any number of any system"))
    search.fill(sap_number)
    search.press("Enter")
    expect(page.get_by_text(re.compile(rf"Purchase order {requisition}-\d stands at"))).to_be_visible()
    expect(page.get_by_text(re.compile(sap_number)).first).to_be_visible()
    assert f"q={sap_number}" in page.url


def _open_in_the_queue(page: Page, number: str) -> None:
    """The exception is in the queue of its business unit, and of no other."""
    _go(page, "Exceptions")
    _choose(page, "Business units", OTHER_UNIT)
    _choose(page, "Cause", "The posting period is closed")
    expect(page.get_by_text(re.compile("No open exceptions match"))).to_be_visible()
    assert f"unit={OTHER_UNIT}" in page.url
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.get_by_text(re.compile("No open exceptions match"))).to_be_hidden()
    _choose(page, "Business units", UNIT)
    _choose(page, "Cause", "The posting period is closed")
    expect(page.get_by_text(re.compile(r"exceptions? holds? up \d documents? worth"))).to_be_visible()
    expect(page).to_have_url(re.compile(f"unit={UNIT}"))
    grid = page.get_by_test_id("stDataFrame").first
    grid.click(position={"x": 16, "y": 54})  # the first row's own box; the grid is drawn on a canvas
    page.get_by_role("link", name=re.compile(f"Open {number}")).click()
    expect(page.get_by_role("heading", name=re.compile(f"{number}: The posting period is closed"))).to_be_visible()
    expect(page.get_by_text(re.compile("Open the period or wait")).first).to_be_visible()


def _reprocess(page: Page, number: str, reason: str) -> None:
    """Nothing happens without a reason; with one, and however often it is clicked, it happens once and is watched until verified."""
    page.get_by_role("link", name=f"Reprocess {number}").click()
    plan = page.locator(".st-key-exceptions-plan")
    go = plan.get_by_role("button", name=re.compile("^Reprocess 1 document"))
    go.click()
    expect(page.get_by_text("Say why: the reason stands in the audit trail.")).to_be_visible()
    words = plan.get_by_role("textbox", name=re.compile("In your words"))
    words.fill(reason)
    words.press("Enter")
    go.dblclick()
    expect(page.get_by_text(re.compile("1 verified")).first).to_be_visible()
    expect(page).to_have_url(re.compile("redrive="))


def test_an_analyst_sees_nothing_of_another_business_unit(demo: LivingDemo, page: Page) -> None:
    foreign = eventually(
        "a document of another unit",
        lambda: _one(
            demo,
            "SELECT document_id::text FROM document WHERE business_unit = %s AND document_type = 'requisition' LIMIT 1",
            OTHER_UNIT,
        ),
    )
    _look_as(page, "Procurement analyst, DE-SOUTH")
    page.goto(f"{demo.url}/trace?as=analyst.de-south@demo.test&document={foreign}")
    expect(page.get_by_text("There is no such document among those you may see.")).to_be_visible()
    page.goto(f"{demo.url}/exceptions?as=analyst.de-south@demo.test&unit={OTHER_UNIT}")
    expect(page.get_by_text(re.compile("asks for something that does not exist here"))).to_be_visible()


def test_the_answers_carry_security_headers(demo: LivingDemo) -> None:
    headers = httpx2.get(demo.url, timeout=30).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


@pytest.mark.parametrize(("host", "status"), [("127.0.0.1", 101), ("evil.example.com", 403)])
def test_a_page_of_somebody_else_cannot_talk_to_the_application_under_a_name_of_its_own(
    demo: LivingDemo, host: str, status: int
) -> None:
    """DNS rebinding: everything a page shows travels over this socket."""
    asked = (
        f"GET /_stcore/stream HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", demo.port), timeout=10) as connection:
        connection.sendall(asked.encode())
        assert connection.recv(100).split()[1] == str(status).encode()


_ERP_NUMBER = """
SELECT i.external_id FROM document d JOIN document_identifier i USING (document_id)
 WHERE d.document_type = 'purchase_order' AND d.number LIKE %s || '%%' AND i.system = 's4hana' AND i.kind = 'purchase_order' AND d.state = 'ordered'
"""
_PERIOD_CASE = """
SELECT case_id::text, number FROM exception_case
 WHERE number LIKE %s || '-%%' AND code = 'period_closed' AND closed_at IS NULL ORDER BY number
"""


def _tasks(systems: Systems, case_id: str) -> list[dict[str, Any]]:
    found = systems.get(
        "servicenow",
        "/api/now/table/incident",
        sysparm_query=f"correlation_idLIKE{case_id}",
        sysparm_fields="number,state,short_description,description",
    )
    tasks: list[dict[str, Any]] = found["result"]
    return tasks


def _orders_in_coupa(systems: Systems, number: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = systems.get("coupa", "/api/purchase_orders", **{"po-number": number})
    return found
