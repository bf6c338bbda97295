"""What a foreign activity means in our words: the stage its document is in afterwards, and which object it moves.

A mapping file says it; what the file leaves out is guessed from the activity's name. The name itself is always kept, so a
mapping changes figures and never an export. An activity that means nothing here is its own stage.

    [stages]
    "Create Purchase Order" = "ordered"
    [moves]                       # formats with several objects per event
    "Create Purchase Order" = "PURCHORD"
    [log]
    final = ["paid", "cancelled", "rejected"]
"""

import re
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sync_engine.eventlog.records import BadLog

# fmt: off
_STAGES = [
    # if the name says               it stands afterwards at
    (r"reject|refus|declin|denied",                              "rejected"),
    (r"(remove|release|lift|clear)\w* .*block|unblock",          "payment_ready"),
    (r"payment block|block\w* (for )?payment|set .*block",       "payment_blocked"),
    (r"cancel|delete|withdraw|abandon|abort",                    "cancelled"),
    (r"revers",                                                  "reversed"),
    (r"mismatch|exception|discrepan|varianc|dispute|hold",       "in_review"),
    (r"match",                                                   "matched"),
    (r"\bpost",                                                  "posted"),
    (r"(approv|authori[sz])\w* .*payment",                        "payment_ready"),
    (r"\b(paid|pay)\b|payment|clear invoice",                    "paid"),
    (r"invoice",                                                 "acknowledged"),
    (r"goods|receipt|deliver|service entry|received?\b.*\b(material|item)", "received"),
    (r"request for quot|quotation|\brfq\b|sourcing",             "approved"),
    (r"(create|issue|send|sent|dispatch|place|change|amend|confirm|release|settle|approve)\w*\b.*\b(purchase order|order|po)\b|\b(purchase order|po) (created|issued|sent|released|confirmed|dispatched|approved)", "ordered"),
    (r"budget|fund",                                             "awaiting_budget"),
    (r"approv(ed|al granted|e\b)|approval$|release requisition", "approved"),
    (r"review|analy[sz]e|submit|check|validat",                  "awaiting_approval"),
    (r"requisition|purchase request",                            "awaiting_approval"),
    (r"\b(case|file|process|order|invoice)\b.*\b(closed?|completed?|ended|finished|archived)\b|\b(close|complete|archive) (the )?(case|file|process)\b", "closed"),
]
# What kind of object a name speaks of, most specific first: an event moves the object its activity speaks of.
_KINDS = [
    ("goods_receipt",  r"goods ?receipt|gds ?rcpt|goods|receipt|\bgr\b|grn"),
    ("invoice",        r"invoice|\binv\b"),
    ("payment",        r"payment|\bpay\b|paid"),
    ("requisition",    r"requisition|purch ?req|purchase request|\bpr\b"),
    ("purchase_order", r"purchase ?order|purch ?ord|\bpo\b|\border\b"),
]
# fmt: on
FINAL = ("paid", "rejected", "cancelled", "reversed", "closed")
_UNMOVED, _OTHER, _NAMED = 9, 5, 0


def _words(name: str) -> str:
    return re.sub(r"[_\-.]+", " ", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)).lower().strip()


def guessed_stage(activity: str) -> str:
    """The stage an activity's name speaks of; the name itself where it speaks of none.

    >>> guessed_stage("Create Purchase Order"), guessed_stage("Remove Payment Block"), guessed_stage("examine casually")
    ('ordered', 'payment_ready', 'examine casually')
    >>> guessed_stage("Case Closed"), guessed_stage("Close invoice dispute")
    ('closed', 'in_review')
    """
    words = _words(activity)
    return next((stage for pattern, stage in _STAGES if re.search(pattern, words)), activity)


def kind_of(name: str) -> str:
    """The kind of document that a type or an activity speaks of; empty where it speaks of none."""
    words = _words(name)
    return next((kind for kind, pattern in _KINDS if re.search(pattern, words)), "")


def preference(activity: str, object_type: str) -> int:
    """How well an object of this type fits as the one that the activity moves, 0 best."""
    wanted, offered = kind_of(activity), kind_of(object_type)
    if wanted and wanted == offered:
        return _NAMED
    return _OTHER if offered else _UNMOVED


@dataclass(frozen=True)
class Mapping:
    """A mapping file, read."""

    stages: dict[str, str] = field(default_factory=dict)
    moves: dict[str, str] = field(default_factory=dict)
    final: tuple[str, ...] = FINAL

    def stage(self, activity: str) -> str:
        """Where a document stands after the activity."""
        return self.stages.get(activity) or guessed_stage(activity)

    def preference(self, activity: str, object_type: str) -> int:
        """How well the type fits as what the activity moves, 0 best."""
        if activity in self.moves:
            return _NAMED if self.moves[activity] == object_type else _UNMOVED
        return preference(activity, object_type)


def load_mapping(path: Path) -> Mapping:
    """The mapping in a TOML file.

    Raises:
        BadLog: it cannot be read, or says something else than words.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise BadLog(f"{path} cannot be read as a mapping: {error}.") from error
    unknown = set(content) - {"stages", "moves", "log"}
    stages, moves, log = content.get("stages", {}), content.get("moves", {}), content.get("log", {})
    words = [*stages.values(), *moves.values(), *log.get("final", [])]
    if unknown or not all(isinstance(word, str) and word for word in words):
        raise BadLog(f"{path}: a mapping has the tables [stages], [moves] and [log], and every entry is a word.")
    return Mapping(dict(stages), dict(moves), tuple(log.get("final", FINAL)))


def guessed_mapping(found: Iterable[tuple[str, str]]) -> str:
    """A mapping file with a guess for every (activity, object type) there is, to be corrected by hand."""
    types: dict[str, list[str]] = {}
    for activity, object_type in found:
        types.setdefault(activity, []).append(object_type)
    lines = ["# Guessed from the names; correct what is wrong. An activity that is left out is guessed.", "[stages]"]
    lines += [f"{_quoted(activity)} = {_quoted(guessed_stage(activity))}" for activity in types]
    several = {
        activity: min(of, key=lambda one: preference(activity, one)) for activity, of in types.items() if len(of) > 1
    }
    if several:
        lines += ["", "[moves]", *(f"{_quoted(activity)} = {_quoted(kind)}" for activity, kind in several.items())]
    lines += ["", "[log]", f"final = [{', '.join(_quoted(stage) for stage in FINAL)}]"]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(sign if sign >= " " else f"\\u{ord(sign):04x}" for sign in escaped) + '"'
