"""Two lists of the audit page, each with its evidence: the configuration in force, and whether the record is whole."""

from dataclasses import dataclass
from datetime import datetime

import pandas as pd
import streamlit as st

from pages import evidence, frame
from pages.audit_lists import asked_with, card_title, population
from pages.context import Context
from pages.evidence import Evidence
from pages.filters import Filters
from pages.format import count, plain, when
from pages.tables import Column, copyable, work_table
from sync_engine.insight.record import RecordCheck
from sync_engine.insight.reports import audit as ask
from sync_engine.insight.reports.audit import Integrity, Verified

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


def verdict(checked: RecordCheck) -> str:
    """What the last check of the whole record says, in a sentence.

    >>> from datetime import UTC, datetime
    >>> verdict(RecordCheck(datetime(2026, 9, 3, tzinfo=UTC), 9, 40, 40, differing=0, gaps=0))
    'The record is whole.'
    >>> verdict(RecordCheck(datetime(2026, 9, 3, tzinfo=UTC), 9, 40, 38, differing=1, gaps=2))
    'The record is NOT whole: 1 recording differs from what it says, 2 documents have a gap in their history.'
    """
    if checked.is_whole:
        return "The record is whole."
    recordings = f"{count(checked.differing, 'recording')} {'differs' if checked.differing == 1 else 'differ'} from what {'it says' if checked.differing == 1 else 'they say'}"
    return f"The record is NOT whole: {recordings}, {_gaps(checked.gaps, 'their')}."


def integrity(ctx: Context, chosen: Filters) -> None:
    """What the last check of everything came to, who could rewrite; and, when asked, the period counted and computed anew."""
    if not ctx.person.sees_all:
        frame.no_permission(
            "Whether the record is whole can only be judged by somebody who sees every business unit (application role “unit:*”): to you, events of other units would look lost."
        )
        return
    checked = ask.last_check(ctx.reports)
    rights = ask.rights_to_rewrite(ctx.reports)
    st.markdown(
        (
            f"On {when(checked.checked_at, ctx.zone)} everything since the beginning was counted again. {count(checked.recordings, 'recording')} said that they held {count(checked.events_said, 'event')}; {checked.events_there:,} were there. {verdict(checked)} "
            if checked is not None
            else "Everything since the beginning is counted again once a day by an engine; that has not been done yet. "
        )
        + ("None of the program's roles may change or remove an event, a call, a message or a payload." if not rights else "The program's roles could rewrite: " + ", ".join(f"{row['role']} {row['privilege'].lower()} {row['relation']}" for row in rights) + ".")
    )  # fmt: skip
    # Reads every event of the period and the history of every document: done when somebody asks, and kept while they look at it.
    about = (chosen.period.name, chosen.period.since.date(), chosen.period.until.date())
    if st.button(
        f"Count and verify what was recorded {chosen.period.within} now",
        icon=":material/fingerprint:",
        key="audit.verify",
        help=f"Counts the events of every recording of the period and of every history, and computes the roots of the newest {ask.MOST_VERIFIED:,} recordings anew.",
    ):
        st.session_state[_COUNTED] = about, _count_anew(ctx, chosen)
    done = st.session_state.get(_COUNTED)
    if done is not None and done[0] == about:
        _say_counted(ctx, chosen, done[1])


_COUNTED = "audit.counted"


@dataclass(frozen=True, slots=True)
class _Counted:
    """The record of a period, counted and computed anew at `at`."""

    at: datetime
    whole: Integrity | None
    differing: pd.DataFrame
    gaps: pd.DataFrame
    verified: Verified | None


def _gaps(documents: int, whose: str) -> str:
    return f"{count(documents, 'document')} {'has' if documents == 1 else 'have'} a gap in {'its' if documents == 1 else whose} history"


def _count_anew(ctx: Context, chosen: Filters) -> _Counted:
    since, until = chosen.period.since, chosen.period.until
    with st.spinner(
        "Counting every recording and every history, and computing roots anew from the events as they are now"
    ):
        return _Counted(
            ctx.moment.as_of,
            ask.integrity(ctx.reports, since=since, until=until),
            ask.differing_recordings(ctx.reports, since=since, until=until),
            ask.history_gaps(ctx.reports),
            ask.verify(ctx.reports, since=since, until=until),
        )


def _say_counted(ctx: Context, chosen: Filters, counted: _Counted) -> None:
    whole, gaps = counted.whole, counted.gaps
    if whole is None or not whole.recordings:
        st.info(f"Nothing was recorded {chosen.period.within}: no data to judge.", icon=":material/inbox:")
        return
    st.markdown(
        f"Counted on {when(counted.at, ctx.zone)}: {count(whole.recordings, 'recording')} {chosen.period.within} say that they hold {count(whole.events_said, 'event')}; {whole.events_there:,} are there, and {count(whole.differing, 'recording')} {'differs' if whole.differing == 1 else 'differ'}. "
        f"{_gaps(len(gaps), 'their')}."
    )
    if len(counted.differing):
        work_table(
            ctx,
            counted.differing,
            DIFFERING,
            key="audit.differing",
            row_id="recording_id",
            noun="recording",
            title=lambda row: f"**{plain(row['recording_id'])}**",
        )
    if len(gaps):
        work_table(ctx, gaps, GAPS, key="audit.gaps", row_id="document_id", noun="document", title=card_title)
    _say_verified(ctx, counted.verified)
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


def _say_verified(ctx: Context, done: Verified | None) -> None:
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
