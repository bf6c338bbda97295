"""The menu. A page module only defines things (TITLE, QUESTION, URL_PATH, ROLES, SECTION, ICON, render); nothing runs on import,
because Streamlit may run a file in this folder before app.py has asked who is there.
"""

from collections.abc import Callable
from typing import Protocol

from streamlit.runtime.pages_manager import PagesManager
from streamlit.runtime.scriptrunner import RerunData, RerunException, get_script_run_ctx

if PagesManager.uses_pages_directory:
    # A server that is asked for /overview before anything else takes this folder for one of its old kind, runs the file alone
    # and shows an empty page (STYLE.md, hazard 1). The first import says otherwise, and the page is drawn by app.py: the one that
    # was asked for, which st.rerun() would forget.
    PagesManager.uses_pages_directory = False
    _running = get_script_run_ctx()
    if _running is not None:
        raise RerunException(
            RerunData(
                query_string=_running.query_string,
                page_name=_running.pages_manager.intended_page_name or "",
                context_info=_running.context_info,
            )
        )

from pages import (
    alerts,
    approvals,
    audit,
    cycle_time,
    exception_rate,
    exceptions,
    health,
    invoices_due,
    overview,
    process_map,
    service_levels,
    stuck,
    trace,
)
from pages.context import Context
from sync_engine.control.roles import Role


class Page(Protocol):
    """What a page module states."""

    TITLE: str
    """In the menu and the browser's tab."""
    QUESTION: str
    """What the page answers: its heading."""
    URL_PATH: str
    ROLES: frozenset[Role]
    SECTION: str
    ICON: str
    LACKS: str
    """What it lives on and an imported log does not carry; empty: it answers for any log."""
    render: Callable[[Context], None]


PAGES: tuple[Page, ...] = (
    overview,
    alerts,
    cycle_time,
    process_map,
    approvals,
    stuck,
    invoices_due,
    exception_rate,
    exceptions,
    service_levels,
    trace,
    health,
    audit,
)
"""Every page, in the order of the menu."""


def offered(roles: frozenset[Role]) -> list[Page]:
    """The pages somebody with these roles may open, in the order of the menu."""
    return [page for page in PAGES if page.ROLES & roles]
