"""Two lists of the audit page, each with its evidence: the configuration in force, and whether the record is whole."""

import pandas as pd
import streamlit as st

from pages import evidence, frame
from pages.audit_lists import asked_with, card_title, population
from pages.context import Context
from pages.evidence import Evidence
from pages.filters import Filters
from pages.format import count, plain, when
from pages.tables import Column, copyable, work_table
from sync_engine.insight.reports import audit as ask
from sync_engine.insight.reports.audit import Integrity

CONFIGURATION = (
    Column("kind", "What"),
    Column("version", "Version", "id"),
    Column("standing", "State", "status", on_card=True, width=105),
    Column("promoted_at", "In force since", "time", on_card=True),
    Column("promoted_by", "Put in force by", on_card=True),
    Column("superseded_at", "Until", "time"),
    Column("sha256", "SHA-256", "id", width=260),
)
DIFFERING = (
    Column("recording_id", "Recording", "id"),
    Column("recorded_at", "When", "time", on_card=True),
    Column("engine_id", "Engine", "id"),
    Column("events_said", "Events it says", "count", on_card=True),
    Column("events_there", "Events there", "count", on_card=True),
)
GAPS = (
    Column("number", "Document", "id"),
    Column("document_type", "Type", "words"),
    Column("business_unit", "Unit"),
    Column("events_said", "Events it says", "count", on_card=True),
    Column("events_there", "Events there", "count", on_card=True),
)


def configuration(ctx: Context, _chosen: Filters) -> None:
    rows = ask.config_versions(ctx.reports)
    if rows.empty:
        st.info(
            "No configuration has been put in force yet; an engine does that when it starts.", icon=":material/tune:"
        )
        return
    shown = rows.assign(standing=["in force" if pd.isna(until) else "superseded" for until in rows["superseded_at"]])
    work_table(
        ctx,
        shown,
        CONFIGURATION,
        key="audit.configuration",
        row_id="version_id",
        noun="version",
        title=lambda row: f"**{plain(row['kind'])}** · {plain(row['version'])}",
    )
    taken = Evidence(
        "report.config_versions",
        "nothing",
        "Every version of the configuration that was ever in force",
        shown,
        evidence.columns_of(CONFIGURATION),
        sum_of="",
    )
    evidence.offer(ctx, taken, key="audit.configuration.evidence", noun="version")


def integrity(ctx: Context, chosen: Filters) -> None:
    """Recordings against events, gaps in histories, who could rewrite, and the roots computed anew."""
    if not ctx.person.sees_all:
        frame.no_permission(
            "Whether the record is whole can only be judged by somebody who sees every business unit (application role “unit:*”): to you, events of other units would look lost."
        )
        return
    since, until = chosen.period.since, chosen.period.until
    whole = ask.integrity(ctx.reports, since=since, until=until)
    differing = ask.differing_recordings(ctx.reports, since=since, until=until)
    gaps = ask.history_gaps(ctx.reports)
    rights = ask.rights_to_rewrite(ctx.reports)
    if whole is None or not whole.recordings:
        st.info(f"Nothing was recorded {chosen.period.within}: no data to judge.", icon=":material/inbox:")
        return
    st.markdown(
        f"{count(whole.recordings, 'recording')} say that they hold {count(whole.events_said, 'event')}; {whole.events_there:,} are there, and {count(whole.differing, 'recording')} {'differs' if whole.differing == 1 else 'differ'}. "
        f"{count(len(gaps), 'document')} {'has' if len(gaps) == 1 else 'have'} a gap in the history. "
        + ("None of the program's roles may change or remove an event, a call, a message or a payload." if not rights else "The program's roles could rewrite: " + ", ".join(f"{row['role']} {row['privilege'].lower()} {row['relation']}" for row in rights) + ".")
    )  # fmt: skip
    if len(differing):
        work_table(
            ctx,
            differing,
            DIFFERING,
            key="audit.differing",
            row_id="recording_id",
            noun="recording",
            title=lambda row: f"**{plain(row['recording_id'])}**",
        )
    if len(gaps):
        work_table(ctx, gaps, GAPS, key="audit.gaps", row_id="document_id", noun="document", title=card_title)
    if st.button(
        f"Verify the newest {min(whole.recordings, ask.MOST_VERIFIED):,} recordings now",
        icon=":material/fingerprint:",
        key="audit.verify",
    ):
        _verify(ctx, chosen)
    _totals(ctx, chosen, whole, len(gaps))


def _totals(ctx: Context, chosen: Filters, whole: Integrity, gaps: int) -> None:
    """The counts as evidence."""
    totals = pd.DataFrame(
        [
            {
                "recordings": whole.recordings,
                "said": whole.events_said,
                "there": whole.events_there,
                "differing": whole.differing,
                "gaps": gaps,
                "newest": whole.newest,
            }
        ]
    )
    named = [
        ("recordings", "Recordings"),
        ("said", "Events they say"),
        ("there", "Events there"),
        ("differing", "Recordings that differ"),
        ("gaps", "Documents with a gap"),
        ("newest", "Newest recording"),
    ]
    evidence.offer(
        ctx,
        Evidence(
            "report.integrity", asked_with(ctx, chosen), population("Recordings made", chosen), totals, named, sum_of=""
        ),
        key="audit.integrity.evidence",
        noun="line",
    )


def _verify(ctx: Context, chosen: Filters) -> None:
    with st.spinner("Computing every root anew from the events as they are now"):
        done = ask.verify(ctx.reports, since=chosen.period.since, until=chosen.period.until)
    if done is None or done.newest is None:
        return
    span = f"{when(done.oldest, ctx.zone)} to {when(done.newest, ctx.zone)}"
    if not done.wrong:
        st.success(
            f"All {count(done.recordings, 'recording')} with {count(done.events, 'event')}, {span}, have the root they were recorded with.",
            icon=":material/verified:",
        )
        return
    st.error(
        f"{len(done.wrong):,} of {count(done.recordings, 'recording')}, {span}, no longer have the root they were recorded with.",
        icon=":material/gpp_bad:",
    )
    for recording_id in done.wrong[:20]:
        copyable("Recording", recording_id)
