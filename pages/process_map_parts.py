"""What stands under the process map: the documents behind a mark, the time between two activities, variants, and deviations."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, frame, switches
from pages.context import Addresses, Context
from pages.filters import Period, put
from pages.format import DOCUMENT_TYPES, NOTHING, count, duration, money_short, percent, plain, sentence, visible, words
from pages.switches import Switch
from pages.tables import Column, work_table
from sync_engine.insight.once import once
from sync_engine.insight.reports import process_map as ask
from sync_engine.insight.reports.process_map import Asked
from sync_engine.insight.reports.reading import OWN_LOG
from sync_engine.insight.statistics import FEW, SOME

URL_PATH = "process-map"
METRIC = Switch(
    "metric",
    "Figures on the map",
    {"documents": "Documents", "n": "Times", "p50_s": "Median time", "p85_s": "85 %", "total_s": "Total time", "value": "Value", "rework": "Rework"},
)  # fmt: skip
MARK = ("of", "before", "step", "then", "variant", "deviation", "revised")
"""What of the page is opened: a step of a type, a step from another, a later one, or one of the lists."""

BEGINNING = "^"
"""In the address: the step with which a document begins, because an empty parameter is none."""

KEPT = ("metric", "type", "nodes", "edges", "revision")


@dataclass(frozen=True)
class Facts:
    """What the page has found, for its parts."""

    asked: Asked
    period: Period
    within: str
    steps: pd.DataFrame
    types: Sequence[str]
    revisions: Sequence[str]
    deviations: pd.DataFrame
    orders: pd.DataFrame


def activity(name: str) -> str:
    """An activity as people read it; the text of another maker's log stays what it is."""
    return words(name)


def kind(name: str) -> str:
    """A document type as people read it."""
    return sentence(DOCUMENT_TYPES.get(name, name))


def link(ctx: Context, label: str, **changes: Any) -> None:
    """A link to this page with what is chosen on it, and something else opened."""
    ctx.link(URL_PATH, label, **(switches.kept(*KEPT) | changes))


@once
def of_types(steps: pd.DataFrame, types: Sequence[str]) -> pd.DataFrame:
    """The steps of these types of documents."""
    return steps[steps["document_type"].isin(types)]


def variant_id(document_type: str, activities: Sequence[str]) -> str:
    """A short name for a path, for the address."""
    return hashlib.sha256("\x1f".join([document_type, *activities]).encode()).hexdigest()[:12]


def path_words(activities: Sequence[str]) -> str:
    """A path in one line; what is repeated is said once."""
    said: list[tuple[str, int]] = []
    for name in activities:
        if said and said[-1][0] == name:
            said[-1] = (name, said[-1][1] + 1)
        else:
            said.append((name, 1))
    return " → ".join(activity(name) + (f" x{n}" if n > 1 else "") for name, n in said)


# -- what is opened -------------------------------------------------------------------------------------------------------


def opened(ctx: Context, facts: Facts) -> None:
    """The rows that the address asks for, if it does."""
    if not any(name in st.query_params for name in MARK):
        return
    at = {name: st.query_params.get(name) for name in MARK}
    with frame.part("The rows"):
        if at["then"] is not None:
            _between(ctx, facts, at)
            return
        found = _rows(ctx, facts, at)
        if found is None:
            st.warning("The address of this page asks for a mark that is not on this map; choose one on it.", icon=":material/link_off:")  # fmt: skip
            return
        heading, rows = found
        st.subheader(f"{heading}: {count(len(rows), 'document')}", anchor=False)
        if at["step"] is not None and at["before"] is None:
            _offer_time(facts, str(at["of"]), str(at["step"]))
        _table(ctx, rows)


def _offer_time(facts: Facts, of: str, step: str) -> None:
    """From an activity that is open to the time until another."""
    here = facts.steps[(facts.steps["document_type"] == of) & facts.steps["from_activity"].isna()]
    others = [name for name in here.sort_values("place", kind="stable")["activity"] if name != step]
    st.selectbox(
        f"Time from “{plain(activity(step))}” to",
        others,
        index=None,
        key="process.then",
        format_func=lambda name: visible(activity(name)),
        placeholder="Choose an activity",
        on_change=_choose_then,
        width=320,
    )


def _choose_then() -> None:
    put("then", st.session_state["process.then"])


def _rows(ctx: Context, facts: Facts, at: dict[str, str | None]) -> tuple[str, pd.DataFrame] | None:
    reports, asked = ctx.reports, facts.asked
    if at["deviation"] is not None:
        known = facts.deviations.set_index("name")["title"]
        return (known[at["deviation"]], ask.deviating(reports, asked, facts.orders, at["deviation"])) if at["deviation"] in known else None  # fmt: skip
    if at["revised"] is not None:
        return "Ended with something done again or in vain", ask.revised(reports, asked, facts.revisions)
    if at["variant"] is not None:
        for row in ask.variants(reports, asked).to_dict("records"):
            if variant_id(row["document_type"], row["activities"]) == at["variant"]:
                return f"{kind(row['document_type'])}, this path", ask.of_variant(reports, asked, row["document_type"], row["activities"])  # fmt: skip
        return None
    of, step, before = at["of"], at["step"], "" if at["before"] == BEGINNING else at["before"]
    steps = facts.steps
    here = steps[(steps["document_type"] == of) & (steps["activity"] == step)]
    here = here[here["from_activity"].isna()] if before is None else here[here["from_activity"] == before]
    if of is None or step is None or here.empty:
        return None
    way = plain(activity(step)) if before is None else f"{plain(activity(before)) if before else 'beginning'} → {plain(activity(step))}"  # fmt: skip
    return f"{plain(kind(of))}, {way}", ask.behind(reports, asked, of, step, before)


def _table(ctx: Context, rows: pd.DataFrame) -> None:
    shown = rows.assign(
        trace=[ctx.href("trace", document=str(document_id)) for document_id in rows["document_id"]],
        kind=[kind(name) for name in rows["document_type"]],
    )
    work_table(
        ctx,
        shown,
        (
            Column("number", "Document", "id", on_card=True),
            Column("kind", "Type"),
            Column("business_unit", "Unit", on_card=True),
            Column("supplier_name", "Supplier"),
            Column("state", "State", "words", on_card=True),
            Column("group_amount", "Value", "group_money", on_card=True),
            Column("n", "Times", "count"),
            Column("s", "Time", "age", help="Since the step before (the longest), or of the whole path."),
            Column("last_at", "Last", "time"),
            Column("trace", "Trace", "link", display="Open"),
        ),
        key="process.rows",
        row_id="document_id",
        noun="document",
        title=lambda row: f"**{plain(row['number'])}** · {plain(row['business_unit'])}",
        card_action=lambda row: ctx.link("trace", "Trace", document=str(row["document_id"])),
    )
    st.button("Close the list", on_click=_close, icon=":material/close:", type="tertiary")


def _close() -> None:
    for name in MARK:
        put(name, None)


def _between(ctx: Context, facts: Facts, at: dict[str, str | None]) -> None:
    names = set(facts.steps.loc[facts.steps["document_type"] == at["of"], "activity"])
    if at["step"] not in names or at["then"] not in names:
        st.warning("The address of this page asks for activities that are not on this map; choose two on it.", icon=":material/link_off:")  # fmt: skip
        return
    of, first, then = str(at["of"]), str(at["step"]), str(at["then"])
    found = ask.between(ctx.reports, facts.asked, of, first, then)
    spoken = f"{plain(activity(first))} to {plain(activity(then))}"
    forward = found[found["s"].astype(float) >= 0]["s"].astype(float)
    if forward.empty:
        frame.nothing_happened(f"No {plain(kind(of).lower())} went from {spoken} {facts.within}.")
        return
    bins = _bins(forward)
    middle = f"half within {duration(forward.median())}, 95 % within {duration(forward.quantile(0.95))}" if len(forward) >= FEW else "too few for a percentile"  # fmt: skip
    apart = len(found) - len(forward)
    figure = charts.bars(bins, label="label", value="documents", text="text", hover="text", style=charts.look(dark=ctx.dark), order=list(bins["label"]))  # fmt: skip
    frame.chart(
        figure,
        f"{kind(of)}, {spoken}: {middle}",
        bins[["label", "documents"]].rename(columns={"label": "Took", "documents": "Documents"}),
        exported=frame.Exported(ctx, f"Time between two activities, {facts.within}", "time-between"),
        key="process.between",
        note=f"n {len(forward):,}{', small sample' if FEW <= len(forward) < SOME else ''}; first time each, wall clock{f'; {apart:,} with contradicting clocks are left out' if apart else ''}.",
    )
    st.button("Close the list", on_click=_close, icon=":material/close:", type="tertiary")


_UP_TO = ((60, "under 1 min"), (600, "1 to 10 min"), (3600, "10 min to 1 h"), (6 * 3600, "1 to 6 h"), (86400, "6 h to 1 d"), (3 * 86400, "1 to 3 d"), (7 * 86400, "3 to 7 d"), (30 * 86400, "7 to 30 d"))  # fmt: skip


def _bins(seconds: pd.Series) -> pd.DataFrame:
    edges = [-1.0, *(float(limit) for limit, _ in _UP_TO), float("inf")]
    labels = [*(name for _, name in _UP_TO), "over 30 d"]
    held = pd.cut(seconds, edges, labels=labels, right=False).value_counts().reindex(labels)
    table = pd.DataFrame({"label": labels, "documents": [int(n) for n in held]})
    return table.assign(text=[count(n, "document") for n in table["documents"]])


# -- variants and deviations ----------------------------------------------------------------------------------------------


def variants(ctx: Context, facts: Facts) -> None:
    """The paths of what ended, most frequent first."""
    found = ask.variants(ctx.reports, facts.asked)
    if found.empty:
        st.subheader(f"No document ended {facts.within}: variants are of what has ended", anchor=False)
        return
    of, different = int(found["of"].iloc[0]), int(found["variants"].iloc[0])
    covering = int((found["cumulative"] < 0.8).sum()) + 1
    st.subheader(
        f"{count(different, 'path')} for {count(of, 'ended document')}; {'one covers' if covering == 1 else f'the first {covering} cover'} 80 % of them"
        if found["cumulative"].iloc[-1] >= 0.8
        else f"{count(different, 'path')} for {count(of, 'ended document')}; the {len(found)} most frequent cover {percent(found['cumulative'].iloc[-1])}",
        anchor=False,
    )
    work_table(
        ctx,
        _told_of_variants(found, ctx.addresses, switches.kept(*KEPT)),
        (
            Column("kind", "Type", on_card=True),
            Column("path", "Path", width=330, on_card=True),
            Column("steps", "Steps", "count"),
            Column("documents", "Documents", "count", on_card=True),
            Column("share", "Share", "share"),
            Column("cumulative", "Sum", "share", help="The share of this path and all before it."),
            Column("time", "Median time", "age", help=f"First to last step, wall clock. Fewer than {FEW}: none."),
            Column("value", "Value", "group_money"),
            Column("exceptions", "Exceptions", "count"),
            Column("open", "Rows", "link", display="Open"),
        ),
        key="process.variants",
        row_id="id",
        noun="path",
        title=lambda row: f"**{plain(row['kind'])}** · {row['documents']:,}",
        card_action=lambda row: link(ctx, "Documents behind it", variant=row["id"]),
    )


@once
def _told_of_variants(found: pd.DataFrame, at: Addresses, kept: dict[str, Any]) -> pd.DataFrame:
    """The paths in words, with where their documents are."""
    ids = [variant_id(kind_, path) for kind_, path in zip(found["document_type"], found["activities"], strict=True)]
    return found.assign(
        id=ids,
        kind=[kind(name) for name in found["document_type"]],
        path=[path_words(path) for path in found["activities"]],
        steps=[len(path) for path in found["activities"]],
        time=[None if n < FEW else s for n, s in zip(found["documents"], found["p50_s"], strict=True)],
        open=[at.href(URL_PATH, **kept | {"variant": name}) for name in ids],
    )


def deviations(ctx: Context, facts: Facts) -> None:
    """The maverick scenarios, each with what it can be said of."""
    if facts.asked.source != OWN_LOG:
        st.caption("Deviations need orders, receipts and invoices as our own log links them; an imported log has no match types.")  # fmt: skip
        return
    found = facts.deviations
    if facts.orders.empty:
        st.subheader(f"No order began {facts.within}: deviations are of orders", anchor=False)
        return
    worst = found.sort_values("documents", ascending=False, kind="stable").iloc[0]
    st.subheader(
        f"{worst['title']}: {worst['documents']:,} of {count(int(worst['of']), 'order')}"
        if worst["documents"]
        else f"None of {count(int(facts.orders['documents'].sum()), 'order')} left the intended order in any of the {len(found)} ways",
        anchor=False,
    )
    work_table(
        ctx,
        _told_of_deviations(found, ctx.addresses, switches.kept(*KEPT)),
        (
            Column("title", "Deviation", width="medium", on_card=True),
            Column("text", "Orders", on_card=True),
            Column("share", "Share", "share", on_card=True),
            Column("value", "Value", "group_money", on_card=True),
            Column("where", "Can be said of", width="large"),
            Column("open", "Rows", "link", display="Open"),
        ),
        key="process.deviations",
        row_id="name",
        noun="deviation",
        title=lambda row: f"**{plain(row['title'])}**",
        card_action=lambda row: link(ctx, "Orders behind it", deviation=row["name"]) if row["documents"] else None,
    )


@once
def _told_of_deviations(found: pd.DataFrame, at: Addresses, kept: dict[str, Any]) -> pd.DataFrame:
    """The scenarios, that of most orders first, with where their orders are."""
    return found.assign(
        share=[n / of if of else None for n, of in zip(found["documents"], found["of"], strict=True)],
        text=[f"{n:,} of {of:,}" if of else "no data" for n, of in zip(found["documents"], found["of"], strict=True)],
        open=[
            at.href(URL_PATH, **kept | {"deviation": name}) if n else None
            for name, n in zip(found["name"], found["documents"], strict=True)
        ],
    ).sort_values("documents", ascending=False, kind="stable")


def steps_table(ctx: Context, facts: Facts) -> None:
    """Everything on the map, and what is not drawn, with links: the map for a keyboard."""
    work_table(
        ctx,
        _told_of_steps(facts.steps, ctx.addresses, switches.kept(*KEPT)),
        (
            Column("kind", "Type", on_card=True),
            Column("before", "From", help="None: the activity itself, from wherever it was reached."),
            Column("what", "Activity", on_card=True),
            Column("documents", "Documents", "count", on_card=True),
            Column("n", "Times", "count"),
            Column("rework", "Done again", "share"),
            Column("p50_s", "Median time", "age", help="Since the step before, wall clock."),
            Column("p85_s", "85 % within", "age"),
            Column("total_s", "Total time", "age"),
            Column("value", "Value", "group_money"),
            Column("negative", "Contradicting clocks", "count"),
            Column("open", "Rows", "link", display="Open"),
        ),
        key="process.steps",
        row_id="id",
        noun="step",
        title=lambda row: f"**{plain(row['before'])} → {plain(row['what'])}** · {plain(row['kind'])}",
        card_action=partial(_open, ctx),
    )


def _open(ctx: Context, row: dict[str, Any]) -> None:
    before = row["from_activity"]
    link(ctx, "Documents behind it", of=row["document_type"], step=row["activity"], **({} if before is None else {"before": before or BEGINNING}))  # fmt: skip


def written(metric: str, row: Any) -> str:
    """A figure of the map as it stands at a mark."""
    value = row[metric]
    if value is None or pd.isna(value):
        return NOTHING
    if metric in {"p50_s", "p85_s", "total_s"}:
        return NOTHING if metric != "total_s" and row["n"] - row["negative"] < FEW else duration(value)
    if metric == "value":
        return money_short(value)
    return percent(value) if metric == "rework" else f"{int(value):,}"


@once
def _told_of_steps(found: pd.DataFrame, at: Addresses, kept: dict[str, Any]) -> pd.DataFrame:
    """Activities and steps in words, the most frequent first, with where their documents are."""
    return found.assign(
        id=[str(place) for place in range(len(found))],
        kind=[kind(name) for name in found["document_type"]],
        before=[NOTHING if name is None else "beginning" if name == "" else activity(name) for name in found["from_activity"]],
        what=[activity(name) for name in found["activity"]],
        open=[
            at.href(URL_PATH, **kept | {"of": row["document_type"], "step": row["activity"]} | ({} if row["from_activity"] is None else {"before": row["from_activity"] or BEGINNING}))
            for row in found.to_dict("records")
        ],
    ).sort_values("n", ascending=False, kind="stable")  # fmt: skip
