"""A visit of a page asks little: so many questions to the database and no more, with nothing remembered from before."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from pages import PAGES
from sync_engine.database.statements import names, sql
from tests.pages.conftest import ANALYST, AUDITOR, LEADER, OPERATIONS, SUPPORT

MOST_QUESTIONS = 12
SIGNING_IN = {"access.people", "access.person", "access.open_session"}
"""Asked once per browser session, whatever page it opens."""


@contextmanager
def counting(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Every statement of sql/queries that is put to the database meanwhile, by name; what signing in and the test's own folding ask apart."""
    known = {sql(name): name for name in names() if name not in SIGNING_IN and not name.startswith("fold.")}
    asked: Counter[str] = Counter()
    execute = psycopg.Cursor.execute

    def counted(self: psycopg.Cursor[Any], query: Any, *arguments: Any, **named: Any) -> Any:
        if isinstance(query, str) and query in known:
            asked[known[query]] += 1
        return execute(self, query, *arguments, **named)

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Cursor, "execute", counted)
        yield asked


def visited(world, monkeypatch, page, person):
    """What a first visit of a page asks, when nobody has asked it before."""
    from app import remembered

    remembered.clear()
    world.stop_the_clock()  # what the folder asks is not asked by the page
    with counting(monkeypatch) as asked:
        app = world.look(page, person=person)
    assert not app.exception
    assert not app.error
    return asked


@pytest.mark.parametrize("page", [page.URL_PATH for page in PAGES])
def test_a_visit_asks_few_questions(books, monkeypatch, page):
    """PRODUCT.md 4.0: a page is there within a second, so its default view may not ask for everything one by one."""
    asked = visited(books, monkeypatch, page, LEADER)
    assert asked["report.visit"] == 1
    assert asked.total() <= MOST_QUESTIONS, dict(asked)


@pytest.mark.parametrize("person", [OPERATIONS, ANALYST, SUPPORT, AUDITOR])
def test_the_overview_of_every_role_asks_as_few(books, monkeypatch, person):
    """4.13: each role has its own six figures, and waits for the answers of these alone."""
    asked = visited(books, monkeypatch, "overview", person)
    assert asked.total() <= MOST_QUESTIONS, dict(asked)


def test_the_same_page_again_asks_only_what_time_it_is(books, monkeypatch):
    """Answers are shared while nothing has moved, so that a second reader of the same units costs a question or two."""
    visited(books, monkeypatch, "cycle-time", LEADER)
    with counting(monkeypatch) as asked:
        books.look("cycle-time", person=OPERATIONS)
    assert set(asked) == {"report.visit"}, dict(asked)
