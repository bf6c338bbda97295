"""The rules: what each watches, how it has done, its versions, and its editor. Part of the alerts page."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from pages import alerts_editor
from pages.context import Context
from pages.format import NOTHING, count, plain, when
from pages.tables import Column, work_table
from sync_engine.control.roles import Action
from sync_engine.insight.reports import alerts as ask
from sync_engine.insight.reports.alerts import Health, RuleInForce

NEW = "new"

COLUMNS = (
    Column("title", "Rule", on_card=True),
    Column("open", "", "link", display="Open", width=60),
    Column("standing", "State", "status", on_card=True, width=110),
    Column("severity", "Severity", "words"),
    Column("owner_team", "Owner"),
    Column("fired", "Fired", "count", on_card=True, help="Alerts in the last 90 days, those of its silent phase too."),
    Column(
        "acted_share",
        "Acted upon",
        "share",
        on_card=True,
        help="Of the alerts old enough to be judged, within the rule's own time.",
    ),
    Column(
        "self_share", "Went by itself", "share", help="Of those that fired: not found any more, and nobody had acted."
    ),
    Column("aside_share", "Put aside", "share"),
    Column("lead_days", "Lead time (days)", "rate", help="Median, from the alert to the end of the day it is about."),
    Column("version", "Version", "count"),
    Column("changed_at", "Since", "time"),
)


def draw(ctx: Context, rules: Mapping[str, RuleInForce]) -> None:
    """All rules, and the one that is open."""
    health = ask.health(ctx.reports, as_of=ctx.moment.as_of)
    asked = st.query_params.get("rule")
    if asked is not None and asked != NEW and asked not in rules:
        st.warning("The address of this page names a rule that is not there.", icon=":material/link_off:")
        asked = None
    if asked is not None:
        ctx.link("alerts", "All rules", icon=":material/arrow_back:", view="rules")
        alerts_editor.draw(ctx, asked, rules.get(asked))
        if asked in rules:
            _history(ctx, asked)
        return
    flagged = [name for name in rules if health.get(name, Health()).is_flagged]
    st.subheader(
        f"{count(len(flagged), 'rule')} of {len(rules)} {'tells' if len(flagged) == 1 else 'tell'} people what they do not act upon"
        if flagged
        else f"{count(len(rules), 'rule')} watch"
        if len(rules) != 1
        else "1 rule watches",
        anchor=False,
    )
    if ctx.may(Action.SAVE_ALERT_RULE):
        ctx.link("alerts", "A new rule", icon=":material/add:", view="rules", rule=NEW)
    rows = [_row(ctx, one, health.get(name, Health())) for name, one in rules.items()]
    if not rows:
        st.info(
            "No rule is in force yet: an engine puts those of config/alerts.toml in force when it starts.",
            icon=":material/rule:",
        )
        return
    rows.sort(key=lambda row: (-row["fired"], row["title"]))
    work_table(
        ctx, pd.DataFrame(rows, dtype=object), COLUMNS, key="alerts.rules", row_id="rule", noun="rule", title=lambda row: f"**{plain(row['title'])}**", card_action=lambda row: ctx.link("alerts", "Open", view="rules", rule=str(row["rule"]))
    )  # fmt: skip


def _row(ctx: Context, one: RuleInForce, health: Health) -> dict[str, Any]:
    rule = one.rule
    return {
        "rule": one.name,
        "title": rule.title,
        "standing": _standing(ctx, one, health),
        "severity": rule.severity.value,
        "owner_team": rule.owner_team,
        "fired": health.fired,
        "acted_share": health.acted_share,
        "self_share": health.self_cured / health.fired if health.fired else None,
        "aside_share": health.put_aside / health.fired if health.fired else None,
        "lead_days": health.lead_days,
        "version": one.version,
        "changed_at": one.changed_at,
        "open": ctx.href("alerts", view="rules", rule=one.name),
    }


def _standing(ctx: Context, one: RuleInForce, health: Health) -> str:
    if not one.rule.enabled:
        return "off"
    if ctx.moment.as_of < one.silent_until:
        return "silent"
    return "not acted upon" if health.is_flagged else "in force"


def _history(ctx: Context, name: str) -> None:
    rows = ask.rule_history(ctx.reports, name)
    st.subheader(count(len(rows), "version"), anchor=False)
    for newer, older in zip(rows, [*rows[1:], None], strict=True):
        changes = _changes(newer["content"], older["content"]) if older is not None else "as it began"
        who = "the file" if newer["source"] == "file" else plain(newer["changed_by"])
        said = newer["simulated"] or {}
        machine = (
            f" The time machine had said {said['alerts']} alerts in 90 days."
            if isinstance(said.get("alerts"), int)
            else ""
        )
        reason = f" {plain(newer['reason'])}." if newer["reason"] else ""
        st.markdown(
            f"**Version {newer['version']}** · {when(newer['changed_at'], ctx.zone)} · {who}.{reason}{machine}  \n{changes}",
            anchors=False,
        )


def _changes(new: dict[str, Any], old: dict[str, Any]) -> str:
    """What one version changed of the one before, in words."""
    found = []
    for name in sorted({*new, *old}):
        if new.get(name) == old.get(name):
            continue
        if name == "parameters":
            was, now = old.get(name) or {}, new.get(name) or {}
            found += [
                f"{plain(part.replace('_', ' '))}: {plain(was.get(part, 'default'))} to {plain(now.get(part, 'default'))}"
                for part in sorted({*was, *now})
                if was.get(part) != now.get(part)
            ]
        elif name in {"runbook", "impact"}:
            found.append(f"{name} reworded")
        else:
            found.append(f"{plain(name.replace('_', ' '))}: {_short(old.get(name))} to {_short(new.get(name))}")
    return "; ".join(found) or "nothing but its being put in force again"


def _short(value: Any) -> str:
    if value in (None, "", []):
        return NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    return plain(", ".join(map(str, value)) if isinstance(value, list) else value)
