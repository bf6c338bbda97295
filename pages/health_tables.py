"""The tables of integration health: systems, operations, feeds, messages, engines and jobs."""

import pandas as pd
import streamlit as st

from pages import frame
from pages.context import Context
from pages.filters import Filters
from pages.format import count, plain, system, visible, when, words
from pages.tables import Column, work_table
from sync_engine.insight.reports import health as ask
from sync_engine.insight.reports import prices
from sync_engine.insight.reports.health import SystemHealth

PATH = "health"
OTHERS_SAID = "Shown to people who see every business unit: it may quote any document."

SYSTEMS = (
    Column("title", "System"),
    Column("state", "State", "status", on_card=True, width=125),
    Column("waiting", "Documents waiting", "count", on_card=True),
    Column("waiting_value", "Value waiting (EUR)", "group_money", on_card=True),
    Column("oldest_s", "Oldest waits", "age"),
    Column("waiting_due_soon", "Due in 2 days", "count"),
    Column(
        "drain_s",
        "Drains in",
        "age",
        help="What waits, at the system's limit, once it answers; what comes in meanwhile is left out.",
    ),
    Column(
        "drain_calls",
        "Calls to drain",
        "count",
        help="The steps before each document until somebody is waited for, by the calls such steps took lately.",
    ),
    Column("used", "Calls used", help="Of the quota the system told us; where it tells none, in the last hour."),
    Column("headroom", "Calls left", "count"),
    Column("source", "Limit known from"),
    Column("last_success_at", "Last good contact", "time"),
    Column("last_failure_at", "Last failure", "time"),
    Column("last_error", "What it said then", width=260),
    Column("pause", "Pause"),
    Column("quota", "Quota", help="As the system last stated it."),
    Column("pace", "Our pace", help="Calls a second we allow ourselves, shared by all engines."),
    Column("in_call", "In a call", "count"),
    Column("feeds", "Feeds", "count"),
    Column("show", "", "link", display="Show what waits"),
)
OPERATIONS = (
    Column("where", "System"),
    Column("name", "Operation"),
    Column("does", "Kind"),
    Column("attempts", "Calls (n)", "count", on_card=True),
    Column("failed_share", "Failed", "share", on_card=True),
    Column("failed", "Failed (n)", "count"),
    Column("refused", "Refused", "count", help="A business answer: no."),
    Column("throttled", "429", "count", help="Asked to slow down."),
    Column("repeats", "Repeats", "count"),
    Column("p50_s", "P50", "latency", help="Half of the calls took no longer."),
    Column("p95_s", "P95", "latency", on_card=True),
    Column("p99_s", "P99", "latency"),
    Column("last_at", "Last", "time"),
    Column("show", "", "link", display="Show failed"),
)
FEEDS = (
    Column("where", "System"),
    Column("feed", "Feed", "words"),
    Column("standing", "State", "status", on_card=True, width=80),
    Column("age_s", "Read", "age", on_card=True, help="How long ago it was last read without an error."),
    Column(
        "complete_until",
        "Seen everything up to",
        "time",
        on_card=True,
        help="The watermark, by the source's own clock.",
    ),
    Column("silent_after_s", "May be silent", "age"),
    Column("consecutive_failures", "Failures in a row", "count"),
    Column("last_error", "Last error", width=240),
)
MESSAGES = (
    Column("where", "System"),
    Column("received", "Received", "count", on_card=True),
    Column("applied", "Applied", "count", on_card=True),
    Column("unchanged", "Unchanged", "count", help="Told what we knew."),
    Column("superseded", "Superseded", "count", help="Older than what we knew; kept as evidence."),
    Column("ignored", "Ignored", "count", help="None of our business: drafts, our own decisions coming back."),
    Column("parked", "Parked", "count", on_card=True, help="Nobody could read it."),
    Column("waiting", "Waiting", "count"),
)
ENGINES = (
    Column("engine_id", "Engine", "id"),
    Column("standing", "State", "status", on_card=True, width=110),
    Column("last_seen_at", "Last heard of", "time", on_card=True),
    Column("started_at", "Started", "time"),
    Column("release", "Release", on_card=True),
)
JOBS = (
    Column("job_id", "Job", "id"),
    Column("outcome", "Last outcome", "status", on_card=True, width=100),
    Column("started_at", "Last run", "time", on_card=True),
    Column("took_s", "Took", "latency"),
    Column("next_run_at", "Next run", "time", on_card=True),
    Column("runs", "Runs", "count", help="Since the engine started; only for jobs that every engine runs."),
    Column("failures", "Failures", "count"),
    Column("detail", "What came of it", width=220),
    Column("engine_id", "Engine", "id"),
)


def heading_of(text: str) -> None:
    """A table's heading."""
    st.subheader(text, anchor=False)


def systems(
    ctx: Context,
    found: tuple[SystemHealth, ...],
    *,
    key: str = "health.systems",
    heading: str = "Systems, and what waits behind each",
) -> None:
    """Every system with its state, its last contact, its limits, and what waits for it."""
    heading_of(heading)
    now = ctx.moment.as_of
    asked = prices.asked(ctx.reports, None, as_of=ask.moment_of(now))
    drains, used = prices.forecasts(asked, found), asked.last_hour
    rooms = {one.system: prices.headroom(one, used.get(one.system, 0)) for one in found}
    shown = pd.DataFrame(
        [
            {
                "system": one.system,
                "title": one.title,
                "state": one.state(now),
                "waiting": one.waiting,
                "waiting_value": one.waiting_value,
                "oldest_s": None if one.oldest_at is None else (now - one.oldest_at).total_seconds(),
                "waiting_due_soon": one.waiting_due_soon,
                "last_success_at": one.last_success_at,
                "last_failure_at": one.last_failure_at,
                "last_error": one.last_error
                or ("" if ctx.person.sees_all else OTHERS_SAID if one.last_failure_at else ""),
                "pause": _pause(ctx, one),
                "drain_s": drains[one.system].seconds if one.system in drains else None,
                "drain_calls": round(drains[one.system].calls) if one.system in drains else None,
                "used": f"{rooms[one.system].used:,} of {rooms[one.system].limit:,}",
                "headroom": rooms[one.system].remaining,
                "source": rooms[one.system].source,
                "quota": _quota(ctx, one),
                "pace": f"{one.requests_per_s:g} a second",
                "in_call": one.in_call,
                "feeds": one.feeds,
                "show": ctx.href(PATH, show="waiting", system=one.system) if one.waiting else None,
            }
            for one in found
        ]
    )
    if shown.empty:
        frame.nothing_happened("Every system answers.")
        return
    work_table(
        ctx, shown, SYSTEMS, key=key, row_id="system", noun="system", title=lambda row: f"**{plain(row['title'])}**",
        card_action=lambda row: ctx.link(PATH, f"Show {count(row['waiting'], 'document')}", show="waiting", system=str(row["system"])) if row["waiting"] else None,
    )  # fmt: skip
    outage = [one for one in found if one.state(now) != "answering"]
    if outage and "exceptions" in ctx.links:
        ctx.link(
            "exceptions",
            "Open the exceptions of outages, to reprocess them",
            icon=":material/replay:",
            category="external_outage",
        )


def _pause(ctx: Context, one: SystemHealth) -> str:
    if one.breaker == "open":
        return f"breaker open since {when(one.breaker_since, ctx.zone)}; one probe at a time"
    if one.paused_until is not None and one.paused_until > ctx.moment.as_of:
        return f"until {when(one.paused_until, ctx.zone)}"
    return ""


def _quota(ctx: Context, one: SystemHealth) -> str:
    if one.quota_limit is None or one.quota_remaining is None:
        return "not stated"
    reset = f", again full {when(one.quota_reset_at, ctx.zone)}" if one.quota_reset_at else ""
    return f"{one.quota_remaining:,} of {one.quota_limit:,} left{reset}"


EFFECTS = {"read": "reads", "create": "creates", "set": "sets", "look_up": "looks up"}


def operations(ctx: Context, found: pd.DataFrame | None) -> None:
    """Every operation with how it ended and how long it took."""
    heading_of("Operations, most failures first")
    if found is None or found.empty:
        st.caption("Nothing was called in this period.")
        return
    if not ctx.person.sees_all:
        st.caption("Calls about documents of your business units; the reading of feeds belongs to no unit.")
    shown = found.assign(
        where=[system(name) for name in found["system"]],
        name=[words(name.removeprefix("feed:")) for name in found["operation"]],
        does=[
            "reads a feed" if name.startswith("feed:") else EFFECTS.get(effect, effect)
            for name, effect in zip(found["operation"], found["effect"], strict=True)
        ],
        row=[f"{one} {name}" for one, name in zip(found["system"], found["operation"], strict=True)],
        show=[
            ctx.href(PATH, show="failed", system=one, operation=name) if n else None
            for one, name, n in zip(found["system"], found["operation"], found["failed"], strict=True)
        ],
    )
    work_table(
        ctx, shown, OPERATIONS, key="health.operations", row_id="row", noun="operation", title=lambda row: f"**{plain(row['where'])}**: {plain(row['name'])}",
        card_action=lambda row: ctx.link(PATH, f"Show {count(row['failed'], 'failed call')}", show="failed", system=str(row["system"]), operation=str(row["operation"])) if row["failed"] else None,
    )  # fmt: skip


def feeds(
    ctx: Context,
    found: pd.DataFrame | None,
    *,
    key: str = "health.feeds",
    heading: str = "Feeds, and how far they have been read",
) -> None:
    """Every feed with its watermark and its silence."""
    heading_of(heading)
    if found is None or found.empty:
        st.caption("No feed.")
        return
    shown = found.assign(
        where=found["title"],
        standing=["silent" if one else "read" for one in found["is_silent"]],
        row=[f"{one} {name}" for one, name in zip(found["system"], found["feed"], strict=True)],
    )
    work_table(
        ctx,
        shown,
        FEEDS,
        key=key,
        row_id="row",
        noun="feed",
        title=lambda row: f"**{plain(row['where'])}**: {plain(words(row['feed']))}",
    )


def messages(ctx: Context, chosen: Filters) -> None:
    """What came in, and what became of it."""
    heading_of("Messages, and what became of them")
    found = ask.messages(ctx.reports, since=chosen.period.since, until=chosen.period.until)
    wanted = chosen.of("system")
    found = found if wanted is None else found[found["system"].isin(wanted)]
    if found.empty:
        st.caption("Nothing came in during this period.")
        return
    if not ctx.person.sees_all:
        st.caption("Messages about documents of your business units.")
    shown = found.assign(where=[system(name) for name in found["system"]])
    work_table(
        ctx,
        shown,
        MESSAGES,
        key="health.messages",
        row_id="system",
        noun="system",
        title=lambda row: f"**{plain(row['where'])}**",
    )


def engines(ctx: Context, found: pd.DataFrame | None) -> None:
    """Who does the work."""
    heading_of("Engines")
    if found is None or found.empty:
        st.warning("No engine has ever run here: `finsync engine` starts one.", icon=":material/power_off:")
        return
    shown = found.assign(
        standing=[
            "alive"
            if row["is_alive"]
            else "stopped"
            if row["stopped_at"] is not None and not pd.isna(row["stopped_at"])
            else "not heard of"
            for row in found.to_dict("records")
        ]
    )
    work_table(
        ctx,
        shown,
        ENGINES,
        key="health.engines",
        row_id="engine_id",
        noun="engine",
        title=lambda row: f"**{plain(visible(row['engine_id']))}**",
    )


def jobs(ctx: Context) -> None:
    """What runs by the clock."""
    heading_of("Scheduled jobs")
    found = ask.jobs(ctx.reports)
    if found.empty:
        st.caption("No job has run yet: jobs run in an engine, not while a past is produced.")
        return
    late = found[found["outcome"].isin(["failed", "lost"])]
    if len(late):
        st.warning(f"{count(len(late), 'job')} did not end well the last time.", icon=":material/error:")
    work_table(
        ctx,
        found,
        JOBS,
        key="health.jobs",
        row_id="job_id",
        noun="job",
        title=lambda row: f"**{plain(visible(row['job_id']))}**",
    )
