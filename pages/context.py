"""What a page may use: who is asking, what time it is, how to put a question, how to ask for something to be done, and how to
link to another page. Made by app.py for every drawing; a page keeps nothing of its own between two.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

import sqlalchemy as sa
import streamlit as st

from sync_engine.control import commands
from sync_engine.control.access import AppSession, Person
from sync_engine.control.commands import Answered
from sync_engine.control.roles import RULES, Action
from sync_engine.insight.reports import Reports
from sync_engine.insight.reports.everywhere import BusinessUnit, Feed, Moment
from sync_engine.insight.reports.reading import OWN_LOG
from sync_engine.settings import Settings

ACTED_AT = "finsync.acted_at"
"""When this browser session last asked for something, or was told of something new: older remembered answers are not shown to it."""

LOG = "log"
"""The parameter that says which log a page speaks of, where it is not our own."""

CARRIED = ("as", "period", "since", "until", "unit", LOG)
"""What a link takes along from page to page: who is asking (evaluation only), the two filters every page has, and the log."""


Changes = str | list[str] | None
"""What a link says of a parameter; None leaves it out."""


@dataclass(frozen=True)
class Addresses:
    """Where the links of one drawing lead: the pages the reader may open, and what every link takes along."""

    pages: frozenset[str]
    carried: dict[str, str | list[str]]

    def parameters(self, **changes: Changes) -> dict[str, str | list[str]]:
        """The query parameters of a link: what is carried along, with `changes`."""
        merged: dict[str, Any] = self.carried | changes
        return {name: value for name, value in merged.items() if value not in (None, "", [])}

    def href(self, url_path: str, **changes: Changes) -> str | None:
        """The address of a page with its filters, for a cell of a table; None where the reader may not open it."""
        if url_path not in self.pages:
            return None
        return f"./{url_path}?{urlencode(self.parameters(**changes), doseq=True)}"


@dataclass(frozen=True)
class Context:
    """What one drawing of a page works with. `narrow`: the screen is a phone's."""

    settings: Settings
    app: sa.Engine
    session: AppSession = field(repr=False)  # holds a secret
    reports: Reports
    moment: Moment
    feeds: tuple[Feed, ...]
    """How far every system has been read."""
    units: tuple[BusinessUnit, ...]
    """Those the person may see; of an imported log, those that its documents belong to."""
    zone: ZoneInfo
    narrow: bool
    dark: bool
    people: Callable[[], list[Person]]
    """Everybody who may use the application: whom an exception can be given to."""
    links: dict[str, Any] = field(default_factory=dict)
    """The pages this person may open, by URL path."""
    url_path: str = ""
    """Of the page being drawn."""
    log: str = OWN_LOG
    """Which log the page speaks of: our own, or the imported one that the address names."""
    logs: tuple[str, ...] = ()
    """The imported logs there are."""

    @property
    def is_imported(self) -> bool:
        """Whether the page speaks of a log of another maker."""
        return self.log != OWN_LOG

    @property
    def person(self) -> Person:
        """Who is asking, with the rights of this moment."""
        return self.reports.person

    def may(self, action: Action) -> bool:
        """Whether the person's roles allow an action."""
        return self.person.may(action)

    def why_not(self, action: Action) -> str:
        """Why an action is not offered, for the place where its button would be."""
        roles = " or ".join(sorted(role.value.replace("_", " ") for role in RULES[action].roles))
        return f"To {RULES[action].says} takes the role {roles}."

    # -- asking for something ----------------------------------------------------------------------------------------

    def ask(
        self,
        action: Action,
        command_id: UUID,
        *,
        reason: str = "",
        business_unit: str = "",
        wait_s: float = 3.0,
        **arguments: Any,
    ) -> Answered | None:
        """Ask once per `command_id`, and wait a moment for the answer.

        Raises:
            NotAllowed: the roles do not allow it, or the reason is missing.
        """
        commands.ask(
            self.app,
            self.session.token,
            self.person,
            command_id=command_id,
            action=action,
            arguments=arguments,
            now=self.moment.as_of,
            reason=reason,
            business_unit=business_unit,
        )
        found = commands.wait_for(self.app, self.session.token, command_id, seconds=wait_s)
        st.session_state[ACTED_AT] = self.reports.cache.now()
        return found

    def answer(self, command_id: UUID) -> Answered | None:
        """What became of a command; None: it has not been asked."""
        return commands.answer(self.app, self.session.token, command_id)

    def note(self, action: Action, **arguments: Any) -> None:
        """Leave an audit entry (an export, a payload opened) without waiting for it."""
        self.ask(action, uuid4(), wait_s=0, **arguments)

    # -- linking ------------------------------------------------------------------------------------------------------

    @property
    def addresses(self) -> Addresses:
        """Where links lead as the page's own address stands now: made once for all cells of a table."""
        asked = st.query_params.to_dict()
        carried: dict[str, str | list[str]] = {name: asked[name] for name in CARRIED if name in asked}
        if "unit" in carried:
            # What the address says wrongly is not passed on: a unit this person does not see stands in no link of theirs.
            known = {unit.code for unit in self.units}
            units = [code for code in st.query_params.get_all("unit") if code in known]
            carried["unit"] = units[0] if len(units) == 1 else units
        carried[LOG] = self.log if self.is_imported else ""
        return Addresses(frozenset(self.links), carried)

    def parameters(self, **changes: Changes) -> dict[str, str | list[str]]:
        """The query parameters of a link: what is carried along, with `changes`."""
        return self.addresses.parameters(**changes)

    def link(
        self,
        url_path: str,
        label: str,
        *,
        icon: str | None = None,
        help: str | None = None,  # noqa: A002 - Streamlit's own name for it
        **changes: Changes,
    ) -> None:
        """A real link to a page with its filters; where the person may not open that page, its text alone."""
        page = self.links.get(url_path)
        if page is None:
            st.caption(label)
            return
        st.page_link(page, label=label, icon=icon, help=help, query_params=self.parameters(**changes))

    def href(self, url_path: str, **changes: Changes) -> str | None:
        """The address of a page with its filters; None where the person may not open it. For many, ask `addresses`."""
        return self.addresses.href(url_path, **changes)
