"""The filter row: the same on every page, and always in the URL.

The URL is the only truth. A widget shows what the URL says and writes what was chosen back into it, so that a link, a
refresh and the way back give the same page. What comes from a URL is hostile input: a value that does not exist is said and
left out, never passed on.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import streamlit as st

from pages.context import Context
from pages.format import count, day, plain, when
from sync_engine.insight.reports.reading import rounded

PERIODS = {"7d": ("7 days", 7), "30d": ("30 days", 30), "90d": ("90 days", 90)}
DEFAULT_PERIOD = "30d"
CUSTOM = "custom"
ADDRESS = "finsync.address"
WINDOW, CHOSEN = "finsync.window", "finsync.chosen"
"""Where what the filter row says in words is kept while a page is drawn, for whatever leaves it."""

MAX_VALUES = 60
"""Nobody chooses more; a longer list in a URL is cut."""


@dataclass(frozen=True, slots=True)
class Period:
    """A stretch of time, the end exclusive, and its name as the page prints it."""

    since: datetime
    until: datetime
    name: str

    @property
    def within(self) -> str:
        """As a sentence says it: "in the last 30 days", "from 1 Sep 2026 to 3 Sep 2026"."""
        return f"in the {self.name}" if self.name.startswith("last") else f"from {self.name}"

    def words(self, zone: ZoneInfo) -> str:
        """From when to when, by the clock of a zone."""
        return f"{when(self.since, zone)} to {when(self.until, zone)} ({zone.key})"

    @property
    def before(self) -> "Period":
        """The stretch of the same length before it: what a change is measured against."""
        return Period(self.since - (self.until - self.since), self.since, f"the {self.name} before")


@dataclass(frozen=True, slots=True)
class Choice:
    """One more filter of a page: several of a list, by their codes. `label` names a code."""

    name: str
    title: str
    options: Sequence[str]
    label: Callable[[str], str] = str


@dataclass(frozen=True)
class Filters:
    """What was chosen. An empty choice means everything."""

    period: Period
    units: tuple[str, ...] | None
    chosen: dict[str, tuple[str, ...]] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()
    """What the URL asked for that does not exist, in words."""

    def of(self, name: str) -> tuple[str, ...] | None:
        """What was chosen of one filter; None: everything."""
        return self.chosen.get(name) or None


def read(ctx: Context, choices: Sequence[Choice] = (), *, default_period: str = DEFAULT_PERIOD) -> Filters:
    """What the URL says, with what it says wrongly left out."""
    ignored: list[str] = []
    period = _read_period(ctx, default_period, ignored)
    units = _read_values(Choice("unit", "business unit", [unit.code for unit in ctx.units]), ignored)
    chosen = {choice.name: _read_values(choice, ignored) for choice in choices}
    return Filters(period, units or None, chosen, tuple(ignored))


def _read_values(choice: Choice, ignored: list[str]) -> tuple[str, ...]:
    asked = list(dict.fromkeys(st.query_params.get_all(choice.name)))[:MAX_VALUES]
    known = set(choice.options)
    wrong = [value for value in asked if value not in known]
    if wrong:
        ignored.append(f"{choice.title} {', '.join(repr(value[:40]) for value in wrong[:3])}")
    return tuple(value for value in asked if value in known)


def _read_period(ctx: Context, default: str, ignored: list[str]) -> Period:
    asked = st.query_params.get("period", default)
    until = rounded(
        ctx.moment.as_of
    )  # two drawings within half a minute ask the same question, and the cache answers the second
    if asked == CUSTOM:
        since_on, until_on = _date(st.query_params.get("since")), _date(st.query_params.get("until"))
        if since_on and until_on and since_on <= until_on:
            return _between(since_on, until_on, ctx.zone, until)
        ignored.append("the dates of the period")
        asked = default
    if asked not in PERIODS:
        ignored.append(f"period {asked[:40]!r}")
        asked = default
    name, days = PERIODS[asked]
    return Period(until.replace(second=0, microsecond=0) - timedelta(days=days), until, f"last {name}")


def _between(since_on: date, until_on: date, zone: ZoneInfo, now: datetime) -> Period:
    since = datetime.combine(since_on, time(), zone).astimezone(UTC)
    until = datetime.combine(until_on + timedelta(days=1), time(), zone).astimezone(UTC)
    return Period(since, min(until, max(now, since + timedelta(days=1))), f"{day(since_on)} to {day(until_on)}")


def _date(text: str | None) -> date | None:
    try:
        found = date.fromisoformat(text or "")
    except ValueError:
        return None
    return found if 1990 <= found.year <= 2100 else None


def row(ctx: Context, choices: Sequence[Choice] = (), *, with_period: bool = True) -> Filters:
    """Draw the filter row and answer what is chosen. On a phone it folds into one button that says how many are set."""
    filters = read(ctx, choices)
    names = [choice.name for choice in choices]
    active = (
        int(filters.units is not None)
        + sum(bool(values) for values in filters.chosen.values())
        + int(with_period and "period" in st.query_params)
    )
    has_something = with_period or len(ctx.units) > 1 or bool(choices) or active > 0
    if has_something and ctx.narrow:
        with st.popover(
            f"Filters ({active})" if active else "Filters", icon=":material/filter_list:", key="finsync.filters"
        ):
            _widgets(ctx, filters, choices, with_period=with_period)
            _clear(names, active)
    elif has_something:
        with st.container(horizontal=True, vertical_alignment="bottom", key="finsync.filters"):
            _widgets(ctx, filters, choices, with_period=with_period)
            _clear(names, active)
    if filters.ignored:
        st.warning(
            f"The address of this page asks for something that does not exist here, and was read without it: {plain('; '.join(filters.ignored))}.",
            icon=":material/link_off:",
        )
    st.session_state[WINDOW] = filters.period.words(ctx.zone) if with_period else ""
    st.session_state[CHOSEN] = "; ".join(f"{choice.title}: {', '.join(map(choice.label, filters.chosen[choice.name]))}" for choice in choices if filters.chosen[choice.name])  # fmt: skip
    return filters


def _widgets(ctx: Context, filters: Filters, choices: Sequence[Choice], *, with_period: bool) -> None:
    if with_period:
        _period(ctx, filters)
    if len(ctx.units) > 1:
        names = {unit.code: f"{unit.code} – {unit.name}" for unit in ctx.units}  # noqa: RUF001
        _several(
            Choice("unit", "Business units", [unit.code for unit in ctx.units], names.__getitem__), filters.units or ()
        )
    for choice in choices:
        _several(choice, filters.chosen[choice.name])


def _several(choice: Choice, value: tuple[str, ...]) -> None:
    key = f"finsync.filter.{choice.name}"
    st.session_state[key] = list(value)
    st.multiselect(
        choice.title,
        list(choice.options),
        key=key,
        format_func=choice.label,
        placeholder="All",
        on_change=_write,
        args=(choice.name, key),
        width=230,
    )


def _write(name: str, key: str) -> None:
    values = st.session_state[key]
    put(name, values)


def put(name: str, values: Sequence[str] | str | None) -> None:
    """Write one parameter into the URL; nothing removes it."""
    if values:
        st.query_params[name] = values if isinstance(values, str) else list(values)
    elif name in st.query_params:
        del st.query_params[name]


def put_all(changes: Mapping[str, Sequence[str] | str | None]) -> None:
    """Write several parameters in one step: each change of the address is a step of the way back. Nothing removes one."""
    there: dict[str, Sequence[str] | str] = {name: values for name, values in address().items() if name not in changes}
    st.query_params.from_dict(there | {name: values for name, values in changes.items() if values})


def _period(ctx: Context, filters: Filters) -> None:
    asked = st.query_params.get("period", DEFAULT_PERIOD)
    st.session_state["finsync.filter.period"] = asked if asked in {*PERIODS, CUSTOM} else DEFAULT_PERIOD
    words = {code: name for code, (name, _) in PERIODS.items()} | {CUSTOM: "Dates"}
    st.segmented_control(
        "Period",
        [*PERIODS, CUSTOM],
        key="finsync.filter.period",
        format_func=words.__getitem__,
        required=True,
        on_change=_write_period,
        args=(ctx.moment.as_of.astimezone(ctx.zone).date(),),
    )
    if asked == CUSTOM:
        since = filters.period.since.astimezone(ctx.zone).date()
        last = (filters.period.until - timedelta(seconds=1)).astimezone(ctx.zone).date()
        st.session_state["finsync.filter.dates"] = (since, last)
        st.date_input("From and to", key="finsync.filter.dates", format="YYYY-MM-DD", on_change=_write_dates, width=230)


def _write_period(today: date) -> None:
    chosen = st.session_state["finsync.filter.period"] or DEFAULT_PERIOD
    since, until = ((today - timedelta(days=29)).isoformat(), today.isoformat()) if chosen == CUSTOM else (None, None)
    put_all({"period": None if chosen == DEFAULT_PERIOD else chosen, "since": since, "until": until})


def _write_dates() -> None:
    dates = st.session_state["finsync.filter.dates"]
    if isinstance(dates, tuple) and len(dates) == 2:
        put_all({"since": dates[0].isoformat(), "until": dates[1].isoformat()})


def _clear(names: Sequence[str], active: int) -> None:
    if active:
        st.button(
            "Clear",
            key="finsync.filters.clear",
            icon=":material/close:",
            type="tertiary",
            help=f"Drop {count(active, 'filter')}",
            on_click=clear,
            args=(tuple(names),),
        )


def clear(names: Sequence[str]) -> None:
    """Drop every filter; who is asking stays."""
    put_all(dict.fromkeys(("period", "since", "until", "unit", *names)))


# -- the address ------------------------------------------------------------------------------------------------------------


def address() -> dict[str, list[str]]:
    """Every parameter of the address."""
    return {name: st.query_params.get_all(name) for name in st.query_params}


def say_address() -> None:
    """Tell the browser where it is, once it has gone somewhere: it does not take a link to another view of the same page into its
    address by itself, and then neither a refresh nor the way back would find that view. Said twice, it does nothing."""
    here = address()
    if st.session_state.get(ADDRESS, here) != here:
        st.query_params.from_dict(here)
    st.session_state[ADDRESS] = here
