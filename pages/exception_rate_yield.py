"""First-pass yield on the page of the exception rate: which documents needed nobody and nothing twice, by type and over time."""

from collections.abc import Mapping
from datetime import date
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_map, frame, switches
from pages.charts import Line
from pages.context import Addresses, Context
from pages.exception_rate_parts import NARROWED, URL_PATH, Facts
from pages.explaining import Definition, Explained, LeftOut
from pages.filters import Filters
from pages.format import DOCUMENT_TYPES, NOTHING, count, day, duration, percent, plain, sentence
from pages.frame import Figure, Marks, Said
from pages.tables import Column, work_table
from sync_engine.insight.once import once
from sync_engine.insight.reports import first_pass as ask
from sync_engine.insight.reports.first_pass import Ended, Yields
from sync_engine.insight.reports.overview import STUCK_TYPES
from sync_engine.insight.statistics import FEW, wilson
from sync_engine.model.exceptions import kind_of

SHOWN = {"first": "Went through in the first pass", "not": "Needed somebody, or something twice"}

DEFINITION = Definition(
    "First-pass yield",
    "documents that came to their intended end without any exception, and without anybody having to change, review, refuse, reverse, cancel or reprocess something or anything being sent again; submitting, approving and receiving are the process itself",
    "requisitions ordered, orders received and invoiced in full, changes returned, invoices paid; exceptions of the categories chosen",
    "ended in the period: what is still open may yet need somebody",
    left_out="what was refused, withdrawn or given up; test documents",
)  # fmt: skip


def _wanted(chosen: Filters) -> Ended:
    return Ended(chosen.period.since, chosen.period.until, chosen.of("type") or STUCK_TYPES, chosen.units, chosen.of("category"))  # fmt: skip


def draw(ctx: Context, facts: Facts, said: Said) -> None:
    """The yield in a sentence, its course by type, and each type with both of its lists."""
    chosen = facts.chosen
    found = ask.yields(ctx.reports, _wanted(chosen), before=chosen.period.before.since, zone=ctx.zone.key)
    whole = found.of()
    if not whole.ended:
        st.subheader("No document came to its intended end, so there is no first-pass yield", anchor=False)
        st.caption(f"Ended {chosen.period.within}{f'; {whole.otherwise:,} ended otherwise' if whole.otherwise else ''}.")  # fmt: skip
        return
    kinds = _by_type(found)
    weeks = found.by_week()
    _course(ctx, facts, kinds, weeks, _finding(found, kinds))
    value = percent(whole.share)
    link = _opens(ctx, facts, whole.ended - whole.first_pass, {"yield": "not"})
    explained = Explained(
        ctx, "first-pass", DEFINITION, f"without an exception and without a touch / ended as intended = {whole.first_pass:,} / {whole.ended:,}; {whole.met:,} met an exception, {whole.touched:,} more were touched without one",
        whole.ended, "document", period=chosen.period, link=link, left_out=(LeftOut("refused, withdrawn or given up", whole.otherwise),), sources=said.sources, is_sampled=True,
    )  # fmt: skip
    silent = "; ".join(f"{source.title} has been silent for {duration(source.age_s)}" for source in said.stale)
    # Without a change against the period before: the mix of types moves it while that of every type goes the other way; the table has theirs.
    frame.figure_of_part(Figure(DEFINITION.name, value, n=f"{whole.first_pass:,} of {count(whole.ended, 'document')} that ended", link=link, stale=silent, explained=explained))  # fmt: skip
    _types(ctx, facts, kinds)


@once
def _by_type(found: Yields) -> pd.DataFrame:
    """A row per type that ended, with its interval and its change in points."""
    kinds, before = found.by_type(), found.by_type(before=True).set_index("document_type")
    kinds = kinds[kinds["ended"] + kinds["otherwise"] > 0].reset_index(drop=True)
    bounds = [wilson(part, whole) for part, whole in zip(kinds["first_pass"], kinds["ended"], strict=True)]
    moved = [
        (share - before.loc[kind, "share"]) * 100
        if kind in before.index and before.loc[kind, "ended"] >= FEW and n >= FEW
        else None
        for kind, share, n in zip(kinds["document_type"], kinds["share"], kinds["ended"], strict=True)
    ]
    return kinds.assign(
        title=[sentence(DOCUMENT_TYPES[kind]) for kind in kinds["document_type"]],
        not_first=kinds["ended"] - kinds["first_pass"],
        interval=[f"{percent(one[0])} to {percent(one[1])}" if one else NOTHING for one in bounds],
        moved=["" if points is None else f"{points:+.1f} points" for points in moved],
    )


def _finding(found: Yields, kinds: pd.DataFrame) -> str:
    whole = found.of()
    said = f"{percent(whole.share)} of {count(whole.ended, 'document')} that ended went through in the first pass"
    enough = kinds[kinds["ended"] >= FEW]
    if len(enough) < 2:
        return said
    least = enough.loc[enough["share"].idxmin()]
    return f"{said}, {least['title'].lower()}s least: {percent(least['share'])} of {least['ended']:,}"


def _course(ctx: Context, facts: Facts, kinds: pd.DataFrame, weeks: pd.DataFrame, finding: str) -> None:
    """The yield by the week in which documents ended, a line per type; weeks of fewer than ten have no point."""
    points = _points(weeks)
    meaning = f"{sentence(DEFINITION.what)}. By the week in which a document ended; a week of fewer than {FEW} has no mark."  # fmt: skip
    if len(points) < 2:
        st.subheader(finding, anchor=False)
        st.caption(f"{sentence(DEFINITION.what)}.")
        return
    names = [kind for kind in kinds["document_type"] if kind in points.columns]
    colours = {kind: charts_map.colour_of(kind, place) for place, kind in enumerate(names)}
    asks = [
        [{"yield": "not", "kind": kind, "ended": week.date().isoformat()} if said else None for week, said in zip(points["week"], points[f"{kind}.hover"], strict=True)]
        for kind in names
    ]  # fmt: skip
    figure = charts.lines(
        points, x="week", series=[Line(kind, sentence(DOCUMENT_TYPES[kind]), colours[kind], hover=f"{kind}.hover") for kind in names], style=charts.look(dark=ctx.dark), unit=" %",
        across=charts.weeks(points["week"], narrow=ctx.narrow), up={"range": [0, 103]}, named_below=ctx.narrow,
    )  # fmt: skip
    frame.chart(
        figure, finding, _as_table(weeks), key="rate.yield", note=f"{meaning} A click on a mark opens those that needed somebody.",
        exported=frame.Exported(ctx, f"First-pass yield by type and week, ended {facts.chosen.period.within}", "first-pass-yield"),
        opens=Marks(asks, NARROWED),
    )  # fmt: skip


@once
def _points(weeks: pd.DataFrame) -> pd.DataFrame:
    """A row per week in which enough ended, a column per type with its yield in percent, and one with what is said of it; "" where a
    type has too few."""
    enough = weeks[weeks["ended"] >= FEW]
    points = enough.pivot_table(index="week", columns="document_type", values="share", aggfunc="first")
    said = {(row["week"], row["document_type"]): _said(row) for row in enough.to_dict("records")}
    by_kind = {str(kind): points[kind].astype(float) * 100 for kind in points.columns}
    told = {f"{kind}.hover": [said.get((week, kind), "") for week in points.index] for kind in by_kind}
    return pd.DataFrame({"week": pd.to_datetime(points.index)} | {name: list(values) for name, values in (by_kind | told).items()})  # fmt: skip


@once
def _as_table(weeks: pd.DataFrame) -> pd.DataFrame:
    """The table under the chart."""
    table = weeks.assign(kind=[sentence(DOCUMENT_TYPES[kind]) for kind in weeks["document_type"]])
    return table[["week", "kind", "ended", "first_pass", "share", "met", "touched", "otherwise"]].rename(
        columns={"week": "Week from", "kind": "Type", "ended": "Ended as intended (n)", "first_pass": "First pass", "share": "Yield", "met": "Met an exception", "touched": "Touched without one", "otherwise": "Ended otherwise"}
    )  # fmt: skip


def _said(row: Mapping[Any, Any]) -> str:
    return f"Week from {day(row['week'])}, {DOCUMENT_TYPES[row['document_type']]}s: {percent(row['share'])}, {int(row['first_pass']):,} of {int(row['ended']):,}<br>{int(row['met']):,} met an exception, {int(row['touched']):,} more were touched"


def _opens(ctx: Context, facts: Facts, n: int, asked: dict[str, str]) -> Any:
    """Draws the link to so many rows; None: there are none."""
    if not n:
        return None
    return lambda: ctx.link(URL_PATH, switches.show(ctx, n, "document"), **facts.links(), **asked)


def _types(ctx: Context, facts: Facts, kinds: pd.DataFrame) -> None:
    shown = _linked(kinds, facts, ctx.addresses)
    columns = (
        Column("title", "Type", width=130), Column("ended", "Ended (n)", "count", on_card=True, help="As intended."), Column("first_pass", "First pass", "count"), Column("share", "Yield", "share", on_card=True),
        Column("interval", "95 % interval", on_card=True), Column("moved", "Change", help="Against the period before, in percentage points, where both have 10."), Column("met", "Exception", "count", help="Met one."),
        Column("touched", "Touched", "count", help="Changed, reviewed, reversed, cancelled or sent again, without an exception."), Column("otherwise", "Otherwise", "count", help="Refused, withdrawn or given up: in no yield."),
        Column("open", "", "link", display="Show others"), Column("through", "", "link", display="Show first pass"),
    )  # fmt: skip
    with switches.folded(ctx, "By type"):
        work_table(
            ctx, shown, columns, key="rate.yield.types", of=DEFINITION, row_id="document_type", noun="type", title=lambda row: f"**{plain(row['title'])}**",
            card_action=lambda row: ctx.link(URL_PATH, "Show those that were not", **facts.links(), **{"yield": "not", "kind": row["document_type"]}) if row["not_first"] else None,
        )  # fmt: skip


@once
def _linked(kinds: pd.DataFrame, facts: Facts, at: Addresses) -> pd.DataFrame:
    """The types with where their documents are."""
    return kinds.assign(
        open=[at.href(URL_PATH, **facts.links(), **{"yield": "not", "kind": row.document_type}) if row.not_first else None for row in kinds.itertuples()],
        through=[at.href(URL_PATH, **facts.links(), **{"yield": "first", "kind": row.document_type}) if row.first_pass else None for row in kinds.itertuples()],
    )  # fmt: skip


# -- the rows ------------------------------------------------------------------------------------------------------------------------

ROWS = (
    Column("number", "Document", "id", width=110), Column("kind", "Type"), Column("business_unit", "Unit"), Column("why", "Why not in the first pass", on_card=True, width=340), Column("group_amount", "Value (EUR)", "group_money", on_card=True),
    Column("submitted_at", "Entered", "time"), Column("closed_at", "Ended", "time", on_card=True), Column("supplier_name", "Supplier"), Column("amount", "Amount", "money"), Column("trace", "", "link", display="Trace"),
)  # fmt: skip


def rows(ctx: Context, facts: Facts) -> None:
    """The documents that the address asks for."""
    which, kind, asked = switches.one_of("yield", SHOWN) or "not", switches.one_of("kind", ask.AS_INTENDED), st.query_params.get("ended")  # fmt: skip
    wanted, week = _wanted(facts.chosen), _monday(asked)
    if kind is not None:
        wanted = Ended(wanted.since, wanted.until, [kind] if kind in wanted.types else [], wanted.units, wanted.categories)  # fmt: skip
    found = ask.rows(ctx.reports, wanted, is_first=which == "first", zone=ctx.zone.key, week=week)
    named = f"{SHOWN[which]}: {sentence(DOCUMENT_TYPES[kind]).lower()}s" if kind else SHOWN[which]
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(f"{named}, ended {f'in the week from {day(week)}' if week else facts.chosen.period.within}", anchor=False, width="content")  # fmt: skip
        ctx.link(URL_PATH, "Close the list", icon=":material/close:", **facts.links())
    if found.empty:
        frame.nothing_happened("There is no such document.")
        return
    shown = found.assign(
        kind=[sentence(DOCUMENT_TYPES[name]) for name in found["document_type"]],
        why=[_why(codes, steps) for codes, steps in zip(found["codes"], found["steps"], strict=True)],
        trace=[ctx.href("trace", document=str(one)) for one in found["document_id"]],
    )
    columns = ROWS if which == "not" else tuple(column for column in ROWS if column.name != "why")
    work_table(
        ctx, shown, columns, key="rate.yield.rows", of=DEFINITION, row_id="document_id", noun="document", title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])} · {row['kind']}",
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])), there=int(found.iloc[0]["there"]),
    )  # fmt: skip


def _why(codes: list[str], steps: list[str]) -> str:
    met, touched = [kind_of(code).title for code in codes], [step.replace("_", " ") for step in steps]
    return "; ".join([*met, *([f"touched: {', '.join(touched)}"] if touched else [])])


def _monday(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
