"""Who is asking. In evaluation anybody may look through anybody's eyes; in production the identity provider decides, and a half
configured start lets nobody in.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import psycopg
import sqlalchemy as sa
import streamlit as st

from pages.format import plain
from sync_engine.control import access
from sync_engine.control.access import AppSession, NotKnown, Person
from sync_engine.control.people import MissingClaims, from_claims, load_people
from sync_engine.control.roles import Role
from sync_engine.database.connections import borrowed
from sync_engine.settings import Settings

_SESSION = "finsync.session"
_SWITCH = "finsync.as"


class NotLetIn(Exception):
    """Nobody, or nobody yet: draws what to do instead of a page."""

    def __init__(self, title: str, render: Callable[[], None]) -> None:
        super().__init__(title)
        self.title = title
        self.render = render


def sign_in(settings: Settings, app: sa.Engine, gate: sa.Engine) -> AppSession:
    """The session of whoever is asking, with the rights of this moment.

    Raises:
        NotLetIn: with what to do about it.
    """
    if settings.is_production:
        return _by_identity_provider(settings, app, gate)
    return _by_switch(settings, app, gate)


def _by_switch(settings: Settings, app: sa.Engine, gate: sa.Engine) -> AppSession:
    known = access.people(gate)
    if not known:
        with borrowed(gate) as connection:
            access.put_people(connection, load_people(settings.config), now=_now(connection))
        known = access.people(gate)
    known.sort(
        key=lambda person: (
            min(list(Role).index(role) for role in person.roles) if person.roles else 99,
            not person.sees_all,
            person.name,
        )
    )
    by_id = {person.user_id: person for person in known}
    asked = st.query_params.get("as")
    if asked is not None and asked not in by_id:
        st.warning(
            f"Nobody is called {plain(asked[:60])} here; you are looking as {plain(known[0].name)}.",
            icon=":material/person_off:",
        )
    chosen = asked if asked in by_id else st.session_state.get(_SESSION + ".as", known[0].user_id)
    if chosen not in by_id:
        chosen = known[0].user_id
    st.session_state[_SESSION + ".as"] = chosen
    st.session_state[_SWITCH] = chosen
    with st.sidebar:
        st.selectbox(
            "Looking as",
            list(by_id),
            key=_SWITCH,
            format_func=lambda user_id: by_id[user_id].name,
            on_change=_switch,
            help="Evaluation only: in production the identity provider says who you are.",
        )
    if asked != chosen:
        st.query_params["as"] = chosen
    return _session_of(settings, app, gate, chosen)


def _switch() -> None:
    # What one person had filtered and opened may not exist for the next.
    st.query_params.from_dict({"as": st.session_state[_SWITCH]})


def _by_identity_provider(settings: Settings, app: sa.Engine, gate: sa.Engine) -> AppSession:
    if not getattr(settings, "has_identity_provider", False):
        raise NotLetIn("No identity provider", _not_configured)
    if not getattr(st.user, "is_logged_in", False):
        raise NotLetIn("Log in", _log_in)
    try:
        person = from_claims(dict(st.user), domain=settings.oidc_domain)
    except MissingClaims as missing:
        sentence = str(missing)
        raise NotLetIn("No access", lambda: _refused(sentence)) from None
    if st.session_state.get(_SESSION + ".claims") != person:
        with borrowed(gate) as connection:
            access.put_people(connection, [person], now=_now(connection))
        st.session_state[_SESSION + ".claims"] = person
    try:
        return _session_of(settings, app, gate, person.user_id, may_reopen=False)
    except NotKnown:
        raise NotLetIn("No access", lambda: _refused("Your access has been withdrawn.")) from None


def _session_of(
    settings: Settings, app: sa.Engine, gate: sa.Engine, user_id: str, *, may_reopen: bool = True
) -> AppSession:
    """The open session of this browser tab; rights are read anew at every drawing, so that a change of them holds at once."""
    held: AppSession | None = st.session_state.get(_SESSION)
    if held is not None and held.person.user_id == user_id:
        person: Person | None = access.person_of(app, held.token)
        if person is not None:
            return replace(held, person=person)
        if not may_reopen:
            # The session's time is over, or somebody ended it: the cookie alone does not open another.
            st.session_state.pop(_SESSION, None)
            raise NotLetIn("Session over", _over)
    opened = access.open_session(gate, user_id, hours=settings.session_hours)
    st.session_state[_SESSION] = opened
    return opened


def _now(connection: psycopg.Connection) -> datetime:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    return row[0] if row else datetime.now(UTC)


def _not_configured() -> None:
    st.title("Nobody can be let in yet", anchor=False)
    st.write(
        "The application runs in production mode and no identity provider is configured, so there is nobody who could say who you are."
    )
    st.write(
        "Set FINSYNC_OIDC_METADATA_URL, FINSYNC_OIDC_CLIENT_ID, FINSYNC_OIDC_CLIENT_SECRET and FINSYNC_COOKIE_SECRET, or run `finsync doctor`, which names what is missing."
    )


def _log_in() -> None:
    st.title("Finance Workflow Sync", anchor=False)
    st.write("Log in with your company account to see where requisitions, orders and invoices stand.")
    st.button("Log in", type="primary", on_click=st.login)


def _over() -> None:
    st.title("Your session is over", anchor=False)
    st.write("Log in again to go on. Nothing you asked for is lost.")
    st.button("Log in again", type="primary", on_click=st.logout)


def _refused(sentence: str) -> None:
    st.title("You have no access yet", anchor=False)
    st.write(plain(sentence))
    st.write(
        "Ask whoever administers application roles in your identity provider. A change holds from your next log-in."
    )
    st.button("Log out", on_click=st.logout)
