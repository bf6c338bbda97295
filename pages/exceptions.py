"""What needs a person, most urgent money first; grouped by cause, so that one repair sets thirty-seven orders free."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import pandas as pd
import streamlit as st

from pages import exceptions_case, exceptions_progress, exceptions_redrive, filters, frame
from pages.context import Context
from pages.filters import Choice, Filters
from pages.format import CATEGORIES, count, due_words, duration, money_short, plain, shortened, visible
from pages.frame import Definition, Figure, Said
from pages.tables import Column, forget_selection, work_table
from sync_engine.control.roles import Action, Role
from sync_engine.control.waves import spoken
from sync_engine.insight.reports import exceptions as ask
from sync_engine.insight.reports.exceptions import QueueFilter, distinct_documents, value_of
from sync_engine.model.exceptions import KINDS, kind_of

TITLE = "Exceptions"
QUESTION = "What needs a person, and what does it hold up?"
URL_PATH = "exceptions"
ROLES = frozenset(
    {Role.FINANCE_OPERATIONS, Role.PROCUREMENT_ANALYST, Role.INTEGRATION_SUPPORT, Role.FINANCE_LEADER, Role.AUDITOR}
)
SECTION = "Today"
ICON = ":material/inbox:"
LACKS = "exceptions, and nothing can be reprocessed for it: its documents live in systems that we do not move"

GROUPS_SHOWN = 4
SOON_DAYS = 5
TABLE = "exceptions.queue"

CHOICES = (
    Choice("category", "Category", list(CATEGORIES), CATEGORIES.__getitem__),
    Choice("code", "Cause", sorted(KINDS, key=lambda code: KINDS[code].title), lambda code: KINDS[code].title),
    Choice("team", "Owner", sorted({kind.owner_team for kind in KINDS.values()})),
)
EXTRA = ("cause", "redrive", "scope", "command", "pick", "case")
"""What else this page keeps in its address; "Clear" drops it too."""

COLUMNS = (
    Column("number", "Document", "id"),
    Column("cause", "Cause", width=230, on_card=True),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("days_left", "Days left", "days", help="Days to the nearest date: need-by or due."),
    Column("age_s", "Open for", "age", on_card=True),
    Column("business_unit", "Unit"),
    Column("owner_team", "Owner team"),
    Column("owner", "Taken on by"),
    Column("standing", "Status"),
    Column("supplier_name", "Supplier"),
    Column("category", "Category", "category"),
    Column("message", "What the system said", width=360),
    Column("trace", "", "link", display="Trace"),
)

DEFINITIONS = (
    Definition("Open", "exceptions not closed; forty retries of one document are one exception", "documents and messages of the chosen units", "open now", "wall"),
    Definition("Order of the queue", "value over the days left to the nearest date (10 where there is none): the most urgent money first, then the oldest", "open exceptions", "open now", "calendar days", "nothing"),
    Definition("Held up", "value of the documents that an open exception stops, each once", "documents with an exception that blocks them", "open now", left_out="exceptions that stop nothing"),
    Definition("Taken on by nobody", "open exceptions without an owner", "open exceptions", "open now", left_out="nothing"),
    Definition("Cause", "same kind, same system, same master data behind it; the sum of the groups is the queue", "open exceptions", "open now", left_out="nothing"),
    Definition("By itself", "closed by a repeat of the engine or by better news from the source, without a person", "exceptions closed", "last 24 hours"),
)  # fmt: skip

STANDING = {
    "open": "open",
    "claimed": "taken on",
    "waiting": "waiting",
    "queued": "being reprocessed",
    "sent": "being reprocessed",
    "accepted": "being reprocessed",
}


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx, CHOICES, with_period=False)
    wanted = _wanted(chosen)
    rows = ask.queue(ctx.reports, wanted, as_of=ctx.moment.as_of)
    rows = rows.assign(
        cause=[kind_of(code).title for code in rows["code"]],
        standing=[STANDING.get(status, status) for status in rows["status"]],
    )
    said.answer(_answer(rows))
    is_planning = exceptions_redrive.draw(ctx, rows)
    case_id = exceptions_redrive.uuid_in_url("case")
    if case_id is not None and not is_planning:
        exceptions_case.draw(ctx, case_id)
    if rows.empty:
        _empty(ctx, said, chosen)
        return
    if case_id is None and not is_planning:
        _figures(ctx, said, rows, wanted)
        if wanted.fingerprint is None and wanted.redrive_id is None:
            _groups(ctx, rows)
        else:
            ctx.link(URL_PATH, "Back to the whole queue", icon=":material/arrow_back:", **_kept(chosen))
    _queue(ctx, rows, chosen)
    exceptions_progress.past(ctx)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _wanted(chosen: Filters) -> QueueFilter:
    return QueueFilter(
        units=chosen.units,
        categories=chosen.of("category"),
        codes=chosen.of("code"),
        owner_teams=chosen.of("team"),
        fingerprint=(st.query_params.get("cause") or "")[:400] or None,
        redrive_id=exceptions_redrive.uuid_in_url("redrive") if st.query_params.get("only") == "redrive" else None,
    )


def _kept(chosen: Filters) -> dict[str, Any]:
    """The filters of this page, for a link that stays within them."""
    return {name: list(values) for name, values in chosen.chosen.items() if values}


def _answer(rows: pd.DataFrame) -> str:
    if rows.empty:
        return "No exception is open here."
    soon = rows[rows["days_left"].notna() & (pd.to_numeric(rows["days_left"]) <= SOON_DAYS)]
    sentence = f"{count(len(rows), 'exception')} {'holds' if len(rows) == 1 else 'hold'} up {count(len(distinct_documents(rows)), 'document')} worth {money_short(value_of(rows))}"
    sentence += (
        f"; {money_short(value_of(soon))} of it is due within {SOON_DAYS} days or past due." if len(soon) else "."
    )
    largest = distinct_documents(rows)["fingerprint"].value_counts()
    if largest.iloc[0] > 2:
        first = rows[rows["fingerprint"] == largest.index[0]].iloc[0]
        sentence += f" {largest.iloc[0]} documents wait for the same reason: {plain(spoken(first['fingerprint'])[0].lower() + spoken(first['fingerprint'])[1:])}."
    return sentence


def _figures(ctx: Context, said: Said, rows: pd.DataFrame, wanted: QueueFilter) -> None:
    blocking = rows[rows["blocks"].astype(bool)]
    nobody = rows[rows["owner"].isna()]
    closed, by_itself = ask.closed_today(ctx.reports, wanted.units, as_of=ctx.moment.as_of)
    why = frame.Explainer(ctx, DEFINITIONS, said.sources)
    stopped = len(distinct_documents(blocking))
    frame.figures(
        [
            Figure(
                "Held up",
                money_short(value_of(blocking)),
                n=f"{count(stopped, 'document')} cannot go on",
                explained=why(
                    "held-up",
                    "Held up",
                    "sum of the values in group currency, each document once",
                    stopped,
                    "document",
                    left_out=(frame.LeftOut("their exception stops nothing", len(distinct_documents(rows)) - stopped),),
                ),
            ),
            Figure(
                "Causes to repair",
                f"{rows['fingerprint'].nunique():,}",
                n=f"behind {count(len(rows), 'exception')}",
                target="target: 0",
                explained=why("causes", "Cause", "count of different fingerprints", len(rows), "exception"),
            ),
            Figure(
                "Taken on by nobody",
                f"{len(nobody):,}",
                n=money_short(value_of(nobody)),
                target="target: 0",
                explained=why("nobody", "Taken on by nobody", "count of exceptions", len(nobody), "exception"),
            ),
            Figure(
                "Closed in 24 hours",
                f"{closed:,}",
                n=f"{by_itself:,} by themselves",
                explained=why(
                    "closed",
                    "By itself",
                    "count of exceptions closed in the last 24 hours; beside it those that closed by themselves",
                    closed,
                    "exception",
                ),
            ),
        ]
    )


# -- groups by cause ---------------------------------------------------------------------------------------------------------


def _groups(ctx: Context, rows: pd.DataFrame) -> None:
    groups = rows.groupby("fingerprint", sort=False)
    listed = sorted(groups, key=lambda group: (-len(distinct_documents(group[1])), -value_of(group[1])))
    shared = [(str(fingerprint), group) for fingerprint, group in listed if len(group) > 1]
    if not shared:
        return
    st.subheader("Repaired once, many go on", anchor=False)
    for fingerprint, group in shared[:GROUPS_SHOWN]:
        _group(ctx, fingerprint, group)
    if len(shared) > GROUPS_SHOWN:
        with st.expander(f"{count(len(shared) - GROUPS_SHOWN, 'more cause')} with several documents"):
            for fingerprint, group in shared[GROUPS_SHOWN:]:
                _group(ctx, fingerprint, group)


def _size(rows: pd.DataFrame) -> str:
    """How much it is: documents, each once, and what they are worth; and the exceptions, where there are more of them."""
    documents, value = len(distinct_documents(rows)), value_of(rows)
    worth = f" worth {money_short(value)}" if value else ""
    return f"{count(documents, 'document')}{worth}" + (
        f" in {count(len(rows), 'exception')}" if len(rows) > documents else ""
    )


def _group(ctx: Context, fingerprint: str, group: pd.DataFrame) -> None:
    first = group.iloc[0]
    kind = kind_of(first["code"])
    with st.container(border=True, gap="xsmall"):
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.badge(CATEGORIES[first["category"]], color="gray")
            st.markdown(f"**{_size(group)}**: {plain(spoken(fingerprint))}", anchors=False, width="content")  # fmt: skip
        st.text(shortened(first["message"], 220))
        units = ", ".join(sorted(unit or "no unit" for unit in set(group["business_unit"])))
        st.caption(
            f"{plain(units)} · oldest {duration(group['age_s'].max())} · {plain(kind.owner_team)} · {plain(kind.next_step)}"
        )
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            ctx.link(
                URL_PATH, f"Show {count(len(group), 'exception')}", icon=":material/arrow_forward:", cause=fingerprint
            )
            _offer(ctx, group, "cause", key=f"exceptions.group.{fingerprint}")


def _asked(rows: pd.DataFrame) -> str:
    """What a button does, and to how much."""
    value = value_of(rows)
    return f"{count(len(distinct_documents(rows)), 'document')}" + (f" ({money_short(value)})" if value else "")


def _offer(ctx: Context, rows: pd.DataFrame, scope: str, *, key: str, primary: bool = False) -> None:
    """The button that plans a reprocessing of exactly these rows, with its size on it."""
    if not ctx.may(Action.REPROCESS):
        st.caption(ctx.why_not(Action.REPROCESS), width="content")
        return
    st.button(
        f"Reprocess {_asked(rows)}",
        key=key,
        icon=":material/replay:",
        type="primary" if primary else "secondary",
        wrap=True,
        on_click=exceptions_redrive.plan,
        args=(
            scope,
            [str(case_id) for case_id in rows["case_id"]] if scope == "rows" else [],
            str(rows["fingerprint"].iloc[0]) if scope == "cause" else None,
        ),
    )


# -- the queue -----------------------------------------------------------------------------------------------------------------


def _queue(ctx: Context, rows: pd.DataFrame, chosen: Filters) -> None:
    st.subheader("The queue, most urgent money first", anchor=False)
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    links = [
        ctx.href("trace", document=str(document_id)) if document_id else None for document_id in rows["document_id"]
    ]
    picked = work_table(
        ctx, rows.assign(trace=links), COLUMNS, key=TABLE, row_id="case_id", noun="exception", title=_card_title, selectable=True,
        card_action=lambda row: ctx.link(URL_PATH, "Open", icon=":material/arrow_forward:", case=str(row["case_id"]), **_kept(chosen)),
    )  # fmt: skip
    with bar:
        _bar(ctx, rows[rows["case_id"].astype(str).isin(picked)], rows, chosen)


def _bar(ctx: Context, picked: pd.DataFrame, rows: pd.DataFrame, chosen: Filters) -> None:
    if picked.empty:
        st.caption(
            "Choose rows to open, take on or reprocess them." if ctx.may(Action.CLAIM) else "Choose a row to open it.",
            width="content",
        )
        if len(rows) > 1 and ctx.may(Action.REPROCESS) and st.query_params.get("scope") is None:
            st.button(
                f"Reprocess everything that matches: {_asked(rows)}",
                key="exceptions.all",
                type="tertiary",
                wrap=True,
                icon=":material/replay:",
                on_click=exceptions_redrive.plan,
                args=("filter", [], None),
            )
        return
    oldest = duration(picked["age_s"].max())
    units = ", ".join(sorted(unit or "no unit" for unit in set(picked["business_unit"])))
    st.markdown(
        f"**{count(len(picked), 'exception')}**: {money_short(value_of(picked))}, {plain(units)}, oldest {oldest}",
        anchors=False,
        width="content",
    )
    if len(picked) == 1:
        first = picked.iloc[0]
        ctx.link(
            URL_PATH,
            f"Open {visible(first['number'])}",
            icon=":material/arrow_forward:",
            case=str(first["case_id"]),
            **_kept(chosen),
        )
    if st.query_params.get("scope") is None:  # a plan that is open has its own button, for exactly what it shows
        _offer(ctx, picked, "rows", key="exceptions.picked", primary=True)
    if ctx.may(Action.CLAIM):
        free = picked[picked["owner"].isna()]
        if len(free):
            st.button(
                f"Take on {count(len(free), 'exception')}",
                key="exceptions.claim",
                icon=":material/front_hand:",
                on_click=exceptions_case.claim_many,
                args=(ctx, _named(free)),
            )
    st.button("Choose nothing", key="exceptions.none", type="tertiary", on_click=forget_selection, args=(TABLE,))


def _named(rows: pd.DataFrame) -> list[tuple[UUID, int, str]]:
    return [(row.case_id, int(row.version), str(row.number)) for row in rows.itertuples()]


def _card_title(row: dict[str, Any]) -> str:
    due = (
        f" · due {due_words(row['days_left'])}"
        if row["days_left"] is not None and not pd.isna(row["days_left"])
        else ""
    )
    return f"**{plain(row['number'])}** · {plain(row['business_unit'])}{due}"


# -- empty -----------------------------------------------------------------------------------------------------------------------


def _empty(ctx: Context, said: Said, chosen: Filters) -> None:
    names: Sequence[str] = [*(choice.name for choice in CHOICES), *EXTRA]
    dropped = [choice.title.lower() for choice in CHOICES if chosen.of(choice.name)]
    dropped += ["business units"] if chosen.units else []
    dropped += ["the cause"] if "cause" in st.query_params else []
    if dropped:
        frame.nothing_matches("open exceptions", dropped, names=names)
        return
    if not ctx.units and not ctx.person.sees_all:
        frame.no_permission(
            "No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”."
        )
        return
    if not said.sources:
        frame.no_data(ctx, said)
        return
    closed, by_itself = ask.closed_today(ctx.reports, None, as_of=ctx.moment.as_of)
    where = "any business unit" if ctx.person.sees_all else ", ".join(ctx.person.units)
    sentence = f"No unresolved exceptions for {plain(where)}. {closed:,} closed in the last 24 hours, {by_itself:,} of them by themselves."
    # What has not been heard of is not known to be well: a silent source is never green, and nothing at all is one thing to say.
    if any(source.age_s is not None for source in said.sources):
        if said.stale:
            st.info(sentence, icon=":material/schedule:")
        else:
            frame.nothing_happened(sentence)
    if said.stale or all(source.age_s is None for source in said.sources):
        frame.no_data(ctx, said)
    exceptions_progress.past(ctx)
