"""What is not moving, what that is worth, against whom it is slow, and who moves it next. What an exception stops is reprocessed
on the page of the exceptions, with the case chosen here.
"""

from decimal import Decimal
from functools import partial
from hashlib import sha256
from typing import Any
from uuid import UUID

import pandas as pd
import streamlit as st

from pages import charts, filters, frame, switches
from pages.context import Context
from pages.filters import Choice, Filters
from pages.format import (
    DOCUMENT_TYPES,
    WORKING_DAY_S,
    count,
    day,
    duration,
    money_short,
    percent,
    plain,
    sentence,
    visible,
    words,
    working_time,
)
from pages.frame import Definition, Figure, Said
from pages.switches import Switch
from pages.tables import Column, work_table
from sync_engine.control.roles import Action, Role
from sync_engine.insight.reports import stuck as ask
from sync_engine.insight.reports.overview import PEERS_DAYS, STUCK_TYPES
from sync_engine.insight.reports.stuck import BECAUSE, LEVELS, WAYS
from sync_engine.model.exceptions import KINDS

TITLE = "Stuck orders"
QUESTION = "What is not moving, what is it worth, and who moves it next?"
URL_PATH = "stuck"
ROLES = frozenset(Role)
SECTION = "Flow"
ICON = ":material/hourglass_top:"

CHOICES = (
    Choice("type", "Type", STUCK_TYPES, lambda name: sentence(DOCUMENT_TYPES[name])),
    Choice("reason", "Stands because", sorted(WAYS), sentence),
    Choice("team", "Who moves it", sorted({way.team for way in WAYS.values()} | {kind.owner_team for kind in KINDS.values()}), sentence),
)
NARROWED = ("level", "because", "taken")
TREND_DAYS = 30
STAGES_SHOWN, STAGES_ON_PHONE = 8, 4
MOST_PICKED = 60
"""So many cases fit into an address."""

TABLE = "stuck.rows"
COLUMNS = (
    Column("number", "Document", "id", width=100),
    Column("known_as", "Known as", "id", width=130, help="What the ERP, the supplier and the approval tool call it."),
    Column("reason", "Stands because", on_card=True, width=150),
    Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("age_business_s", "In this stage", "working", on_card=True),
    Column("pace", "Older than", "share", help="The share of its peers' stays in this stage that were shorter."),
    Column("who", "Who moves it", width=190, on_card=True),
    Column("next_step", "Next step", width=300),
    Column("why", "Counts as stuck because", width=180),
    Column("business_unit", "Unit", width=110),
    Column("document_type", "Type", "words"),
    Column("over_limit_s", "Past the limit", "working", help="Working time since it should have moved."),
    Column("peers_said", "Compared with", help="Stays of the same type in the same stage, in the last 90 days; those of the same unit where there are 30, of all units else."),
    Column("need_by_on", "Needed by", "date"),
    Column("due_on", "Due", "date"),
    Column("supplier_name", "Supplier"),
    Column("requester", "Requester"),
    Column("approval_status", "Business", "words"),
    Column("posting_status", "Ledger", "words"),
    Column("exception", "", "link", display="Exception"),
    Column("trace", "", "link", display="Trace"),
)

DEFINITIONS = (
    Definition("Stuck", "an exception stops it; or it waits by agreement and the date has passed (goods: need-by, invoice: 20 working days, payment: due date); or it has stood longer than 95 % of its peers; or past its step's objective", "open requisitions, orders, change orders and invoices", "open now", "each unit's working calendar", "test documents; what waits by agreement until its date; requisitions whose orders are drafted, which count through their orders"),
    Definition("Watch", "longer in its stage than 85 % of its peers, and not stuck", "the same", "open now", "the same"),
    Definition("Peers", f"stays of the same type in the same stage that ended in the last {PEERS_DAYS} days: of the same unit where there are 30 of them, else of all units you may see; with fewer there is no pace", "finished stays", f"last {PEERS_DAYS} days", "the same", "stays that are not over"),
    Definition("Stands because", "the first reason that holds, so that every document has one: " + ", ".join(WAYS), "open documents", "open now", "none"),
    Definition("Value-days", "value times the working days since it should have moved, added up", "stuck documents", "open now", "each unit's working calendar; a working day has 8 hours"),
    Definition("Stopped by an exception", "documents with an open exception that blocks them; the line shows the end of each day", "the same", f"open now; the line: last {TREND_DAYS} days", "none"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx, CHOICES, with_period=False)
    switches.complain({"level": (*LEVELS, "all"), "because": BECAUSE, "taken": ("no",)})
    found = ask.open_documents(ctx.reports, chosen.units, as_of=ctx.moment.as_of, types=chosen.of("type") or STUCK_TYPES)
    rows = _chosen(found, chosen)
    if rows.empty:
        said.answer("Nothing is open here.")
        _empty(ctx, said, chosen)
        return
    stuck = rows[rows["level"] == "stuck"]
    said.answer(_answer(rows, stuck))
    frame.figures(_figures(ctx, chosen, rows, said))
    asked_for_rows = any(name in st.query_params for name in NARROWED)
    if asked_for_rows:
        _rows(ctx, chosen, rows)
    if stuck.empty:
        frame.nothing_happened(f"0 of {count(len(rows), 'open document')} is stopped by an exception, past the 95th percentile of its peers, past an agreed date or past an objective.")
    else:
        _reasons(ctx, chosen, rows)
    _ages(ctx, rows)
    if not asked_for_rows:
        _rows(ctx, chosen, rows)
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _chosen(found: pd.DataFrame, chosen: Filters) -> pd.DataFrame:
    for name in ("reason", "team"):
        wanted = chosen.of(name)
        if wanted is not None:
            found = found[found[name].isin(wanted)]
    return found


def _value(rows: pd.DataFrame) -> Decimal:
    return sum((Decimal(value) for value in rows["group_amount"].dropna()), Decimal(0))


def _kept(chosen: Filters) -> dict[str, Any]:
    """The filters of this page, for a link that stays within them."""
    return {name: list(values) for name, values in chosen.chosen.items() if values}


def _answer(rows: pd.DataFrame, stuck: pd.DataFrame) -> str:
    watch = rows[rows["level"] == "watch"]
    slower = f" {len(watch):,} more, worth {money_short(_value(watch))}, {'is' if len(watch) == 1 else 'are'} slower than most." if len(watch) else ""
    if stuck.empty:
        return f"None of {count(len(rows), 'open document')} is stuck.{slower}"
    groups = _groups(stuck)
    first = groups.iloc[0]
    most = f"; {money_short(first['value'])} of it: {plain(first['reason'])}, which {plain(first['team'])} can move" if first["value"] > 0 else ""
    return f"{count(len(stuck), 'document')} worth {money_short(_value(stuck))} {'is' if len(stuck) == 1 else 'are'} stuck{most}.{slower}"


def _groups(rows: pd.DataFrame) -> pd.DataFrame:
    """By reason and team: documents, stuck, watch, value of what is stuck, oldest; most value first."""
    money = rows.assign(value=pd.to_numeric(rows["group_amount"]).fillna(0.0).astype(float).where(rows["level"] == "stuck", 0.0))
    by = money.groupby(["reason", "team"], sort=False)
    found = by.agg(
        documents=("document_id", "count"), stuck=("level", lambda levels: int((levels == "stuck").sum())), watch=("level", lambda levels: int((levels == "watch").sum())),
        value=("value", "sum"), oldest_s=("age_business_s", "max"), next_step=("next_step", lambda steps: steps.iloc[0] if len(set(steps)) == 1 else "Differs: it stands beside each document."),
    ).reset_index()  # fmt: skip
    return found.sort_values(["value", "stuck", "documents"], ascending=False).reset_index(drop=True)


# -- the figures -----------------------------------------------------------------------------------------------------------


def _figures(ctx: Context, chosen: Filters, rows: pd.DataFrame, said: Said) -> list[Figure]:
    stuck, watch = rows[rows["level"] == "stuck"], rows[rows["level"] == "watch"]
    stopped = stuck[stuck["because"] == "exception"]
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    kept = _kept(chosen)

    def show(part: pd.DataFrame, **narrowed: str) -> Any:
        return partial(ctx.link, URL_PATH, switches.show(ctx, len(part), "document"), **kept, **narrowed) if len(part) else None

    shown = [
        Figure("Stuck", money_short(_value(stuck)), n=f"{len(stuck):,} of {count(len(rows), 'open document')}, {percent(len(stuck) / len(rows))}", target="target: none", link=show(stuck, level="stuck"), stale=silent),
        Figure("To watch", money_short(_value(watch)), n=f"{len(watch):,} slower than 85 % of their peers", link=show(watch, level="watch"), stale=silent),
        _stopped(ctx, chosen, stopped, show(stopped, level="stuck", because="exception"), silent),
    ]
    nobody = stopped[stopped["owner"].isna()]
    shown.append(Figure("Taken on by nobody", f"{len(nobody):,}", n=f"{money_short(_value(nobody))} behind an exception without an owner", target="target: 0", link=show(nobody, level="stuck", because="exception", taken="no"), stale=silent))
    value_days = (pd.to_numeric(stuck["group_amount"]).fillna(0).astype(float) * stuck["over_limit_s"].fillna(0) / WORKING_DAY_S).sum() if len(stuck) else 0.0
    shown.append(Figure("Value-days", money_short(value_days), n="value times the working days past the limit", link=show(stuck, level="stuck"), stale=silent))
    if len(stuck) and stuck["over_limit_s"].notna().any():
        worst = stuck.loc[stuck["over_limit_s"].idxmax()]
        shown.append(Figure("Longest past its limit", switches.brief(ctx, working_time(worst["over_limit_s"])), n=f"{'working time; ' if ctx.narrow else ''}{money_short(worst['group_amount'])}, {plain(worst['business_unit'])}", link=partial(ctx.link, "trace", f"Open {visible(worst['number'])}", document=str(worst["document_id"])), stale=silent))
    return shown


def _stopped(ctx: Context, chosen: Filters, stopped: pd.DataFrame, link: Any, silent: str) -> Figure:
    change, better, trend = "", None, []
    if not any(chosen.of(name) for name in ("reason", "team")):
        now = ctx.moment.as_of
        days = ask.stopped_by_day(ctx.reports, chosen.units, since=now - pd.Timedelta(days=TREND_DAYS), until=now, types=chosen.of("type") or STUCK_TYPES)
        trend = [float(value) for value in days["stopped"]]
        if len(trend) > 7:
            gap = int(trend[-1] - trend[-8])
            change, better = (f"{gap:+,} in 7 days", gap < 0) if gap else ("", None)
    return Figure("Stopped by an exception", f"{len(stopped):,}", n=f"worth {money_short(_value(stopped))}", change=change, better=better, trend=trend, link=link, stale=silent, help="Documents an open exception stops. The line: the end of each day.")


# -- why, and who ---------------------------------------------------------------------------------------------------------------


def _reasons(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> None:
    groups = _groups(rows[rows["level"] != "moving"])
    drawn = groups[groups["stuck"] > 0].groupby("reason", sort=False).agg(value=("value", "sum"), stuck=("stuck", "sum"), oldest_s=("oldest_s", "max")).reset_index().sort_values("value", ascending=False)
    total = float(drawn["value"].sum())
    first = drawn.iloc[0]
    drawn["name"] = [sentence(visible(reason)) for reason in drawn["reason"]]
    drawn["label"] = [switches.label(ctx, name) for name in drawn["name"]]
    drawn["text"] = [money_short(row.value) if ctx.narrow else f"{money_short(row.value)} · {count(row.stuck, 'document')}" for row in drawn.itertuples()]
    drawn["hover"] = [f"{row.name}: {money_short(row.value)} in {count(row.stuck, 'document')}, {percent(row.value / total if total else None, digits=0)} of all that is stuck; oldest {working_time(row.oldest_s)}" for row in drawn.itertuples()]
    finding = f"“{sentence(visible(first['reason']))}” holds {percent(float(first['value']) / total, digits=0)} of the stuck money" if total else "What stands is without a value"
    st.subheader(finding, anchor=False)
    st.caption("Value of what is stuck by what it stands for, in EUR; below, who moves it and how.")
    st.plotly_chart(charts.bars(drawn, label="label", value="value", text="text", hover="hover", style=charts.look(dark=ctx.dark), colour=charts.STUCK, height=switches.bars_height(ctx, len(drawn))), theme=None, key="stuck.reasons", config={"displaylogo": False, "displayModeBar": False, "responsive": True}, alt=finding)
    kept = _kept(chosen)
    groups["open"] = [ctx.href(URL_PATH, **kept | {"reason": reason, "team": team, "level": "all"}) for reason, team in zip(groups["reason"], groups["team"], strict=True)]
    groups["key"] = groups["reason"] + " | " + groups["team"]
    columns = (
        Column("reason", "Stands because", width=210), Column("team", "Who moves it", on_card=True, width=150), Column("stuck", "Stuck", "count", on_card=True), Column("watch", "To watch", "count"),
        Column("value", "Stuck value (EUR)", "group_money", on_card=True), Column("oldest_s", "Oldest", "working"), Column("next_step", "Next step", width=420, on_card=True), Column("open", "", "link", display="Show all of it"),
    )  # fmt: skip
    with switches.folded(ctx, "Who moves what, and how"):
        work_table(ctx, groups, columns, key="stuck.groups", row_id="key", noun="reason", height=min(46 + 35 * len(groups), 340), title=lambda row: f"**{plain(sentence(row['reason']))}**", card_action=lambda row: ctx.link(URL_PATH, "Show all of it", **kept | {"reason": row["reason"], "team": row["team"], "level": "all"}))


# -- against whom it is slow -----------------------------------------------------------------------------------------------------


def _ages(ctx: Context, rows: pd.DataFrame) -> None:
    """The documents by stage and age on what their peers took; the stages with most stuck in them, on a phone fewer."""
    on_time = rows["reason"].isin(["waiting for goods", "waiting for payment", "waiting for the invoice"]) & (rows["level"] == "moving")
    aged = rows[(rows["age_business_s"] > 0) & ~on_time].copy()
    if aged.empty:
        return
    aged["stage"] = [f"{sentence(visible(DOCUMENT_TYPES.get(kind, kind)))}: {words(state)}" for kind, state in zip(aged["document_type"], aged["state"], strict=True)]
    sizes = aged.groupby("stage").agg(stuck=("level", lambda levels: int((levels == "stuck").sum())), documents=("level", "count")).sort_values(["stuck", "documents"], ascending=False)
    order = list(sizes.index[: STAGES_ON_PHONE if ctx.narrow else STAGES_SHOWN])
    over = aged[aged["age_business_s"] > aged["peer_p95_s"]]
    finding = f"{count(len(over), 'document')} {'has' if len(over) == 1 else 'have'} stood longer than 95 % of {'its' if len(over) == 1 else 'their'} peers" if len(over) else "Nothing has stood longer than 95 % of its peers"
    drawn = _dots(aged, order)
    bands = drawn[drawn["stage_p95_s"].notna()].drop_duplicates("stage")[["stage", "stage_p50_s", "stage_p85_s", "stage_p95_s"]].set_axis(["stage", "p50", "p85", "p95"], axis=1)
    bands[["p50", "p85", "p95"]] /= 3600
    figure = charts.ageing(drawn, stage="stage", at="at", y="hours", level="level", size="size", hover="hover", bands=bands, style=charts.look(dark=ctx.dark), unit="working hours")
    note = "A dot is a document, its size its value. Shaded is what the stage took elsewhere and before: half, 85 % and, up to the dashed line, 95 % of all stays. What waits by agreement and is on time is not drawn."
    left_out = len(aged) - len(drawn)
    table = aged.groupby(["stage", "level"]).agg(documents=("document_id", "count"), oldest=("age_business_s", "max")).reset_index()
    table["oldest"] = [working_time(value) for value in table["oldest"]]
    table = table.rename(columns={"stage": "Stage", "level": "Level", "documents": "Documents", "oldest": "Oldest"})
    frame.chart(figure, finding, table, key="stuck.ages", note=note + (f" {count(left_out, 'document')} in other stages in the table only." if left_out else ""))


def _dots(aged: pd.DataFrame, order: list[str]) -> pd.DataFrame:
    """What is drawn of each document: where, how large, in which order, and what is said of it."""
    drawn = aged[aged["stage"].isin(order)].copy()
    drawn["hours"] = (drawn["age_business_s"] / 3600).clip(lower=0.05)
    drawn["at"] = [int(sha256(document_id.bytes).hexdigest()[:4], 16) / 32767.5 - 1 for document_id in drawn["document_id"]]
    largest = max(float(pd.to_numeric(drawn["group_amount"]).max() or 1), 1.0)
    drawn["size"] = [7 + 15 * (max(float(value), 0) / largest) ** 0.5 for value in drawn["group_amount"].fillna(0)]
    drawn["hover"] = [_hover(row) for row in drawn.to_dict("records")]
    places = drawn["stage"].map({name: place for place, name in enumerate(order)})
    levels = drawn["level"].map({level: place for place, level in enumerate(LEVELS)})
    return drawn.assign(place=places, rank=levels).sort_values(["rank", "age_business_s"], ascending=[True, False]).head(charts.MAX_POINTS).sort_values(["place", "rank"])


def _hover(row: dict[Any, Any]) -> str:
    pace = f", older than {percent(row['pace'], digits=0)} of {row['peers']:,.0f} peers" if row["pace"] is not None and not pd.isna(row["pace"]) else ", too few peers"
    return f"{visible(row['number'])} ({visible(row['business_unit'])}): {money_short(row['group_amount'])}<br>{visible(row['reason'])}, {working_time(row['age_business_s'])}{pace}<br>{visible(row['team'])}"


# -- the rows ---------------------------------------------------------------------------------------------------------------------------


def _rows(ctx: Context, chosen: Filters, rows: pd.DataFrame) -> None:
    sizes = {level: int((rows["level"] == level).sum()) for level in LEVELS}
    level = Switch("level", "Rows", {name: f"{'To watch' if name == 'watch' else name.capitalize()} {sizes[name]:,}" for name in LEVELS} | {"all": f"All {len(rows):,}"})
    because = switches.one_of("because", BECAUSE)
    wanted = switches.read(level)
    shown = rows if wanted == "all" else rows[rows["level"] == wanted]
    heading = {"stuck": "Stuck, most money first", "watch": "To watch, most money first", "moving": "Moving, most money first", "all": "Everything open, most money first"}[wanted]
    if because is not None:
        shown = shown[shown["because"] == because]
        heading = f"{heading}: {BECAUSE[because]}"
    if switches.one_of("taken", ("no",)):
        shown = shown[shown["owner"].isna()]
        heading += ", taken on by nobody"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.subheader(heading, anchor=False, width="content")
        if any(name in st.query_params for name in NARROWED):
            ctx.link(URL_PATH, "Close the list", icon=":material/close:", **_kept(chosen))
    switches.draw(level)
    if shown.empty:
        frame.nothing_happened(f"None of {count(len(rows), 'open document')} is here.")
        return
    shown = _told(ctx, shown.sort_values("group_amount", ascending=False, na_position="last", key=pd.to_numeric))
    bar = st.container(horizontal=True, vertical_alignment="center", gap="small")
    picked = work_table(ctx, shown, COLUMNS, key=TABLE, row_id="document_id", noun="document", title=_title, selectable=True, card_action=partial(_card, ctx))
    with bar:
        _bar(ctx, shown[shown["document_id"].astype(str).isin(picked)])


def _told(ctx: Context, rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with what is said about each in words, and its links."""
    return rows.assign(
        who=[f"{team}: {on}" if on else team for team, on in zip(rows["team"], rows["waits_on"], strict=True)],
        why=[BECAUSE.get(because, "") if isinstance(because, str) else "" for because in rows["because"]],
        peers_said=["fewer than 30 peers" if pd.isna(peers) else f"{peers:,.0f} in {unit or 'all units'}" for peers, unit in zip(rows["peers"], rows["peer_unit"], strict=True)],
        exception=[None if pd.isna(case_id) else ctx.href("exceptions", case=str(case_id)) for case_id in rows["case_id"]],
        trace=[ctx.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
    )


def _title(row: dict[str, Any]) -> str:
    known = f" ({plain(row['known_as'])})" if isinstance(row["known_as"], str) else ""
    return f"**{plain(row['number'])}**{known} · {plain(row['business_unit'])} · {row['level']}"


def _card(ctx: Context, row: dict[str, Any]) -> None:
    if isinstance(row["exception"], str):
        ctx.link("exceptions", "Exception", case=str(row["case_id"]))
    ctx.link("trace", "Trace", document=str(row["document_id"]))


def _bar(ctx: Context, picked: pd.DataFrame) -> None:
    if picked.empty:
        st.caption("Choose rows to see what they are worth together, and to reprocess what an exception stops.", width="content")
        return
    st.markdown(f"**{count(len(picked), 'document')}**: {money_short(_value(picked))}, oldest in its stage for {working_time(picked['age_business_s'].max())}", anchors=False, width="content")
    if len(picked) == 1:
        ctx.link("trace", f"Trace {visible(picked.iloc[0]['number'])}", icon=":material/timeline:", document=str(picked.iloc[0]["document_id"]))
    cases = picked[picked["case_id"].notna()]
    if cases.empty:
        st.caption("No exception stops what is chosen, so there is nothing to reprocess; what moves it stands under “Next step”.", width="content")
        return
    if len(cases) == 1:
        ctx.link("exceptions", "Open its exception", icon=":material/arrow_forward:", case=str(cases.iloc[0]["case_id"]))
    if not ctx.may(Action.REPROCESS):
        st.caption(ctx.why_not(Action.REPROCESS), width="content")
    elif len(cases) > MOST_PICKED:
        st.caption(f"At most {MOST_PICKED} at once go along from here; filter on the page of the exceptions instead.", width="content")
    else:
        hexes = [UUID(str(case_id)).hex for case_id in cases["case_id"]]
        ctx.link("exceptions", f"Reprocess {count(len(cases), 'document')} ({money_short(_value(cases))})", icon=":material/replay:", scope="rows", pick=hexes)


def _empty(ctx: Context, said: Said, chosen: Filters) -> None:
    dropped = [choice.title.lower() for choice in CHOICES if chosen.of(choice.name)] + (["business units"] if chosen.units else [])
    if not ctx.units and not ctx.person.sees_all:
        frame.no_permission("No business unit has been given to you, so nothing can be shown. Ask for an application role such as “unit:DE-SOUTH”.")
    elif dropped:
        frame.nothing_matches("open documents", dropped, names=(*(choice.name for choice in CHOICES), *NARROWED))
    elif all(source.age_s is None for source in said.sources) or said.stale:
        frame.no_data(ctx, said)
    else:
        frame.nothing_happened(f"Nothing is open: every requisition, order and invoice is finished, as of {day(ctx.moment.as_of.astimezone(ctx.zone).date())}.")
