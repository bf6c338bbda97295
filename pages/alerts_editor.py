"""The editor of one alert rule: its parameters as a form, and beside it what the time machine says, before anything is saved.

A rule is saved by a command, with a reason; it becomes the next version, and the ones before stay. What was tried is what is
saved: a change after the trial has to be tried again.
"""

import re
from collections.abc import Mapping
from typing import Any
from uuid import UUID, uuid5

import pandas as pd
import streamlit as st
from pydantic import ValidationError

from pages.context import Context
from pages.format import NOTHING, count, day, money_short, percent, plain, visible, when
from pages.grids import grid
from sync_engine.configuration import digest
from sync_engine.control.commands import NotAllowed
from sync_engine.control.roles import Action
from sync_engine.insight.alerting.simulate import Answer, can_simulate
from sync_engine.insight.reports import Unanswered
from sync_engine.insight.reports import alerts as ask
from sync_engine.model.alerts import MEASURES, AlertRule, Measure, Parameter, Severity

COMMANDS = UUID("0e5f7a38-0d4c-5a0f-8a37-9d7f1c1b6e11")
TRIED = "alerts.tried"
SAID = "alerts.rule.said"
CALENDARS = {"unit": "The unit's own working hours", "always": "Day and night"}
GROUP_CURRENCY = "EUR"
LABELS = {"owner_team": "Owner", "impact": "What it costs when nobody looks", "runbook": "What to do"}
"""Fields of a rule that the form calls otherwise."""


def draw(ctx: Context, name: str, known: Any) -> None:
    """The editor; for whoever may not save, what the rule says.

    Args:
        ctx: Who looks.
        name: The rule's, or "new".
        known: The rule in force under that name; None for a new one.
    """
    st.subheader(plain(known.rule.title) if known else "A new rule", anchor=False)
    said = st.session_state.pop(SAID, None)
    if said:
        st.info(plain(said), icon=":material/info:")
    may = ctx.may(Action.SAVE_ALERT_RULE)
    if not may:
        st.caption(ctx.why_not(Action.SAVE_ALERT_RULE))
    left, right = st.columns([3, 2], gap="large")
    with left:
        key = f"alerts.rule.{name}.{known.version if known else 0}"
        given = _form(ctx, key, known.rule if known else None, may=may)
        rule, wrong = _read(given)
        if wrong:
            st.warning(plain(wrong), icon=":material/edit_note:")
    with right:
        if rule is not None:
            tried = _machine(ctx, rule)
            if may:
                _save(ctx, key, name, known, rule, tried)


def _read(given: Mapping[str, Any]) -> tuple[AlertRule | None, str]:
    """The form as a rule, or what is wrong with it."""
    try:
        return AlertRule.model_validate(dict(given)), ""
    except ValidationError as error:
        return None, _wrong(error)


def _wrong(error: ValidationError) -> str:
    """The first thing that is wrong with the form, by the label a person sees."""
    first = error.errors(include_url=False)[0]
    field = str(first["loc"][0]) if first["loc"] else ""
    label = LABELS.get(field, field.replace("_", " ").capitalize())
    if first["type"] == "string_too_short":
        return f"{label}: to be filled in, with {first['ctx']['min_length']} characters or more."
    said = str(first["msg"]).removeprefix("Value error, ")
    return f"{label}: {said}." if label else f"{said[:1].upper()}{said[1:]}."


# -- the form ---------------------------------------------------------------------------------------------------------------


def _form(ctx: Context, key: str, rule: AlertRule | None, *, may: bool) -> dict[str, Any]:
    names = list(MEASURES)
    off = {"disabled": not may}
    measure = MEASURES[
        st.selectbox("What it watches", names, index=names.index(rule.measure) if rule else 0, format_func=lambda one: MEASURES[one].title, key=f"{key}.measure", disabled=rule is not None or not may)
    ]  # fmt: skip
    key = f"{key}.{measure.name}"
    given: dict[str, Any] = {"measure": measure.name, "parameters": {}}
    given["title"] = st.text_input(
        "Title", rule.title if rule else measure.title, max_chars=120, key=f"{key}.title", **off
    )
    with st.container(horizontal=True, gap="small"):
        for one in measure.parameters:
            value = rule.parameters.get(one.name, one.default) if rule else one.default
            given["parameters"][one.name] = _parameter(one, value, f"{key}.p.{one.name}", disabled=not may)
    given |= _population(ctx, measure, rule, key, off)
    with st.container(horizontal=True, gap="small"):
        severities = [one.value for one in Severity]
        given["severity"] = st.selectbox(
            "Severity",
            severities,
            index=severities.index(rule.severity.value if rule else "normal"),
            format_func=str.capitalize,
            key=f"{key}.severity",
            help="Critical: told at once, at night too. High and normal: in working hours. Low: once a day, together.",
            **off,
        )
        given["owner_team"] = st.text_input(
            "Owner", rule.owner_team if rule else "finance operations", max_chars=60, key=f"{key}.owner", **off
        )
        given["duration_minutes"] = _whole(
            "Has to last (minutes)", rule.duration_minutes if rule else 0, f"{key}.duration", 20160, off
        )
    given["impact"] = st.text_input(
        "What it costs when nobody looks", rule.impact if rule else "", max_chars=400, key=f"{key}.impact", **off
    )
    given["runbook"] = st.text_area(
        "What to do, in numbered lines",
        (rule.runbook if rule else "").strip(),
        height=150,
        key=f"{key}.runbook",
        max_chars=4000,
        **off,
    )
    with st.expander("How it is told, and when it is told again"):
        given |= _telling(ctx, rule, key, off)
    given["enabled"] = st.toggle("Switched on", rule.enabled if rule else True, key=f"{key}.enabled", **off)
    return given


def _parameter(one: Parameter, value: str, key: str, *, disabled: bool) -> str:
    if one.kind == "choice":
        return str(
            st.selectbox(
                one.label,
                one.choices,
                index=one.choices.index(value),
                key=key,
                help=one.help or None,
                disabled=disabled,
                format_func=str.capitalize,
            )
        )
    if re.fullmatch(r"-?\d{1,15}", value):
        step = 1000 if one.kind == "amount" else 1
        return str(
            st.number_input(
                one.label, one.lowest, one.highest, int(value), step, key=key, help=one.help or None, disabled=disabled
            )
        )
    return str(st.text_input(one.label, value, key=key, help=one.help or None, disabled=disabled))


def _population(
    ctx: Context, measure: Measure, rule: AlertRule | None, key: str, off: dict[str, bool]
) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if measure.by_unit:
        known = [unit.code for unit in ctx.units]
        chosen = [unit for unit in (rule.units if rule else ()) if unit in known]
        found["units"] = st.multiselect("Business units", known, chosen, placeholder="All", key=f"{key}.units", **off)
        hidden = [unit for unit in (rule.units if rule else ()) if unit not in known]
        if hidden:
            found["units"] = [*found["units"], *hidden]
    if measure.by_supplier:
        text = st.text_input(
            "Suppliers (their numbers, with commas between)",
            ", ".join(rule.suppliers) if rule else "",
            key=f"{key}.suppliers",
            placeholder="All",
            **off,
        )
        found["suppliers"] = [part.strip() for part in text.split(",") if part.strip()]
    return found


def _telling(ctx: Context, rule: AlertRule | None, key: str, off: dict[str, bool]) -> dict[str, Any]:
    default: Any = rule or AlertRule(
        title="new",
        measure="blocked_orders",
        impact="nothing yet",
        severity=Severity.NORMAL,
        owner_team="nobody",
        runbook="1. There is nothing here yet.",
    )
    routes = ["", *ask.routes(ctx.settings.config)]
    calendars = [*CALENDARS, *sorted({unit.calendar for unit in ctx.units})]
    first, second = st.columns(2)

    def one_of(label: str, options: list[str], value: str, name: str) -> str:
        shown = options if value in options else [*options, value]
        return str(
            st.selectbox(
                label,
                shown,
                index=shown.index(value),
                format_func=lambda one: CALENDARS.get(one, one) or "That of its owner",
                key=f"{key}.{name}",
                **off,
            )
        )

    found: dict[str, Any] = {}
    with first:
        found["route"] = one_of("Route", routes, default.route, "route")
        found["calendar"] = one_of("Told in", calendars, default.calendar, "calendar")
        found["repeat_after_hours"] = _whole(
            "One notice of a cause in (hours)", default.repeat_after_hours, f"{key}.repeat", 744, off
        )
        found["acted_within_hours"] = _whole(
            "Somebody should act within (hours)", default.acted_within_hours, f"{key}.acted", 744, off, lowest=1
        )
    with second:
        found["escalate_after_hours"] = (
            _whole(
                "Escalate when nobody took it on for (hours, 0: never)",
                default.escalate_after_hours or 0,
                f"{key}.after",
                744,
                off,
            )
            or None
        )
        amount = _whole(
            "Escalate from an amount of (EUR, 0: never)",
            int(default.escalate_amount or 0),
            f"{key}.amount",
            10**12,
            off,
        )
        found["escalate_amount"] = str(amount) if amount else None
        days = st.text_input(
            "Escalate when only so many days are left",
            ", ".join(map(str, default.escalate_days)),
            key=f"{key}.days",
            placeholder="14, 7, 1",
            **off,
        )
        found["escalate_days"] = [part.strip() for part in days.split(",") if part.strip()]
        found["escalate_route"] = one_of("Escalated to", routes, default.escalate_route, "escalate_route")
    found["silent_days"] = _whole(
        "Days in which nobody is told after this is saved",
        0 if rule else 7,
        f"{key}.silent",
        90,
        off,
        help_text="It is evaluated, and shows here what it would have told.",
    )
    return found


def _whole(
    label: str,
    value: int,
    key: str,
    highest: int,
    off: dict[str, bool],
    *,
    lowest: int = 0,
    help_text: str | None = None,
) -> int:
    return int(st.number_input(label, lowest, highest, value, 1, key=key, help=help_text, **off))


# -- the time machine ---------------------------------------------------------------------------------------------------------


def _machine(ctx: Context, rule: AlertRule) -> dict[str, Any] | None:
    """What the rule as it stands in the form would have done; answers the figures to be saved with it, None before the trial."""
    st.markdown("**The last 90 days with this rule**", anchors=False)
    why = can_simulate(rule)
    if why:
        st.info(
            f"This cannot be tried on the past: {why}. Let it be silent for some days, and see here what it would have told.",
            icon=":material/history_toggle_off:",
        )
        return {}
    mark = digest(rule.model_dump(mode="json")).hex()
    tried = st.session_state.get(TRIED)
    if tried is None or tried[0] != mark:
        if not st.button("Try it on the last 90 days", icon=":material/history:", key="alerts.try", type="primary"):
            st.caption("How many alerts it would have made, who would have been woken, and whether anybody acted then.")
            return None
        try:
            with st.spinner("Going through the last 90 days"):
                answer = ask.rewind(ctx.reports, rule, as_of=ctx.moment.as_of, units=ctx.units, currency=GROUP_CURRENCY)
        except Unanswered as error:
            st.warning(f"No answer: {error}", icon=":material/hourglass_disabled:")
            return None
        st.session_state[TRIED] = tried = (mark, answer)
    _tell(ctx, rule, tried[1])
    return dict(tried[1].figures())


def _tell(ctx: Context, rule: AlertRule, answer: Answer) -> None:
    n = len(answer.alerts)
    if not n:
        st.success("It would have told nobody anything.", icon=":material/check_circle:")
        return
    acted, lead = answer.acted_share, answer.median_lead_days
    about = sum(one.document_id is not None for one in answer.alerts)
    with st.grid(2, gap="small"):
        st.metric("Alerts", f"{n:,}", help="One per subject and occasion.")
        st.metric(
            "Causes",
            f"{answer.causes:,}",
            help=f"{count(answer.messages, 'message')} would have gone out, one per cause and time to repeat.",
        )
        st.metric(
            "Acted upon",
            percent(acted, digits=0) if acted is not None else NOTHING,
            help=f"Of {count(about, 'alert')} about documents: somebody worked on the exception after the alert and before its end.",
        )
        st.metric(
            "Lead time, median",
            f"{lead:.1f} days" if lead is not None else NOTHING,
            help="From the alert to the end of the day it is about.",
        )
    woken = (
        f"{plain(rule.owner_team).capitalize()} would have been woken {count(answer.woken, 'time')}."
        if answer.woken
        else f"Nobody would have been woken; {count(answer.waited, 'message')} would have waited for the morning."
    )
    worth = f" Worth {money_short(answer.value)} together." if answer.value else ""
    st.caption(f"{count(answer.messages, 'message')} to {plain(rule.owner_team)}. {woken}{worth}")
    if acted is not None and acted < ask.FLAG_BELOW and about >= ask.ENOUGH:
        st.warning(
            "Few of these were acted upon: a higher amount or a nearer date would tell people what they need.",
            icon=":material/notifications_off:",
        )
    rows = [
        {
            "Fired": when(one.fired_at, ctx.zone),
            "Due": day(one.deadline_on),
            "What": visible(one.message),
            "Acted upon": "yes" if one.is_acted_upon else "no",
        }
        for one in reversed(answer.alerts[-200:])
    ]
    with st.expander(f"The {'last 200' if n > 200 else count(n, 'alert')}", icon=":material/table_rows:"):
        grid(pd.DataFrame(rows), key="alerts.tried.rows")


# -- saving -----------------------------------------------------------------------------------------------------------------


def _save(ctx: Context, key: str, name: str, known: Any, rule: AlertRule, tried: dict[str, Any] | None) -> None:
    st.markdown("**Put it in force**", anchors=False)
    wanted = name
    if known is None:
        proposed = re.sub(r"[^a-z0-9]+", "-", rule.title.lower()).strip("-")[:60].strip("-")
        wanted = st.text_input(
            "Name",
            proposed,
            key=f"{key}.name.{proposed}",
            help="Small letters, digits and hyphens; it stays the same for ever.",
        )
    st.text_input("Why", key=f"{key}.why", placeholder="Agreed with treasury: below 20,000 nobody acts")
    if tried is None:
        st.caption("Try it first: what is saved is what was tried.")
    st.button(
        f"Save as version {known.version + 1 if known else 1}",
        type="primary",
        icon=":material/save:",
        key=f"{key}.save",
        disabled=tried is None,
        on_click=_ask,
        args=(ctx, wanted, known.version if known else 0, rule, f"{key}.why", tried),
    )


def _ask(ctx: Context, name: str, version: int, rule: AlertRule, why: str, tried: dict[str, Any] | None) -> None:
    reason = str(st.session_state.get(why) or "")
    content = rule.model_dump(mode="json")
    command = uuid5(COMMANDS, f"{name} {version} {digest(content).hex()} {reason} {ctx.person.user_id}")
    try:
        answered = ctx.ask(
            Action.SAVE_ALERT_RULE,
            command,
            reason=reason,
            name=name,
            version=version,
            rule=content,
            simulated=tried or {},
        )
    except NotAllowed as refusal:
        st.session_state[SAID] = str(refusal)
        return
    if answered is not None:
        st.session_state[SAID] = answered.sentence
        if answered.status == "done" and st.query_params.get("rule") != name:
            st.query_params["rule"] = name
