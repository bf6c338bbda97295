"""The page on stuck documents for another maker's log: what had not come to a final stage when the log ended, how long it had stood
there, and how that compares with its peers. Owners, exceptions and agreed dates are not in such a log, so nothing is said of them.
"""

from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, exporting, filters, frame, imported, switches
from pages.context import Context
from pages.filters import Choice, Filters
from pages.format import count, duration, percent, plain, sentence, visible, when, words
from pages.frame import Definition, Explainer, Figure, Said
from pages.imported import type_name
from pages.tables import Column, work_table
from sync_engine.insight.reports import imported as ask
from sync_engine.insight.statistics import SOME

QUESTION = "What had not come to an end when this log ended, and what was slow?"
URL_PATH = "stuck"
LEVELS = {
    "stuck": "Stood longer than 95 % of their peers",
    "watch": "Stood longer than 85 % of their peers",
    "unknown": "Too few peers to compare with, or a beginning that cannot be right",
    "moving": "No slower than most",
    "all": "Not at a final stage",
}
"""Which rows are shown, by the level in the address."""

PEERS = "stays of the same type in the same stage that ended in the log, of the units you may see; fewer than 30 give no pace"

DEFINITIONS = (
    Definition("Not at a final stage", "its last event left it at a stage that is not a final one. Final is what the log's mapping says; without a mapping: paid, rejected, cancelled, reversed or closed, as guessed from the names of its activities", "documents of the log that events of their own move", "as of the log's last event, because it does not go on", left_out="documents that events of others only name: they stand nowhere"),
    Definition("Slow", "it had stood in its stage longer than 95 % of its peers", "documents not at a final stage", "as of the log's last event", "wall clock: a log names no working calendar", f"no document; peers are {PEERS}"),
    Definition("To watch", "longer than 85 % of its peers, and not longer than 95 %", "the same", "as of the log's last event", "wall clock"),
    Definition("No pace", "fewer than 30 peers in its stage, or it is not known since when it stands there", "the same", "as of the log's last event", "wall clock"),
    Definition("Longest in its stage", "from when it came to its stage until the log's last event", "the same", "as of the log's last event", "wall clock"),
)  # fmt: skip


@dataclass(frozen=True)
class Facts:
    """How the documents stand: every count, and those of what is not at a final stage."""

    chosen: Filters
    everything: pd.DataFrame
    still: pd.DataFrame

    def many(self, level: str) -> int:
        """How many are of a level; "all": of any but the ended."""
        return int(self.still.loc[self.still["level"].eq(level) | (level == "all"), "documents"].sum())

    @property
    def of(self) -> int:
        """How many documents the log moves."""
        return int(self.everything["documents"].sum())


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    there = ask.standing(ctx.reports, ctx.log, None, None)
    kinds = Choice("type", "Type", sorted(set(there["document_type"])), lambda name: visible(type_name(name)))
    chosen = filters.row(ctx, (kinds,), with_period=False)
    imported.draw(ctx)
    switches.complain({"level": LEVELS, "stage": set(there["state"])})
    everything = ask.standing(ctx.reports, ctx.log, chosen.units, chosen.of("type"))
    facts = Facts(chosen, everything, everything[everything["level"] != "ended"])
    if everything.empty:
        said.answer("Nothing of this log stands anywhere.")
        _empty(ctx, said, chosen)
        return
    as_of = when(everything["as_of"].iloc[0], ctx.zone)
    said.answer(_answer(facts, as_of))
    _never_ends(facts)
    frame.figures(_figures(ctx, facts, said))
    asked_for_rows = any(name in st.query_params for name in ("level", "stage"))
    if asked_for_rows:
        _rows(ctx, facts)
    _stages(ctx, facts, as_of)
    if not asked_for_rows:
        _rows(ctx, facts)
    frame.explain(ctx, DEFINITIONS)


def _answer(facts: Facts, as_of: str) -> str:
    still = facts.many("all")
    if not still:
        return f"All {count(facts.of, 'document')} had come to a final stage when the log ended, {as_of}."
    slow = facts.many("stuck")
    return f"{still:,} of {count(facts.of, 'document')} had not come to a final stage when the log ended, {as_of}; {f'{slow:,} of them stood' if slow else 'none of them stood'} longer than 95 % of their peers."


def _never_ends(facts: Facts) -> None:
    """Types of which nothing ever ends: that is more often a mapping that is missing than a company that stands still."""
    ended = set(facts.everything.loc[facts.everything["level"] == "ended", "document_type"])
    never = sorted(set(facts.everything["document_type"]) - ended)
    if never:
        st.info(
            f"No document of type {', '.join(plain(type_name(name)) for name in never)} comes to a final stage in this log. If they do end, a mapping says where: `finsync import-log FILE --guess-mapping` prints one to correct, with the final stages under `[log]`.",
            icon=":material/help:",
        )


def _link(ctx: Context, facts: Facts, level: str) -> Any:
    n = facts.many(level)
    return partial(ctx.link, URL_PATH, switches.show(ctx, n, "document"), **_kept(facts), level=level) if n else None


def _kept(facts: Facts) -> dict[str, Any]:
    return {name: list(values) for name, values in facts.chosen.chosen.items() if values}


def _figures(ctx: Context, facts: Facts, said: Said) -> list[Figure]:
    why = Explainer(ctx, DEFINITIONS, said.sources)
    still = facts.many("all")

    def figure(level: str, label: str, n: str, key: str, formula: str) -> Figure:
        link = _link(ctx, facts, level)
        return Figure(label, f"{facts.many(level):,}", n=n, link=link, explained=why(key, label, formula, facts.many(level), "document", link=link))  # fmt: skip

    shown = [
        figure("all", "Not at a final stage", f"{percent(still / facts.of)} of {count(facts.of, 'document')}", "still", "count of documents"),
        figure("stuck", "Slow", "stood longer than 95 % of their peers", "slow", "documents older in their stage than the 95th percentile of its finished stays"),
        figure("watch", "To watch", "stood longer than 85 % of their peers", "watch", "documents between the 85th and the 95th percentile"),
        figure("unknown", "No pace", "too few peers to compare with", "no-pace", "count of documents"),
    ]  # fmt: skip
    oldest = facts.still["oldest_s"].max()
    if pd.notna(oldest):
        link = _link(ctx, facts, "all")
        shown.append(Figure("Longest in its stage", duration(oldest), n="until the log's last event", link=link, explained=why("oldest", "Longest in its stage", "largest age of the documents", still, "document", link=link)))  # fmt: skip
    return shown


def _stages(ctx: Context, facts: Facts, as_of: str) -> None:
    if facts.still.empty:
        frame.nothing_happened(f"0 of {count(facts.of, 'document')} is left at a stage that is not a final one.")
        return
    several = len(set(facts.still["document_type"])) > 1
    by = facts.still.assign(
        slow=facts.still["documents"].where(facts.still["level"] == "stuck", 0),
        watch=facts.still["documents"].where(facts.still["level"] == "watch", 0),
    ).groupby(["document_type", "state"], sort=False)
    found = by.agg(
        documents=("documents", "sum"), slow=("slow", "sum"), watch=("watch", "sum"), oldest_s=("oldest_s", "max"), peers=("peers", "max"), p50_s=("p50_s", "max"), p95_s=("p95_s", "max")
    ).reset_index().sort_values(["slow", "documents"], ascending=False, kind="stable")  # fmt: skip
    found = found.assign(
        name=[f"{type_name(kind)}: {words(state)}" if several else sentence(words(state)) for kind, state in zip(found["document_type"], found["state"], strict=True)],
        open=[ctx.href(URL_PATH, type=kind, stage=state) for kind, state in zip(found["document_type"], found["state"], strict=True)],
        p50_s=found["p50_s"].where(found["peers"] >= SOME),
        p95_s=found["p95_s"].where(found["peers"] >= SOME),
    )  # fmt: skip
    drawn = found.assign(
        label=[switches.label(escape(visible(name)), narrow=ctx.narrow) for name in found["name"]],
        text=[f"{row.documents:,}" if ctx.narrow or not row.slow else f"{row.documents:,}, {row.slow:,} of them slow" for row in found.itertuples()],
        hover=[f"{escape(visible(row.name))}: {count(row.documents, 'document')}, {row.slow:,} slow, oldest {duration(row.oldest_s)}" for row in found[["name", "documents", "slow", "oldest_s"]].itertuples(index=False)],
    )  # fmt: skip
    most = found.sort_values("documents", ascending=False, kind="stable").iloc[0]
    finding = f"“{plain(most['name'])}” holds {most['documents']:,} of {count(facts.many('all'), 'document')} that had not come to an end"
    exported = exporting.Exported(ctx, f"Documents not at a final stage, log {ctx.log}, {as_of}", "not-ended-by-stage")
    figure = charts.bars(drawn, label="label", value="documents", text="text", hover="hover", style=charts.look(dark=ctx.dark), height=switches.bars_height(ctx, len(drawn.head(25))))  # fmt: skip
    frame.chart(figure, finding, found[["name", "documents", "slow", "watch", "oldest_s", "peers", "p50_s", "p95_s"]], key="stuck.imported", note=f"As of the log's last event, {as_of}.", exported=exported)  # fmt: skip
    work_table(
        ctx,
        found,
        (
            Column("name", "Stage", width="medium"),
            Column("documents", "Documents", "count", on_card=True),
            Column("slow", "Slow", "count", on_card=True),
            Column("watch", "To watch", "count"),
            Column("oldest_s", "Longest there", "elapsed"),
            Column("p50_s", "Peers: half within", "elapsed", help=PEERS),
            Column("p95_s", "Peers: 95 % within", "elapsed", help=PEERS),
            Column("peers", "Peers", "count"),
            Column("open", "Rows", "link", display="Open"),
        ),
        key="stuck.imported.stages",
        row_id="name",
        noun="stage",
        title=lambda row: f"**{plain(row['name'])}**",
        card_action=lambda row: ctx.link(
            URL_PATH, f"Show {row['documents']:,}", type=row["document_type"], stage=row["state"]
        ),
    )


def _rows(ctx: Context, facts: Facts) -> None:
    level, stage = switches.one_of("level", LEVELS) or "all", switches.one_of("stage", set(facts.everything["state"]))
    if not facts.many("all"):
        return
    asked = partial(
        ask.standing_rows, ctx.reports, ctx.log, facts.chosen.units, facts.chosen.of("type"), level=None if level == "all" else level, stage=stage
    )  # fmt: skip
    imported.rows(
        ctx, f"{LEVELS[level]}{f', at “{plain(words(stage))}”' if stage else ''}: slowest first", asked, _in_words, _columns, key="stuck.imported.rows", of=DEFINITIONS[0],
        closes=_kept(facts) if any(name in st.query_params for name in ("level", "stage")) else None,
        title=lambda row: f"**{plain(row['number'])}** · {plain(words(row['state']))}",
    )  # fmt: skip


def _columns(rows: pd.DataFrame) -> tuple[Column, ...]:
    named = sorted({name for name in rows["value_name"] if name})
    value = [Column("value", "Value", "rate", help=f"As the log says it, without a currency: {', '.join(map(visible, named))}.")] if named else []  # fmt: skip
    return (
        Column("number", "Document", "id"),
        Column("kind", "Type", on_card=True),
        Column("business_unit", "Unit"),
        Column("state", "Stands at", "words"),
        Column("age_s", "In this stage", "elapsed", on_card=True, help="Until the log's last event, wall clock."),
        Column("slower", "Slower than", "share", on_card=True, help=f"Of its peers: {PEERS}."),
        Column("p50_s", "Peers: half within", "elapsed"),
        Column("p95_s", "Peers: 95 % within", "elapsed"),
        *value,
        Column("state_since", "Since", "time"),
    )


def _in_words(rows: pd.DataFrame) -> pd.DataFrame:
    has_peers = rows["peers"].astype(int) >= SOME
    return rows.assign(
        kind=[type_name(name) for name in rows["document_type"]],
        slower=rows["pace"],
        p50_s=rows["p50_s"].where(has_peers),
        p95_s=rows["p95_s"].where(has_peers),
    )


def _empty(ctx: Context, said: Said, chosen: Filters) -> None:
    dropped = [name for name, is_set in (("types", chosen.of("type")), ("business units", chosen.units)) if is_set]
    if dropped:
        frame.nothing_matches("documents", dropped, names=("type", "level", "stage"))
    else:
        imported.outside(ctx, said, chosen.period)
