"""Whether the systems answer and what waits behind them, in documents and money; what support looks at at two in the morning."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pandas as pd
import streamlit as st

from pages import charts, charts_spread, filters, frame, health_rows, health_tables
from pages.context import Context
from pages.filters import Choice, Filters
from pages.format import count, duration, money_short, percent, plain, system, when
from pages.frame import Definition, Explainer, Figure
from sync_engine.control.roles import Role
from sync_engine.insight.reports import health as ask
from sync_engine.insight.reports.health import Calls, SystemHealth

TITLE = "Integration health"
QUESTION = "Do the systems answer, and what waits behind them?"
URL_PATH = "health"
ROLES = frozenset(Role)
SECTION = "Look up"
ICON = ":material/monitor_heart:"
LACKS = "calls and feeds: it was read from a file"

SHOWN = ("systems", "waiting", "failed", "feeds", "parked", "unsettled")

DEFINITIONS = (
    Definition("Answering", "its circuit breaker is closed, no Retry-After runs, no feed of it is silent and the last call did not fail; a system whose feeds are read and bring nothing is answering, not silent", "connected systems", "now", "wall", "nothing"),
    Definition("Waits for a system", "documents whose next step asks it and is due, is in the call, or is being repeated; a document counts once per system. Steps that wait for a person are not here", "documents with open work", "now", left_out="steps that are only due later"),
    Definition("Failed calls", "calls that ended without a business answer (not sent, unknown, broken off); a refusal is an answer, and one document with forty retries is forty calls", "attempts; a feed's reads belong to no business unit", "called in the period", "wall", "nothing"),
    Definition("Latency", f"median, 95th and 99th percentile over all attempts of the period, never of other percentiles; none below {ask.ENOUGH_CALLS} calls", "attempts, failed ones too", "called in the period", "wall", "nothing"),
    Definition("Silent feed", "not read for longer than the connector allows; figures that rest on it turn grey", "feeds of the connected systems", "now", "wall", "nothing"),
    Definition("Messages", "received = applied + unchanged + superseded + ignored + parked + waiting, to the row; a parked one counts once however often it was tried", "messages received in the period", "by what has become of them by now", left_out="nothing"),
    Definition("Sent, no answer", "something was to be changed outside and we do not know whether it was; it is looked up in the target before anything is sent again", "calls that change something", "now", left_out="nothing"),
    Definition("Alive", "an engine heard of within the last minute that has not said that it stops", "engines", "now, by the database's clock", "wall", "nothing"),
)  # fmt: skip


@dataclass
class Facts:
    """What the page is made of; None where a question stayed without an answer."""

    systems: tuple[SystemHealth, ...] = ()
    waiting: pd.DataFrame | None = None
    feeds: pd.DataFrame | None = None
    operations: pd.DataFrame | None = None
    before: Calls | None = None
    parked: pd.DataFrame | None = None
    unsettled: pd.DataFrame | None = None
    engines: pd.DataFrame | None = None


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    known = ask.systems(ctx.reports, None, as_of=ask.moment_of(ctx.moment.as_of))
    if not known:
        said.answer("No system has been connected yet.")
        st.info(
            "Name one in config/systems.toml and start an engine; `finsync doctor` proves the contact.",
            icon=":material/cable:",
        )
        return
    titles = {one.system: one.title for one in known}
    chosen = filters.row(ctx, [Choice("system", "Systems", list(titles), titles.__getitem__)])
    facts = _gather(ctx, chosen, known)
    said.answer(_answer(ctx, facts))
    why = Explainer(ctx, DEFINITIONS, said.sources)
    frame.figures(
        [
            figure
            for figure in (
                _answering(ctx, why, facts),
                _waits(ctx, why, facts),
                _failed(ctx, why, facts, chosen),
                _silent(ctx, why, facts),
                _parked(ctx, why, facts),
                _unsettled(ctx, why, facts),
            )
            if figure
        ]
    )
    health_rows.rows(ctx, facts, chosen, _shown())
    with frame.part("Calls over time"):
        _calls(ctx, chosen, titles)
    health_tables.systems(ctx, facts.systems)
    with frame.part("Operations"):
        health_tables.operations(ctx, facts.operations)
    first, second = st.columns(2, gap="large")
    with first, frame.part("Messages"):
        health_tables.messages(ctx, chosen)
    with second, frame.part("Feeds"):
        health_tables.feeds(ctx, facts.feeds)
    first, second = st.columns(2, gap="large")
    with first, frame.part("Engines"):
        health_tables.engines(ctx, facts.engines)
    with second, frame.part("Scheduled jobs"):
        health_tables.jobs(ctx)
    frame.explain(ctx, DEFINITIONS)


def _shown() -> str | None:
    asked = st.query_params.get("show")
    if asked and asked not in SHOWN:
        st.warning("The address of this page asks for rows that do not exist here.", icon=":material/link_off:")
    return asked if asked in SHOWN else None


def _gather(ctx: Context, chosen: Filters, known: tuple[SystemHealth, ...]) -> Facts:
    facts, reports, now = Facts(), ctx.reports, ask.moment_of(ctx.moment.as_of)
    wanted, units, period = chosen.of("system"), chosen.units, chosen.period
    with frame.part("Systems"):
        found_systems = known if units is None else ask.systems(reports, units, as_of=now)
        facts.systems = tuple(one for one in found_systems if wanted is None or one.system in wanted)
    with frame.part("Waiting"):
        found = ask.waiting(reports, None, units, as_of=now)
        facts.waiting = found if wanted is None else found[found["system"].isin(wanted)]
    with frame.part("Feeds"):
        found = ask.feeds(ctx.feeds, as_of=now)
        facts.feeds = found if wanted is None else found[found["system"].isin(wanted)]
    with frame.part("Operations"):
        facts.operations, facts.before = ask.operations(
            reports, wanted, units, before=period.before.since, since=period.since, until=period.until
        )
    with frame.part("Messages"):
        facts.parked = ask.parked(reports, wanted, units, as_of=now)
        facts.unsettled = ask.unsettled(reports, wanted, units, as_of=now)
    with frame.part("Engines"):
        facts.engines = ask.engines(reports)
    return facts


def is_running(ctx: Context, facts: Facts) -> bool | None:
    """Whether an engine is alive; None while a past is produced, when engines live on another clock."""
    if ctx.moment.begins_at is not None or facts.engines is None:
        return None
    return bool(facts.engines["is_alive"].any())


def _answer(ctx: Context, facts: Facts) -> str:
    now, parts = ctx.moment.as_of, []
    is_idle = is_running(ctx, facts) is False
    if is_idle:
        parts.append("No engine is running: nothing moves.")
    away = [one for one in facts.systems if one.state(now) not in {"answering", "failing"}]
    if not away:
        verb = "answered when last asked" if is_idle else "answers" if len(facts.systems) == 1 else "answer"
        parts.append(
            f"All {count(len(facts.systems), 'system')} {verb}."
            if len(facts.systems) > 1
            else f"{plain(facts.systems[0].title)} {verb}."
        )
    never = [one for one in away if one.state(now) == "never reached" and not one.waiting]
    if len(never) > 1:  # one sentence, not one for each
        parts.append("No system has ever been reached." if len(never) == len(facts.systems) else f"{', '.join(plain(one.title) for one in never)} have never been reached.")  # fmt: skip
        away = [one for one in away if one not in never]
    for one in away:
        since = f" for {duration((now - one.breaker_since).total_seconds())}" if one.breaker == "open" else ""
        behind = f": {_behind(one)}" if one.waiting else "; nothing waits for it"
        parts.append(f"{plain(one.title)} is {one.state(now)}{since}{behind}.".replace("is asked", "has asked"))
    others = [one for one in facts.systems if one.waiting and one not in away]
    if others:
        most = max(others, key=lambda one: one.waiting_value)
        parts.append(f"Most waits for {plain(most.title)}: {_behind(most)}.")
    elif not any(one.waiting for one in facts.systems):
        parts.append("No document waits for a system.")
    if facts.parked is not None and len(facts.parked):
        parts.append(f"{count(len(facts.parked), 'message')} could not be read.")
    return " ".join(parts)


def _behind(one: SystemHealth) -> str:
    due = f", {one.waiting_due_soon:,} due within two days" if one.waiting_due_soon else ", none due within two days"
    return f"{count(one.waiting, 'document')} worth {money_short(one.waiting_value)}{due}"


# -- the six figures --------------------------------------------------------------------------------------------------------


def _answering(ctx: Context, why: Explainer, facts: Facts) -> Figure:
    fine = [one for one in facts.systems if one.state(ctx.moment.as_of) == "answering"]
    running = is_running(ctx, facts)
    alive = 0 if facts.engines is None else int(facts.engines["is_alive"].sum())
    return Figure(
        "Systems that answer",
        f"{len(fine)} of {len(facts.systems)}",
        n="no engine runs" if running is False else count(alive, "engine") + " alive" if running else "",
        target="target: all",
        link=partial(
            ctx.link,
            URL_PATH,
            f"Show {count(len(facts.systems) - len(fine), 'other')}",
            show="systems",
            system=_systems(),
        )
        if len(fine) < len(facts.systems)
        else None,
        explained=why(
            "answering", "Answering", "count of systems that answer / systems connected", len(facts.systems), "system"
        ),
    )


def _systems() -> list[str]:
    return st.query_params.get_all("system")


def _waits(ctx: Context, why: Explainer, facts: Facts) -> Figure | None:
    rows = facts.waiting
    if rows is None:
        return None
    single = rows.drop_duplicates("document_id")
    value = sum(single["group_amount"].dropna(), start=0)
    return Figure(
        "Waits for a system",
        money_short(value),
        n=f"oldest {duration(rows['age_s'].max())}" if len(rows) else "nothing waits",
        target="target: none",
        link=partial(ctx.link, URL_PATH, f"Show {count(len(single), 'document')}", show="waiting", system=_systems())
        if len(rows)
        else None,
        explained=why(
            "waiting",
            "Waits for a system",
            "sum of the values in group currency, each document once",
            len(single),
            "document",
        ),
    )


def _failed(ctx: Context, why: Explainer, facts: Facts, chosen: Filters) -> Figure | None:
    if facts.operations is None or facts.before is None:
        return None
    now, before = ask.calls(facts.operations), facts.before
    points = (
        round((now.failed_share - before.failed_share) * 100, 1)
        if now.failed_share is not None and before.failed_share is not None
        else 0.0
    )
    return Figure(
        "Failed calls",
        percent(now.failed_share, digits=1 if (now.failed_share or 0) >= 0.001 else 2),
        n=f"{now.failed:,} of {count(now.attempts, 'call')}",
        change=f"{points:+.1f} points" if points else "",
        better=points < 0 if points else None,
        link=partial(ctx.link, URL_PATH, f"Show {count(now.failed, 'call')}", show="failed", system=_systems())
        if now.failed
        else None,
        help=f"Technical failures, {chosen.period.name}; a refusal is an answer.",
        explained=why(
            "failed",
            "Failed calls",
            "calls without a business answer / calls",
            now.attempts,
            "call",
            period=chosen.period,
        ),
    )


def _silent(ctx: Context, why: Explainer, facts: Facts) -> Figure | None:
    if facts.feeds is None:
        return None
    silent = facts.feeds[facts.feeds["is_silent"].astype(bool)]
    return Figure(
        "Silent feeds",
        f"{len(silent)} of {len(facts.feeds)}",
        n=f"longest {duration(silent['age_s'].max())}" if len(silent) else "all read in time",
        target="target: 0",
        link=partial(ctx.link, URL_PATH, f"Show {count(len(silent), 'feed')}", show="feeds", system=_systems())
        if len(silent)
        else None,
        explained=why("silent", "Silent feed", "count of silent feeds / feeds", len(facts.feeds), "feed"),
    )


def _parked(ctx: Context, why: Explainer, facts: Facts) -> Figure | None:
    if facts.parked is None:
        return None
    return Figure(
        "Messages not readable",
        f"{len(facts.parked):,}",
        n=f"oldest {duration(facts.parked['age_s'].max())}" if len(facts.parked) else "all understood",
        target="target: 0",
        link=partial(
            ctx.link, URL_PATH, f"Show {count(len(facts.parked), 'message')}", show="parked", system=_systems()
        )
        if len(facts.parked)
        else None,
        explained=why("parked", "Messages", "count of messages that are parked", len(facts.parked), "message"),
    )


def _unsettled(ctx: Context, why: Explainer, facts: Facts) -> Figure | None:
    if facts.unsettled is None:
        return None
    return Figure(
        "Sent, no answer",
        f"{len(facts.unsettled):,}",
        n=f"longest {duration(facts.unsettled['age_s'].max())}" if len(facts.unsettled) else "all answered",
        target="target: 0",
        link=partial(
            ctx.link, URL_PATH, f"Show {count(len(facts.unsettled), 'call')}", show="unsettled", system=_systems()
        )
        if len(facts.unsettled)
        else None,
        explained=why("unsettled", "Sent, no answer", "count of calls", len(facts.unsettled), "call"),
    )


# -- calls over time ------------------------------------------------------------------------------------------------------------


def _calls(ctx: Context, chosen: Filters, titles: dict[str, str]) -> None:
    found, bucket_s = ask.calls_over_time(
        ctx.reports, chosen.of("system"), chosen.units, since=chosen.period.since, until=chosen.period.until
    )
    if found.empty:
        # No call is no good news: an engine may stand still, or nothing is connected.
        st.info(f"No call was made {chosen.period.within}.", icon=":material/phone_disabled:")
        return
    shares = [failed / attempts for failed, attempts in zip(found["failed"], found["attempts"], strict=True)]
    shown = found.assign(
        title=[titles.get(name, system(name)) for name in found["system"]],
        at=pd.to_datetime(found["began_at"], utc=True).dt.tz_convert(ctx.zone.key),
        share=shares,
    )
    shown["hover"] = [
        f"{row.title}, {duration(bucket_s)} from {when(row.began_at, ctx.zone)}: {row.failed:,} of {count(row.attempts, 'call')} failed ({percent(row.share)})"
        for row in shown.itertuples()
    ]
    figure = charts_spread.matrix(
        shown,
        row="title",
        at="at",
        share="share",
        hover="hover",
        order=sorted(set(shown["title"])),
        style=charts.look(dark=ctx.dark),
    )
    table = shown[["title", "at", "attempts", "failed", "share"]].rename(
        columns={"title": "System", "at": "From", "attempts": "Calls", "failed": "Failed", "share": "Share"}
    )
    note = f"Each cell: {duration(bucket_s)} of calls to a system; green none failed, the darker orange the larger the share that failed, empty no call."
    frame.chart(
        figure,
        _finding(ctx, shown, bucket_s),
        table,
        key="health.calls",
        note=note,
        exported=frame.Exported(
            ctx, f"Calls and failed calls by system and {duration(bucket_s)}, {chosen.period.name}", "calls-over-time"
        ),
    )


def _finding(ctx: Context, shown: pd.DataFrame, bucket_s: int) -> str:
    failed: Sequence[Any] = shown.groupby("title")["failed"].sum().sort_values(ascending=False)  # type: ignore[assignment]
    total = int(shown["failed"].sum())
    if not total:
        return f"None of {count(int(shown['attempts'].sum()), 'call')} failed"
    most = failed.index[0]  # type: ignore[attr-defined]
    worst = shown[shown["title"] == most].sort_values("failed", ascending=False).iloc[0]
    return f"{plain(most)} had {failed.iloc[0]:,} of {total:,} failed calls, {worst['failed']:,} of them in the {duration(bucket_s)} from {when(worst['began_at'], ctx.zone)}"  # type: ignore[attr-defined]
