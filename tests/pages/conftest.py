"""A small world for the pages: two business units, exceptions in both, an engine that carries out what is asked for, and the
application run as a browser session would run it."""

import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import psycopg
import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

from config import FOLDER
from sync_engine.control import access
from sync_engine.control.execute import execute_commands
from sync_engine.control.people import load_people
from sync_engine.database.connections import Database, borrowed
from sync_engine.database.postgres import Embedded
from sync_engine.engine.clock import VirtualClock
from sync_engine.insight import fold
from sync_engine.insight.once import kept
from tests.conftest import drop_cell, new_cell
from tests.house import TUESDAY, House

LEADER, OPERATIONS, ANALYST, SUPPORT, AUDITOR = (
    "finance.leader@demo.test", "finance.operations@demo.test", "analyst.de-south@demo.test", "support@demo.test", "auditor@demo.test",
)  # fmt: skip
HOSTILE = '=HYPERLINK("http://evil.test") ![x](http://evil.test/a.png) <b>Nord</b>'


@pytest.fixture
def anew() -> Iterator[None]:
    """What is worked out in this test is worked out anew and not kept: it changes a constant that others rely on."""
    kept.clear()
    yield
    kept.clear()


class World:
    """A house, the people of people.toml, and the application looking at it."""

    def __init__(self, server: Embedded, monkeypatch: pytest.MonkeyPatch) -> None:
        self.database: Database = new_cell(server)
        self.monkeypatch = monkeypatch
        self._pool = self.database.engine("finsync_engine", pool_size=2)
        self._borrowed = borrowed(self._pool)
        self.connection: psycopg.Connection = self._borrowed.__enter__()
        self.house = House(VirtualClock(TUESDAY), self.connection, self.database)
        access.put_people(self.connection, load_people(FOLDER), now=self.house.clock.now())
        self.use()

    def use(self) -> None:
        """Point the application at this world."""
        for name, role in (
            ("DATABASE_URL", None),
            ("FINSYNC_APP_DATABASE_URL", "finsync_app"),
            ("FINSYNC_GATE_DATABASE_URL", "finsync_gate"),
        ):
            url = self.database.owner_url if role is None else self.database.owner_url.set(username=role)
            self.monkeypatch.setenv(name, url.render_as_string(hide_password=False))
        self.monkeypatch.setenv("FINSYNC_CELL", self.database.cell)
        self.monkeypatch.setenv("FINSYNC_MODE", "evaluation")

    def stop_the_clock(self) -> None:
        """What the pages call now is the house's time, as while a past is being produced; and what has happened is in the rollups."""
        now = self.house.clock.now()
        fold.fold_all(self.connection, now=now)
        self.connection.execute(
            "INSERT INTO produced_past (seed, begins_at, ends_at, reached_at) VALUES (1, %(now)s::timestamptz - interval '12 days', %(now)s::timestamptz + interval '78 days', %(now)s)"
            " ON CONFLICT DO NOTHING",
            {"now": now},
        )
        self.connection.execute("UPDATE produced_past SET reached_at = %s", [now])

    def close(self) -> None:
        """Let go of the database."""
        self._borrowed.__exit__(None, None, None)
        self._pool.dispose()
        drop_cell(self.database)

    # -- looking -----------------------------------------------------------------------------------------------------

    def look(self, page: str = "", person: str = OPERATIONS, **query: Any) -> AppTest:
        """A browser session that opens a page."""
        self.stop_the_clock()
        # From a script elsewhere: beside app.py, AppTest would take the pages folder for Streamlit's own kind.
        app = AppTest.from_string("from app import main\n\nmain()", default_timeout=30)
        app.query_params["as"] = person
        for name, value in query.items():
            app.query_params[name] = value
        app._page_hash = calc_hash(page)
        app.context = {"timezone": "Europe/Berlin", "theme": "light"}
        return app.run()

    @contextmanager
    def engine_at_work(self) -> Iterator[None]:
        """An engine that carries out commands meanwhile."""
        stop = threading.Event()

        def work() -> None:
            with borrowed(self._pool) as connection:
                while not stop.is_set():
                    if not execute_commands(
                        connection, self.house.engine.setup, engine_id="engine-desk", now=self.house.clock.now()
                    ):
                        time.sleep(0.01)

        thread = threading.Thread(target=work)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()

    # -- what there is -------------------------------------------------------------------------------------------------

    def one(self, query: str, *arguments: Any) -> Any:
        """One value."""
        row = self.connection.execute(query, list(arguments)).fetchone()
        return row[0] if row else None

    def case_of(self, number: object) -> Any:
        """The open exception of a document."""
        return self.one(
            "SELECT case_id FROM exception_case WHERE number LIKE %s AND closed_at IS NULL ORDER BY raised_at LIMIT 1",
            f"{number}%",
        )

    def document(self, number: object, kind: str = "requisition") -> Any:
        """The id of a document."""
        return self.one(
            "SELECT document_id FROM document WHERE number LIKE %s AND document_type = %s", f"{number}%", kind
        )

    def block(self) -> None:
        """Orders of two units that stand behind blocked cost centres."""
        house = self.house
        self.south = [house.submit(), house.submit(house.line(description="Bearing 6205", quantity="30"))]
        self.north = house.submit(
            house.line(cost_centre="4101", description="Secret northern part"),
            department="DE-NORTH Plant",
            requester="planner.de-south",
        )
        house.run(minutes=10)
        house.s4hana.block_cost_centre(code="4711")
        house.s4hana.block_cost_centre(code="4101")
        for requisition in (*self.south, self.north):
            house.approve_in_coupa(requisition)
        house.run(minutes=30)

    def buy(self) -> None:
        """A requisition that has become an order, a receipt and a posted invoice."""
        house = self.house
        self.bought, self.order = house.order_one(house.line(cost_centre="4702", description="Gasket"))
        house.receive(self.order)
        house.run(minutes=30)
        self.invoice = house.invoice(self.order)
        house.run(minutes=60)


@pytest.fixture(scope="session", autouse=True)
def _pools_let_go() -> Iterator[None]:
    yield
    from app import connections

    connections.clear()


@pytest.fixture(scope="session", autouse=True)
def _packages_are_looked_through_once() -> Iterator[None]:
    """Streamlit looks for components in every installed package whenever an application starts: four fifths of what a test took."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest_scanner, "scan_component_manifests", cache(manifest_scanner.scan_component_manifests))
        yield


@pytest.fixture(scope="session")
def _looking(_servers: Any) -> Iterator[World]:
    from tests.conftest import _server

    with pytest.MonkeyPatch.context() as monkeypatch:
        world = World(_server(_servers, "embedded", None), monkeypatch)
        world.block()
        world.buy()
        yield world
        world.close()


@pytest.fixture
def world(_looking: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """The filled world, for looking only."""
    _looking.monkeypatch = monkeypatch
    _looking.use()
    return _looking


@pytest.fixture
def own_world(server: Embedded, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world of a test's own with blocked orders, for changing things in."""
    world = World(server, monkeypatch)
    world.block()
    yield world
    world.close()


@pytest.fixture
def empty_world(server: Embedded, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """People, systems, and not one document."""
    world = World(server, monkeypatch)
    yield world
    world.close()


def words_of(app: AppTest) -> str:
    """Everything a page says, for looking up a sentence in it."""
    kinds = ("title", "subheader", "markdown", "caption", "text", "info", "success", "warning", "error", "code")
    said = [str(element.value) for kind in kinds for element in app.get(kind)]
    said += [str(metric.value) for metric in app.metric]
    said += [frame.value.to_csv() for frame in app.dataframe]
    said += [button.label for button in app.button]
    return "\n".join(said)


def numbers_in(said: str) -> set[str]:
    """The numbers a page names; digits within an address or an id are none."""
    return set(re.findall(r"(?<![\w-])\d+(?![\w-])", said))


@pytest.fixture(scope="session")
def _books(_servers: Any) -> Iterator[Any]:
    from tests.conftest import _server
    from tests.pages.books import Books

    with pytest.MonkeyPatch.context() as monkeypatch:
        books = Books(_server(_servers, "embedded", None), monkeypatch)
        books.fill()
        yield books
        books.close()


@pytest.fixture
def books(_books: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Journeys with known times, for looking only."""
    _books.monkeypatch = monkeypatch
    _books.use()
    return _books
