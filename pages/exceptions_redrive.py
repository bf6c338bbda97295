"""Reprocessing: what exactly will be repeated and why, before; how far each item has come, after. Part of the exceptions page.

The address says which reprocessing is planned (?scope=) and under which id it will be asked (?command=), from before its button is
shown: a double click, a refresh and the way back find the same plan and, once asked, its answer. The result has an
address of its own (?redrive=) and goes on whether or not anybody looks.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID, uuid4

import pandas as pd
import streamlit as st

from pages import exceptions_price, exceptions_progress, filters
from pages.context import Context
from pages.exceptions_progress import REASONS, UNDER_WAY
from pages.format import count, duration, money_short, plain, visible
from pages.grids import grid
from sync_engine.control.commands import Answered, NotAllowed
from sync_engine.control.roles import Action
from sync_engine.insight.reports.exceptions import distinct_documents, value_of
from sync_engine.model.exceptions import Retryable, kind_of

TYPED_ABOVE = 20
"""More documents than this at once are confirmed by typing their number."""

MOST_PICKED = 60
"""So many single rows fit into an address; more are a cause or a filter."""

POLL_EVERY_S = 2
SCOPES = {
    "case": "one exception",
    "rows": "selected rows",
    "cause": "everything with this cause",
    "filter": "everything that matches the filters",
}


def uuid_in_url(name: str) -> UUID | None:
    """An id of the address; None when there is none or it is not one."""
    try:
        return UUID(st.query_params.get(name, ""))
    except ValueError:
        return None


def plan(scope: str, picked: Sequence[str], cause: str | None) -> None:
    """Begin to plan a reprocessing: from here on the address knows it."""
    st.query_params["scope"] = scope
    st.query_params["command"] = str(uuid4())
    filters.put("pick", [UUID(case_id).hex for case_id in picked[:MOST_PICKED]])
    if cause is not None:
        st.query_params["cause"] = cause
    if "redrive" in st.query_params:
        del st.query_params["redrive"]


def give_up_planning() -> None:
    """Back to the queue."""
    for name in ("scope", "command", "pick"):
        filters.put(name, None)


def draw(ctx: Context, rows: pd.DataFrame) -> bool:
    """The plan or the result the address names. Answers whether a plan is open."""
    redrive_id = uuid_in_url("redrive")
    if redrive_id is not None:
        exceptions_progress.draw(ctx, redrive_id)
    scope = st.query_params.get("scope")
    if scope is None:
        return False
    if scope not in SCOPES:
        st.warning("The address of this page plans a reprocessing that does not exist.", icon=":material/link_off:")
        return False
    if not ctx.may(Action.REPROCESS):
        st.info(ctx.why_not(Action.REPROCESS), icon=":material/lock:")
        return False
    command_id = uuid_in_url("command")
    if command_id is None:
        command_id = uuid4()
        st.query_params["command"] = str(command_id)
    answered = ctx.answer(command_id)
    with st.container(border=True, key="exceptions.plan"):
        if answered is not None:
            _answered(ctx, answered)
        else:
            _plan(ctx, _in_scope(rows, scope), scope, command_id)
    return True


def _in_scope(rows: pd.DataFrame, scope: str) -> pd.DataFrame:
    if scope == "case":
        case_id = uuid_in_url("case")
        return rows[rows["case_id"] == case_id] if case_id is not None else rows.head(0)
    if scope == "rows":
        picked = set(st.query_params.get_all("pick"))
        return rows[[case_id.hex in picked for case_id in rows["case_id"]]]
    return rows


# -- before ---------------------------------------------------------------------------------------------------------------------


def _plan(ctx: Context, rows: pd.DataFrame, scope: str, command_id: UUID) -> None:
    helped = rows[(rows["retryable"] != Retryable.NEVER) & ~rows["status"].isin(UNDER_WAY)]
    if helped.empty:
        st.subheader("Nothing here can be reprocessed", anchor=False)
        st.write(
            "What was chosen has been settled meanwhile, is being reprocessed already, or is not helped by repeating."
        )
        _left_out(rows)
        st.button("Back to the queue", on_click=give_up_planning, icon=":material/arrow_back:")
        return
    value = money_short(value_of(helped))
    documents = len(distinct_documents(helped))
    said = count(documents, "document")
    if len(helped) > documents:
        said += f" ({count(len(helped), 'exception')})"
    st.subheader(f"Reprocess {said} worth {value}?", anchor=False)
    units = ", ".join(sorted(unit or "no unit" for unit in set(helped["business_unit"])))
    st.markdown(
        f"**What:** {SCOPES[scope]}. **Units:** {plain(units)}. **Oldest:** {duration(helped['age_s'].max())}. "
        f"**Causes:** {plain(', '.join(sorted({kind_of(code).title.lower() for code in helped['code']})[:4]))}.",
        anchors=False,
    )
    st.caption(
        "Before anything is sent, each target system is asked whether it has happened already; what it has is taken over, not repeated. Each exception closes only when the effect is seen there."
    )
    _left_out(rows)
    with st.expander(f"The {said}, exactly"):
        listed = helped[["number", "business_unit", "group_amount", "cause", "message"]].assign(
            group_amount=pd.to_numeric(helped["group_amount"]).astype(float)
        )
        grid(
            listed.rename(
                columns={
                    "number": "Document",
                    "business_unit": "Unit",
                    "group_amount": "Value (EUR)",
                    "cause": "Cause",
                    "message": "What the system said",
                }
            ),
            key="exceptions.plan.rows",
        )
    exceptions_price.draw(ctx, helped)
    pace = _pace(len(helped), helped["fingerprint"].nunique())
    st.selectbox("Reason", list(REASONS), format_func=REASONS.__getitem__, key="exceptions.plan.reason_code", width=360)
    st.text_input("In your words (required; it stands in the audit trail)", key="exceptions.plan.reason", max_chars=500)
    if len(helped) > TYPED_ABOVE:
        st.text_input(
            f"{len(helped)} exceptions at once: type {len(helped)} to confirm", key="exceptions.plan.typed", width=360
        )
    # Its place is kept while there is nothing to say: were it to come and go, the buttons below would stand there twice for a moment.
    lacking = st.empty()
    error = st.session_state.pop("exceptions.plan.error", None)
    if error:
        lacking.error(error, icon=":material/error:")
    with st.container(horizontal=True):
        cases = [{"case_id": str(row.case_id), "version": int(row.version)} for row in helped.itertuples()]
        st.button(
            f"Reprocess {said} ({value})",
            type="primary",
            icon=":material/replay:",
            key="exceptions.plan.go",
            wrap=True,
            on_click=_go,
            args=(ctx, command_id, cases, SCOPES[scope], pace),
        )
        st.button("Do not reprocess", key="exceptions.plan.stop", on_click=give_up_planning)


def _pace(many: int, causes: int) -> dict[str, int]:
    """How carefully so many of so many causes are sent; one exception alone needs no choice."""
    if many == 1:
        return {}
    defaults = {"canary_size": 3, "wave_size": 25, "per_minute": 60, "halt_percent": 20}
    labels = {"canary_size": "Send first" if causes == 1 else "Send first, of each cause", "wave_size": "Then at a time", "per_minute": "At most a minute", "halt_percent": "Stop above % refused"}  # fmt: skip
    limits = {"canary_size": (1, 100), "wave_size": (1, 1000), "per_minute": (1, 6000), "halt_percent": (0, 100)}
    chosen = {name: st.session_state.get(f"exceptions.plan.{name}", value) for name, value in defaults.items()}
    first = min(chosen["canary_size"], many)
    rest = f", then {chosen['wave_size']} at a time, at most {chosen['per_minute']} a minute" if first < many else ""
    begin, stops = f"{first} first", f"it stops by itself when more than {chosen['halt_percent']} % are refused"
    if causes > 1:
        begin = f"{first} of each of {causes} causes first"
        stops = f"a cause of which more than {chosen['halt_percent']} % are refused is held back, and the others go on"
    with st.expander(f"{begin}{rest}; {stops}", icon=":material/tune:"):
        st.caption("Nothing more is sent before the effect of everything sent has been seen in the system.")
        with st.grid("auto", min_column_width=150, gap="small"):
            for name, value in defaults.items():
                low, high = limits[name]
                chosen[name] = int(st.number_input(labels[name], low, high, value, key=f"exceptions.plan.{name}"))
    return chosen


def _left_out(rows: pd.DataFrame) -> None:
    never, busy = rows[rows["retryable"] == Retryable.NEVER], rows[rows["status"].isin(UNDER_WAY)]
    if len(never):
        st.caption(
            f"Left out: {count(len(never), 'document')} that repeating does not help ({plain(', '.join(visible(number) for number in never['number'].head(5)))}): they need a decision."
        )
    if len(busy):
        st.caption(f"Left out: {count(len(busy), 'document')} being reprocessed already.")


def _go(ctx: Context, command_id: UUID, cases: list[dict[str, Any]], scope: str, pace: dict[str, int]) -> None:
    reason = (st.session_state.get("exceptions.plan.reason") or "").strip()
    typed = (st.session_state.get("exceptions.plan.typed") or "").strip()
    if not reason:
        st.session_state["exceptions.plan.error"] = "Say why: the reason stands in the audit trail."
        return
    if len(cases) > TYPED_ABOVE and typed.replace(",", "") != str(len(cases)):
        st.session_state["exceptions.plan.error"] = f"Type {len(cases)} to confirm that so many are meant."
        return
    try:
        answered = ctx.ask(
            Action.REPROCESS,
            command_id,
            reason=reason,
            cases=cases,
            reason_code=st.session_state.get("exceptions.plan.reason_code", "other"),
            scope=scope,
            pace=pace,
        )
    except NotAllowed as refusal:
        st.session_state["exceptions.plan.error"] = plain(str(refusal))
        return
    if answered is not None:
        follow(answered)


def follow(answered: Answered) -> None:
    """Go from the plan to its result, once there is one."""
    redrive_id = answered.result.get("redrive_id")
    if answered.status == "done" and redrive_id:
        give_up_planning()
        st.query_params["redrive"] = str(redrive_id)


# -- asked already ----------------------------------------------------------------------------------------------------------------------


def _answered(ctx: Context, answered: Answered) -> None:
    """This plan has been asked for already: by this click, by one before, or in another tab."""
    if answered.status == "asked":
        st.subheader("Asked for, and waiting for the engine", anchor=False)
        st.write(plain(answered.sentence))

        @st.fragment(run_every=POLL_EVERY_S, key="exceptions.plan.wait")
        def wait() -> None:
            found = ctx.answer(answered.command_id)
            if found is not None and found.status != "asked":
                st.rerun()
            st.caption("The engine has not answered yet.")

        wait()
        return
    if answered.status == "done":
        st.subheader("This has been asked for already", anchor=False)
        st.success(plain(answered.sentence), icon=":material/check_circle:")
        redrive_id = answered.result.get("redrive_id")
        if redrive_id:
            ctx.link("exceptions", "Show how far it has come", icon=":material/arrow_forward:", redrive=str(redrive_id))
    else:
        st.subheader("Nothing was reprocessed", anchor=False)
        st.warning(plain(answered.sentence), icon=":material/block:")
    st.button("Back to the queue", on_click=give_up_planning, icon=":material/arrow_back:")
