"""Who works in the company, under which login in which system, and how quickly they decide.

Logins are roles, not names. Two people have logins in both systems that share no mail address, as the identities table
of the configuration says: they could approve what they have asked for themselves.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from enum import Enum
from math import log
from random import Random

from sandbox.company import odds
from sandbox.company.units import Unit

MAIL = "sandbox.example"
STEWARD = "steward.masterdata"
"""Repairs other people's requisitions in procurement."""

# fmt: off
SELF_APPROVERS = {
    # login in procurement:     (login in the approval tool, unit, which of its groups)
    "plant.manager.de-south":   ("pm.desouth", "DE-SOUTH", "finance"),
    "lead.us-east":             ("ops.useast", "US-EAST",  "procurement"),
}


class Manner(Enum):
    """How somebody decides."""

    PROMPT = "within hours"
    BATCH = "twice a day"
    SLOW = "after days"


SLOW = frozenset({"lead.2.uk-midlands", "plant.manager.us-east", "fin.2.denorth", "proc.1.ukmidlands"})
AWAY = frozenset({"lead.2.us-west", "plant.manager.uk-midlands", "fin.1.useast", "proc.1.desouth"})
"""Away for a week in the middle of the period. They are two in each system, and nobody is delegated."""
IN_BATCHES = ("plant.manager.", "fin.2.")
# fmt: on


def manner_of(login: str) -> Manner:
    """How somebody decides."""
    if login in SLOW:
        return Manner.SLOW
    return Manner.BATCH if login.startswith(IN_BATCHES) else Manner.PROMPT


def requester_count(unit: Unit) -> int:
    """How many people of a unit ask for things."""
    return max(3, round(unit.share * 40))


def requesters(unit: Unit) -> list[str]:
    """The logins of those who usually ask."""
    return [f"requester.{number}.{unit.slug}" for number in range(1, requester_count(unit) + 1)]


def procurement_people(unit: Unit) -> list[tuple[str, str, str]]:
    """(login, name, manager's login) of a unit's people in procurement, managers before those they manage."""
    director, manager = f"site.director.{unit.slug}", f"plant.manager.{unit.slug}"
    leads = (f"lead.{unit.slug}", f"lead.2.{unit.slug}")
    return [
        (director, f"Site Director {unit.code}", ""),
        (manager, f"Plant Manager {unit.code}", director),
        (leads[0], f"Lead Production {unit.code}", manager),
        (leads[1], f"Lead Support {unit.code}", manager),
        (f"buyer.{unit.slug}", f"Buyer {unit.code}", manager),
        *(
            (login, f"Requester {place + 1} {unit.code}", leads[place % 2])
            for place, login in enumerate(requesters(unit))
        ),
    ]


def group_members(unit: Unit, group: str) -> list[str]:
    """The user names of the members of a unit's "finance" or "procurement" group in the approval tool."""
    short = {"finance": "fin", "procurement": "proc"}[group]
    selves = [user for user, code, whose in SELF_APPROVERS.values() if (code, whose) == (unit.code, group)]
    return [*(f"{short}.{number}.{unit.compact}" for number in (1, 2, 3)), *selves]


def unit_of(login: str, units: Mapping[str, Unit]) -> Unit:
    """The unit somebody works for, by the end of the login in either system; Germany South for the shared services."""
    end = login.rpartition(".")[2]
    return next((unit for unit in units.values() if end in {unit.slug, unit.compact}), units["DE-SOUTH"])


def decides_at(login: str, unit: Unit, luck: Random, now: datetime, start: datetime) -> datetime:
    """When somebody decides what came to them now: a moment in the unit's office hours.

    Args:
        login: Whose decision.
        unit: Whose hours.
        luck: Of this one decision.
        now: When it came.
        start: The company's first moment, from which absences are counted.
    """
    manner = manner_of(login)
    if manner is Manner.BATCH:
        # A few are left for the next time.
        at = unit.calendar.next_of(now + timedelta(minutes=5), odds.BATCH_TIMES)
        while luck.random() < 0.15:
            at = unit.calendar.next_of(at, odds.BATCH_TIMES)
        at += timedelta(seconds=luck.randrange(60, 900))
    else:
        median, sigma = (
            (odds.SLOW_MEDIAN_H, odds.SLOW_SIGMA)
            if manner is Manner.SLOW
            else (odds.DECISION_MEDIAN_H, odds.DECISION_SIGMA)
        )
        hours = min(max(luck.lognormvariate(log(median), sigma), odds.DECISION_MIN_H), odds.DECISION_MAX_H)
        at = unit.calendar.after(now, hours)
    back = back_at(login, at, start)
    return at if back is None else unit.calendar.after(back, luck.uniform(0.3, 5))


def back_at(login: str, moment: datetime, start: datetime) -> datetime | None:
    """When somebody who is away at `moment` is back; None for somebody who is there."""
    if login not in AWAY:
        return None
    period = timedelta(days=odds.PERIOD_DAYS)
    into = (moment - start) % period
    leaves = timedelta(days=odds.AWAY_FROM_DAY)
    returns = leaves + timedelta(days=odds.AWAY_DAYS)
    return moment - into + returns if leaves <= into < returns else None


# fmt: off
REJECTIONS = (
    "Not in this year's budget. Please plan it for the next one.",
    "We have this in stock; ask the warehouse first.",
    "Please get a second offer, the price is too high.",
    "The quantity is more than a quarter needs.",
    "Wrong cost centre: this belongs to the project.",
    "Ordered by another department already.",
)
EXCEPTION_REJECTIONS = (
    "The framework supplier has to be used for this.",
    "The business case is missing. Please attach it and ask again.",
    "Postponed to the next quarter by regional finance.",
    "Please split off the part that is an investment.",
)
REVIEW_REJECTIONS = (
    "The price was never agreed. Please return it to the supplier.",
    "We were billed for more than was delivered; a credit note is needed.",
    "No order change covers this. Please return it.",
)
AGREEMENTS = (
    "Agreed.", "Within plan.", "Ok, needed for the line.", "Checked with the plant.", "Fine, but please bundle these next time.",
)
# fmt: on


def said(luck: Random, approves: bool, refusals: Iterable[str]) -> str:
    """What somebody writes beside a decision: always why not, and now and then why."""
    if not approves:
        return luck.choice(tuple(refusals))
    return luck.choice(AGREEMENTS) if luck.random() < odds.COMMENT_SHARE else ""
