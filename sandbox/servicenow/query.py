"""ServiceNow's encoded query: `state=requested^sys_updated_on>=2026-01-31 00:00:00^ORDERBYsys_updated_on`.

The vendor's trap is kept: a part that cannot be understood (a misspelled column) is left out and the rest is run.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from operator import ge, gt, le, lt, ne

# Longer operators stand before their beginnings; column names are lower case, so that words in capitals end them.
_TERM = re.compile(
    r"([a-z_][a-z0-9_.]*)(!=|>=|<=|=|>|<|NOT IN|IN|LIKE|STARTSWITH|ENDSWITH|ISEMPTY|ISNOTEMPTY)(.*)", re.DOTALL
)

_TESTS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda have, want: have == want,
    "!=": ne,
    ">=": ge,
    ">": gt,
    "<=": le,
    "<": lt,
    "IN": lambda have, want: have in want.split(","),
    "NOT IN": lambda have, want: have not in want.split(","),
    "LIKE": lambda have, want: want.casefold() in have.casefold(),
    "STARTSWITH": lambda have, want: have.casefold().startswith(want.casefold()),
    "ENDSWITH": lambda have, want: have.casefold().endswith(want.casefold()),
    "ISEMPTY": lambda have, _: not have,
    "ISNOTEMPTY": lambda have, _: bool(have),
}


@dataclass(frozen=True, slots=True)
class Term:
    """One comparison of a column, dot-walked or not, with a value. Dates compare as text, which is their order."""

    column: str
    operator: str
    value: str

    def holds(self, have: str) -> bool:
        """Whether a row with `have` in this column passes."""
        return _TESTS[self.operator](have, self.value)


@dataclass(slots=True)
class Query:
    """Alternatives that must each hold (`^` between them, `^OR` within), and the order of the answer."""

    groups: list[list[Term]] = field(default_factory=list)
    order: list[tuple[str, bool]] = field(default_factory=list)
    """(column, descending), most important first."""

    def holds(self, read: Callable[[str], str]) -> bool:
        """Whether the row that `read` reads columns of passes."""
        return all(any(term.holds(read(term.column)) for term in group) for group in self.groups)

    @property
    def required(self) -> Iterable[Term]:
        """The terms that every row of the answer passes: a store can be entered by one of them."""
        return (group[0] for group in self.groups if len(group) == 1)


def parse(text: str, knows: Callable[[str], bool]) -> Query:
    """The query that `text` spells; parts about columns that `knows` denies are left out, as the vendor does."""
    query = Query()
    for part in text.split("^"):
        if part.startswith("ORDERBYDESC"):
            _order(query, part.removeprefix("ORDERBYDESC"), knows, descending=True)
        elif part.startswith("ORDERBY"):
            _order(query, part.removeprefix("ORDERBY"), knows, descending=False)
        else:
            alternative = part.startswith("OR") and bool(query.groups)
            found = _TERM.fullmatch(part.removeprefix("OR") if alternative else part)
            if found is None or not knows(found[1]):
                continue
            term = Term(found[1], found[2], found[3])
            if alternative:
                query.groups[-1].append(term)
            else:
                query.groups.append([term])
    return query


def _order(query: Query, column: str, knows: Callable[[str], bool], *, descending: bool) -> None:
    if knows(column):
        query.order.append((column, descending))
