"""How things are written: money, durations, shares, times, and text that came from outside.

Everything a system or a supplier wrote is data: in Markdown it goes through `plain`, in a spreadsheet through `csv_pieces`.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo

import pandas as pd
from babel.numbers import get_currency_precision

from sync_engine.insight.standing import WORKING_DAY_S

GROUP_CURRENCY = "EUR"
NOTHING = "–"  # noqa: RUF001 - the en dash of a table's empty cell

CATEGORIES = {
    "master_data": "Master data",
    "policy": "Policy",
    "erp_posting": "ERP posting",
    "external_outage": "External outage",
}
DOCUMENT_TYPES = {
    "supplier": "supplier", "requisition": "requisition", "approval": "approval", "purchase_order": "purchase order", "change_order": "change order",
    "goods_receipt": "goods receipt", "invoice": "invoice", "posting": "posting",
}  # fmt: skip
SYSTEMS = {
    "coupa": "Coupa",
    "servicenow": "ServiceNow",
    "s4hana": "SAP S/4HANA",
    "basware": "Basware",
    "finsync": "Finance Workflow Sync",
}


def count(n: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> count(1, "order"), count(1200, "order"), count(2, "entry", "entries")
    ('1 order', '1,200 orders', '2 entries')
    """
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def money_short(value: Decimal | float | None, currency: str = GROUP_CURRENCY) -> str:
    """An amount on a card.

    >>> money_short(Decimal("1240312.50")), money_short(Decimal("912")), money_short(Decimal("48200"))
    ('EUR 1.24 m', 'EUR 912', 'EUR 48.2 k')
    """
    if value is None or pd.isna(value):
        return NOTHING
    amount = float(value)
    for limit, factor, letter in ((999_500_000, 1e9, "bn"), (999_500, 1e6, "m"), (10_000, 1e3, "k")):
        if abs(amount) >= limit:
            scaled = amount / factor
            return f"{currency} {scaled:.2f} {letter}" if abs(scaled) < 10 else f"{currency} {scaled:.1f} {letter}"
    return f"{currency} {amount:,.0f}"


def money(value: Decimal | float | None, currency: str | None = GROUP_CURRENCY) -> str:
    """An amount to the minor unit.

    >>> money(Decimal("1240312.50"), "EUR"), money(Decimal("4800"), "JPY")
    ('1,240,312.50 EUR', '4,800 JPY')
    """
    if value is None or pd.isna(value):
        return NOTHING
    unit = currency or GROUP_CURRENCY
    return f"{value:,.{_precision(unit)}f} {unit}"


@cache
def _precision(currency: str) -> int:
    return int(get_currency_precision(currency))


def duration(seconds: float | Decimal | None) -> str:
    """Time as a person says it, in the two units that matter.

    >>> duration(274_000), duration(5_400), duration(42), duration(0.35), duration(-60), duration(11_331 * 86_400)
    ('3 d 4 h', '1 h 30 min', '42 s', '0.35 s', '-1 min', '11,331 d')
    """
    if seconds is None or pd.isna(seconds):
        return NOTHING
    s = float(seconds)
    if s < 0:
        return "-" + duration(-s)
    if s < 10:
        return f"{s:.2g} s"
    if s < 60:
        return f"{s:.0f} s"
    for unit_s, unit, below_s, below in ((86400, "d", 3600, "h"), (3600, "h", 60, "min")):
        if s >= unit_s:
            whole, rest = divmod(round(s / below_s), unit_s // below_s)
            return f"{whole:,} {unit} {rest} {below}" if rest and whole < 30 else f"{whole:,} {unit}"
    return f"{s / 60:.0f} min"


def working_time(seconds: float | Decimal | None) -> str:
    """Business time; a working day has eight hours.

    >>> working_time(100_800), working_time(9_000), working_time(600)
    ('3.5 working days', '2.5 working hours', '10 working minutes')
    """
    if seconds is None or pd.isna(seconds):
        return NOTHING
    s = float(seconds)
    if s >= WORKING_DAY_S:
        return f"{s / WORKING_DAY_S:.1f} working days"
    return f"{s / 3600:.1f} working hours" if s >= 3600 else f"{s / 60:.0f} working minutes"


def percent(share: float | None, *, digits: int = 1) -> str:
    """A share; "no data" where there is nothing to take it of.

    >>> percent(0.9876), percent(None), percent(1.0)
    ('98.8 %', 'no data', '100 %')
    """
    if share is None or pd.isna(share):
        return "no data"
    text = f"{share * 100:.{digits}f}"
    return f"{text.rstrip('0').rstrip('.') if '.' in text else text} %"


def when(moment: datetime | None, zone: ZoneInfo) -> str:
    """A time to the minute, in the reader's zone.

    >>> from datetime import UTC
    >>> when(datetime(2026, 9, 3, 12, 5, tzinfo=UTC), ZoneInfo("Europe/Berlin"))
    '3 Sep 2026, 14:05'
    """
    if moment is None or pd.isna(moment):
        return NOTHING
    local = moment.astimezone(zone)
    return f"{local.day} {local:%b %Y, %H:%M}"


def exact(moment: datetime | None, zone: ZoneInfo) -> str:
    """A time to the second, with its zone."""
    return NOTHING if moment is None or pd.isna(moment) else f"{moment.astimezone(zone):%Y-%m-%d %H:%M:%S} {zone.key}"


def day(value: date | None) -> str:
    """A date.

    >>> day(date(2026, 9, 3))
    '3 Sep 2026'
    """
    return NOTHING if value is None or pd.isna(value) else f"{value.day} {value:%b %Y}"


def due_words(days_left: float | None) -> str:
    """How far a date is.

    >>> due_words(0), due_words(1), due_words(-3), due_words(12)
    ('today', 'tomorrow', '3 days ago', 'in 12 days')
    """
    if days_left is None or pd.isna(days_left):
        return NOTHING
    days = int(days_left)
    if days in {0, 1}:
        return "today" if days == 0 else "tomorrow"
    return f"in {days} days" if days > 0 else f"{count(-days, 'day')} ago"


def words(name: str | None) -> str:
    """A name of the program as people read it.

    >>> words("awaiting_approval"), words("") == NOTHING
    ('awaiting approval', True)
    """
    return name.replace("_", " ") if name else NOTHING


def sentence(text: str) -> str:
    """With a capital at its beginning and nothing else changed.

    >>> sentence("order refused by the ERP")
    'Order refused by the ERP'
    """
    return text[:1].upper() + text[1:]


def system(name: str | None) -> str:
    """A system by the name people know."""
    return SYSTEMS.get(name or "", words(name))


_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")
_PUNCTUATION = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~$:&\"'/^=@])")
_MADE_INTO_LINKS = re.compile(r"(?i)(https?:|ftp:|mailto:|www\.|(?<=\w)@(?=\w)|:(?=[a-z0-9_+-]+:))")


def visible(text: object) -> str:
    """Outside text on one line, with nothing in it that turns the reading direction or cannot be seen."""
    return " ".join(_CONTROLS.sub("�", "" if text is None else str(text)).split())


def shortened(text: object, most: int) -> str:
    """The beginning of a long text, up to a word, and a sign that there is more.

    >>> shortened("Line 1 bills 30, of order 4500000477", 20)
    'Line 1 bills 30 …'
    """
    whole = visible(text)
    return whole if len(whole) <= most else whole[:most].rsplit(maxsplit=1)[0].rstrip(" ,;.:") + " …"


def plain(text: object) -> str:
    r"""Outside text for a place that reads Markdown: shown as it was written, never as a link, picture, formula or icon.

    >>> plain("![x](http://evil.test/a.png)").startswith(r"\!\[x\]\(")
    True
    """
    return _PUNCTUATION.sub(r"\\\1", _MADE_INTO_LINKS.sub("\\1\u2060", visible(text)))


_FORMULA = re.compile(r"^[\s'\"\x00]*[=+\-@\t\r\n＝＋－＠|]")  # noqa: RUF001 - spreadsheets take the full-width forms for the plain ones


def cell(value: object) -> object:
    """A value for a spreadsheet: numbers stay numbers, text that would run as a formula gets an apostrophe.

    >>> cell("=HYPERLINK(1)"), cell(-2), cell("Nordwerk"), cell(None)
    ("'=HYPERLINK(1)", -2, 'Nordwerk', '')
    """
    if value is None or (not isinstance(value, str) and pd.isna(value)):
        return ""
    if isinstance(value, bool | int | float | Decimal):
        return value
    text = value.isoformat() if isinstance(value, date | datetime) else str(value).replace("\x00", "")
    return f"'{text}" if isinstance(value, str) and _FORMULA.match(text) else text


def csv_pieces(parts: Iterable[pd.DataFrame], columns: Sequence[tuple[str, str]]) -> Iterator[bytes]:
    """Rows as CSV that spreadsheets read as text and numbers: (column, heading) in order, UTF-8 with its mark. The headings, then a
    piece for every part, so that nobody need hold more rows than one part has."""
    yield _lines([[heading for _, heading in columns]]).encode("utf-8-sig")
    for part in parts:
        yield _lines(part[[name for name, _ in columns]].itertuples(index=False)).encode()


def csv_bytes(frame: pd.DataFrame, columns: Sequence[tuple[str, str]]) -> bytes:
    """All rows of a table at once, as `csv_pieces` writes them."""
    return b"".join(csv_pieces([frame], columns))


def _lines(rows: Iterable[Iterable[object]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\r\n").writerows([cell(value) for value in row] for row in rows)
    return out.getvalue()
