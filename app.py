"""Who is asking, and which pages they may open.

Evaluation: a person switcher over the people the gate knows; who was chosen stands in the URL and survives a refresh.
Production: the identity provider vouches (`st.login`), its claims become a person, and nobody can be switched to.
Either way a session is opened by the gate, and every query of a page runs in a transaction that carries it.
"""

import secrets
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

import psycopg
import sqlalchemy as sa
import streamlit as st
import structlog

from pages import PAGES, Page, imported, offered, screen
from pages.context import ACTED_AT, Context
from pages.filters import say_address
from pages.format import words
from pages.frame import no_permission
from pages.signing_in import NotLetIn, sign_in
from sync_engine.control import access
from sync_engine.control.roles import LANDING, Role
from sync_engine.database.connections import Database
from sync_engine.insight.reports import Cache, DatabaseAway, Reports, Unanswered
from sync_engine.insight.reports import imported as ask
from sync_engine.insight.reports.everywhere import business_units, visit
from sync_engine.insight.reports.reading import OWN_LOG
from sync_engine.opening import open_database
from sync_engine.settings import Settings

ICON = str(Path(__file__).parent / ".streamlit" / "icon.svg")
"""A file of ours: an icon by name would be fetched from a font server by every reader's browser."""

BACK_EVERY_S = 4
"""How often a page that lost its database looks whether it is back."""

log = structlog.get_logger()


def _let_go(pools: tuple[sa.Engine, sa.Engine]) -> None:
    for pool in pools:
        pool.dispose()


@st.cache_resource(show_spinner=False, max_entries=4, on_release=_let_go)
def connections(_settings: Settings, name: str) -> tuple[sa.Engine, sa.Engine]:
    """The two pools of this process, as the application and as the gate; `name` tells one database and cell from another."""
    del name
    database: Database = open_database(_settings).database
    patient = {"pool_timeout": 5, "connect_args": {"connect_timeout": 3}}
    return database.engine("finsync_app", pool_size=8, **patient), database.engine(
        "finsync_gate", pool_size=2, **patient
    )


@st.cache_resource(show_spinner=False, max_entries=4)
def remembered(name: str) -> Cache:
    """Answers that every session with the same sight may share, per database."""
    del name
    return Cache()


def main() -> None:
    """One drawing."""
    st.set_page_config(page_title="Finance Workflow Sync", page_icon=ICON, layout="wide")
    settings = Settings()
    name = (
        f"{settings.home} {settings.cell} {settings.database_url.get_secret_value() if settings.database_url else ''}"
    )
    try:
        app, gate = connections(settings, name)
        draw(settings, app, gate, remembered(name))
    except (DatabaseAway, sa.exc.OperationalError, sa.exc.TimeoutError, psycopg.OperationalError) as error:
        log.warning("database away", error=f"{type(error).__name__}: {error}")
        database_away(settings, name)
    except psycopg.errors.UndefinedTable as error:
        log.warning("no schema", error=str(error).splitlines()[0])
        st.title("This database has not been set up yet", anchor=False)
        st.write(f"The schema `{settings.cell}` is missing or older than this program. `finsync migrate` brings it up to date; then load this page again.")  # fmt: skip


def draw(settings: Settings, app: sa.Engine, gate: sa.Engine, cache: Cache) -> None:
    """Sign in, offer the pages, draw the one that is open."""
    try:
        session = sign_in(settings, app, gate)
    except NotLetIn as refusal:
        st.navigation([st.Page(refusal.render, title=refusal.title, default=True)], position="hidden").run()
        return
    reports = Reports(app, session.token, session.person, cache, not_before=float(st.session_state.get(ACTED_AT, 0.0)))
    begun = visit(reports)
    narrow = screen.is_narrow()
    pages = offered(session.person.roles)
    log = imported.asked_for(begun.logs)
    ctx = Context(
        settings=settings,
        app=app,
        session=session,
        reports=reports,
        moment=begun.moment,
        feeds=begun.feeds,
        units=business_units(reports) if log == OWN_LOG else ask.units(reports, log),
        zone=zone(),
        narrow=narrow,
        dark=st.context.theme.type == "dark",
        people=partial(access.people, gate),
        log=log,
        logs=begun.logs,
    )
    first = landing(session.person.roles, pages)
    for page in pages:
        ctx.links[page.URL_PATH] = st.Page(_later(page, ctx), title=page.TITLE, icon=page.ICON, url_path=page.URL_PATH)
    # The first page of a menu answers at "/" only and not under its own path. A page without a name of its own does that here,
    # so that /exceptions is /exceptions for everybody, whatever page they land on.
    home = st.Page(_later(first, ctx), title=first.TITLE, default=True)
    # A page of others is there too, without a link: whoever follows somebody's link to it is told why it stays closed.
    closed = [st.Page(_later(page, ctx), title=page.TITLE, url_path=page.URL_PATH) for page in PAGES if page not in pages]  # fmt: skip
    current = st.navigation([home, *ctx.links.values(), *closed], position="hidden")
    say_address()
    menu(ctx, pages)
    current.run()
    screen.watch(narrow=narrow)


def _later(page: Page, ctx: Context) -> Callable[[], None]:
    def render() -> None:
        guarded(page, replace(ctx, url_path=page.URL_PATH))

    return render


def guarded(page: Page, ctx: Context) -> None:
    """Draw a page; if it fails, say so with a reference instead of a traceback."""
    if not page.ROLES & ctx.person.roles:
        st.title(page.TITLE, anchor=False)
        named = ", ".join(words(role) for role in Role if role in page.ROLES)
        no_permission(f"Your role does not open this page; it takes one of these: {named}. Ask whoever gives out application roles, if you need it.")  # fmt: skip
        return
    try:
        if ctx.is_imported and page.LACKS:
            imported.cannot_say(ctx, page, offered(ctx.person.roles))
        else:
            page.render(ctx)
    except DatabaseAway:
        raise
    except Unanswered as error:
        st.warning(f"{error} ({error.question})", icon=":material/hourglass_disabled:")
    except Exception:
        reference = secrets.token_hex(4)
        log.exception("a page failed", page=page.URL_PATH, reference=reference, person=ctx.person.user_id)
        st.error(
            f"This page could not be drawn. Nothing was changed. Try it again; if it stays, give integration support the reference **{reference}**.",
            icon=":material/error:",
        )
        st.button("Try again", icon=":material/refresh:")


def landing(roles: frozenset[Role], pages: list[Page]) -> Page:
    """Where somebody with these roles begins: the landing page of their first role that there is."""
    wanted = [LANDING[role] for role in Role if role in roles]
    return next((page for path in wanted for page in pages if path == page.URL_PATH), pages[0] if pages else PAGES[0])


def menu(ctx: Context, pages: list[Page]) -> None:
    """The links of the menu carry who is asking and the filters, so that each is a real link to the same view."""
    person = ctx.person
    with st.sidebar:
        st.markdown("**Finance Workflow Sync**", anchors=False)
        for page in pages:
            st.page_link(ctx.links[page.URL_PATH], label=page.TITLE, icon=page.ICON, query_params=ctx.parameters())
        st.caption(f"{person.name}  \nSees {'every business unit' if person.sees_all else ', '.join(person.units)}")
        if ctx.settings.is_production:
            st.button("Log out", on_click=st.logout, type="tertiary", icon=":material/logout:")


def zone() -> ZoneInfo:
    """The reader's time zone, as the browser tells it."""
    try:
        return ZoneInfo(st.context.timezone or "UTC")
    except (KeyError, ValueError, OSError):
        return ZoneInfo("UTC")


def database_away(settings: Settings, name: str) -> None:
    """Say so, and come back by itself."""
    st.title("The database does not answer", anchor=False)
    st.write(
        "Nothing is lost: what was asked for stands in the database, and the engine goes on when it is back. This page looks again every few seconds and comes back by itself."
    )
    if not settings.is_production:
        st.caption("Started by hand? Run `finsync up`, or `finsync doctor` to see what is wrong.")

    @st.fragment(run_every=BACK_EVERY_S, key="finsync.away")
    def look_again() -> None:
        try:
            app, _ = connections(settings, name)
            with app.connect() as connection:
                connection.exec_driver_sql("SELECT 1")
        except (sa.exc.OperationalError, sa.exc.TimeoutError, psycopg.OperationalError, OSError):
            st.caption("Still away.")
            return
        st.rerun()

    look_again()


if __name__ == "__main__":
    main()
