"""Three questions on one screen: who approved what, when did it change, how was it finally posted. Beside them what people asked
for, what the controls found and what was let pass, the configuration in force, and whether the record is whole. Changes nothing.
"""

from collections.abc import Callable
from functools import partial
from uuid import UUID

import streamlit as st

from pages import audit_controls, audit_document, audit_lists, audit_record, charts, filters, frame
from pages.context import Context
from pages.filters import Filters
from pages.format import count, percent, plain, visible, when
from pages.frame import Definition, Explainer, Figure, Said
from sync_engine.control.roles import Role
from sync_engine.insight.record import RecordCheck
from sync_engine.insight.reports import audit as ask
from sync_engine.insight.reports.audit import Summary

TITLE = "Audit"
QUESTION = "Who approved what, when did it change, and how was it finally posted?"
URL_PATH = "audit"
# Not procurement analysts: what single people did and when is for those with a duty to control it (PRODUCT.md 4.10).
ROLES = frozenset({Role.AUDITOR, Role.FINANCE_LEADER, Role.FINANCE_OPERATIONS, Role.INTEGRATION_SUPPORT})
SECTION = "Look up"
ICON = ":material/fact_check:"
LACKS = "sessions, commands and controls: an audit looks at what was done here"

LISTS = {
    "decisions": "Who approved what",
    "requests": "What people asked for",
    "controls": "Controls",
    "overridden": "Let pass",
    "configuration": "Configuration",
    "integrity": "Is the record whole?",
}
DRAWN: dict[str, Callable[[Context, Filters], None]] = {
    "decisions": audit_lists.decisions,
    "requests": audit_lists.requests,
    "controls": audit_controls.controls,
    "overridden": audit_controls.overridden,
    "configuration": audit_record.configuration,
    "integrity": audit_record.integrity,
}
EXTRA = ("q", "only", "control", "document")
"""What else this page keeps in its address; "Clear" drops it too."""

DEFINITIONS = (
    Definition("Decisions", "approvals and refusals of requisitions, change orders and invoice variances, and contradictions between systems; one row each", "documents of the business units you see", "recorded in the period; a search looks through all time", left_out="nothing"),
    Definition("Decided by", "the people who decided, as the approval tool or procurement named them; a decision procurement only reported carries who rejected there, where it said so", "decisions", "recorded in the period", left_out="nothing"),
    Definition("Changed after", "the system a document comes from sent a new version of it after the decision; what the hub adds (ERP numbers, cost-centre context) is no such change", "decisions", "recorded in the period, changed at any time since", left_out="versions the hub wrote"),
    Definition("Finally posted", "what the ledger accepted, with the ERP's numbers for the orders, invoices and accounting documents of the same journey", "decisions", "as it stands now", left_out="nothing"),
    Definition("Requests of people", "everything somebody asked the engine to do or took away, with the roles they had then, the reason they gave and what became of it; refused ones stay", "your own requests, and those about business units you see", "asked in the period", left_out="nothing"),
    Definition("Controls", "documents a control looked at, and those it objected to at least once; a document counts once per control. The approval threshold (and the missing contract with it) does not stop a document, it asks more people", "documents evaluated in the period", "evaluated and objected to in the period", left_out="waiting for goods"),
    Definition("Let pass", "an objection accepted by a person with a reason, or a match accepted in review; one row per decision", "objections", "decided in the period", left_out="nothing"),
    Definition("Record whole", "every recording says how many events it wrote, and every document which event was its last; all of them are counted again once a day, and what differs is an alert. Verifying computes the Merkle root of each recording anew from its events", "recordings of engines and imports, since the beginning", "as of the last check", left_out="imported logs that were forgotten on purpose"),
)  # fmt: skip


def render(ctx: Context) -> None:
    """The page."""
    said = frame.begin(ctx, QUESTION)
    chosen = filters.row(ctx)
    period = chosen.period
    now = ask.summary(ctx.reports, chosen.units, since=period.since, until=period.until)
    before = ask.summary(ctx.reports, chosen.units, since=period.before.since, until=period.before.until)
    checked = None
    with frame.part("Integrity"):
        checked = ask.last_check(ctx.reports)
    if now.first_at is None:
        said.answer("Nothing has been recorded yet.")
        frame.no_data(ctx, said)
        frame.explain(ctx, DEFINITIONS)
        return
    said.answer(_answer(ctx, chosen, now, checked))
    document_id = _document()
    if document_id is not None:
        with frame.part("Document"):
            audit_document.draw(ctx, document_id)
    frame.figures(_figures(ctx, said, chosen, now, before, checked))
    with frame.part("Controls"):
        _controls(ctx, chosen)
    shown = _list()
    with frame.part(LISTS[shown]):
        DRAWN[shown](ctx, chosen)
    st.caption("This page changes nothing. Taking a list away is itself noted.")
    frame.refresh_when_moved(ctx)
    frame.explain(ctx, DEFINITIONS)


def _document() -> UUID | None:
    asked = st.query_params.get("document")
    if not asked:
        return None
    try:
        return UUID(asked)
    except ValueError:
        st.warning(
            "The address of this page names a document in a way that cannot be read.", icon=":material/link_off:"
        )
        return None


def _answer(ctx: Context, chosen: Filters, now: Summary, checked: RecordCheck | None) -> str:
    if now.decisions:
        after = (
            f"{count(now.changed_after, 'document')} {'was' if now.changed_after == 1 else 'were'} changed after the decision"
            if now.changed_after
            else "none was changed after it"
        )
        parts = [
            f"{count(now.decisions, 'decision')} {chosen.period.within}, {percent(now.approved / now.decisions, digits=0)} of them to approve; {after}."
        ]
    else:
        parts = [f"Nothing was decided {chosen.period.within}."]
    parts.append(
        f"People let {now.overridden:,} pass against a control." if now.overridden else "No control was overridden."
    )
    if checked is not None and checked.recordings:
        parts.append(f"{audit_record.verdict(checked)[:-1]}, as counted on {when(checked.checked_at, ctx.zone)}.")
    return " ".join(parts)


def _figures(
    ctx: Context, said: Said, chosen: Filters, now: Summary, before: Summary, checked: RecordCheck | None
) -> list[Figure]:
    is_comparable = now.first_at is not None and now.first_at <= chosen.period.before.since

    def link(label: str, shown: str, only: str | None = None) -> partial[None]:
        return partial(ctx.link, URL_PATH, label, show=shown, only=only)

    why = Explainer(ctx, DEFINITIONS, said.sources, chosen.period)
    found = [
        Figure("Decisions", f"{now.decisions:,}", n=f"{now.approved:,} to approve", link=link(f"Show {now.decisions:,}", "decisions") if now.decisions else None, explained=why("decisions", "Decisions", "count of decisions", now.decisions, "decision")),
        Figure(
            "Changed after the decision",
            f"{now.changed_after:,}" if now.decisions else "no data",
            n=f"of {count(now.decisions, 'decision')}",
            target="target: 0",
            link=link(f"Show {now.changed_after:,}", "decisions", "changed") if now.changed_after else None,
            explained=why("changed", "Changed after", "count of decisions whose document its source changed later", now.decisions, "decision"),
        ),
        Figure(
            "Let pass against a control",
            f"{now.overridden:,}",
            n="by a person, with a reason",
            change=f"{now.overridden - before.overridden:+,}" if is_comparable and now.overridden != before.overridden else "",
            better=now.overridden < before.overridden if is_comparable else None,
            link=link(f"Show {now.overridden:,}", "overridden") if now.overridden else None,
            explained=why("overridden", "Let pass", "count of objections that a person accepted", now.overridden, "objection"),
        ),
        Figure("Requests of people", f"{now.requests:,}", n=f"{now.requests_waiting:,} not carried out yet" if now.requests_waiting else "", link=link(f"Show {now.requests:,}", "requests") if now.requests else None, explained=why("requests", "Requests of people", "count of requests", now.requests, "request")),
        Figure(
            "Requests not done",
            f"{now.requests_not_done:,}" if now.requests else "no data",
            n=f"of {count(now.requests, 'request')}: denied, in conflict or failed",
            link=link(f"Show {now.requests_not_done:,}", "requests", "not_done") if now.requests_not_done else None,
            explained=why("not-done", "Requests of people", "count of requests that were denied, in conflict or failed", now.requests, "request"),
        ),
    ]  # fmt: skip
    if ctx.person.sees_all:
        found.append(
            Figure(
                "Recordings that differ",
                f"{checked.differing:,}" if checked is not None and checked.recordings else "no data",
                n=f"of {checked.recordings:,}; {checked.events_there:,} of {count(checked.events_said, 'event')}, {when(checked.checked_at, ctx.zone)}"
                if checked is not None
                else "not counted again yet",
                target="target: 0",
                link=link("Is the record whole?", "integrity"),
                explained=why(
                    "whole",
                    "Record whole",
                    "count of recordings whose events are not as many as they say",
                    checked.recordings if checked is not None else 0,
                    "recording",
                ),
            )
        )
    return found


def _controls(ctx: Context, chosen: Filters) -> None:
    found = ask.controls(ctx.reports, chosen.units, since=chosen.period.since, until=chosen.period.until)
    found = found[found["evaluated"] > 0]
    if found.empty:
        return
    shown = found.assign(
        text=[
            f"{row.objected:,} of {row.evaluated:,}"
            + (f", {row.overridden:,} let pass" if row.overridden and not ctx.narrow else "")
            for row in found.itertuples()
        ],
        hover=[
            f"{row.control}: looked at {count(row.evaluated, 'document')}, objected to {row.objected:,} ({percent(row.share)}), people let {row.overridden:,} pass"
            for row in found.itertuples()
        ],
    )
    overridden = found.sort_values("overridden", ascending=False).iloc[0]
    stopped = found[found["control"] != audit_controls.ROUTES].sort_values("objected", ascending=False)
    if overridden["overridden"]:
        finding = f"People let {found['overridden'].sum():,} pass against a control, {overridden['overridden']:,} of them against {visible(overridden['control'])[0].lower()}{visible(overridden['control'])[1:]}"
    elif len(stopped) and stopped.iloc[0]["objected"]:
        finding = f"{visible(stopped.iloc[0]['control'])} objected most: {stopped.iloc[0]['objected']:,} of {count(stopped.iloc[0]['evaluated'], 'document')}"
    else:
        finding = f"No control objected to any of {count(int(found['evaluated'].max()), 'document')}"
    table = found[["control", "evaluated", "passed", "objected", "overridden"]].rename(
        columns={
            "control": "Control",
            "evaluated": "Looked at",
            "passed": "Passed",
            "objected": "Objected",
            "overridden": "Let pass",
        }
    )
    figure = charts.bars(
        shown,
        label="control",
        value="objected",
        text="text",
        hover="hover",
        style=charts.look(dark=ctx.dark),
        colour=charts.CATEGORY["policy"],
    )
    frame.chart(
        figure,
        plain(finding).replace("\\", ""),
        table,
        key="audit.controls.chart",
        note="Documents each control objected to, of those it looked at; the approval threshold asks more people instead of stopping.",
        exported=frame.Exported(
            ctx, f"Documents that controls looked at and objected to, {chosen.period.name}", "controls"
        ),
    )


def _list() -> str:
    asked = st.query_params.get("show")
    if asked and asked not in LISTS:
        st.warning("The address of this page asks for a list that does not exist here.", icon=":material/link_off:")
    shown = asked if asked in LISTS else "decisions"
    key = "audit.show"
    st.session_state[key] = shown
    st.segmented_control(
        "List",
        list(LISTS),
        key=key,
        format_func=LISTS.__getitem__,
        required=True,
        on_change=_choose_list,
        label_visibility="collapsed",
    )
    return shown


def _choose_list() -> None:
    filters.put("show", st.session_state["audit.show"])
    for name in ("only", "control"):
        filters.put(name, None)
