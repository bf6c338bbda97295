"""Reprocessing what people name: the list is frozen when they ask, and sent in waves (`waves`), however short it is.

A batch of one takes the same way as one of a thousand. Those worth more than the
policy lets one person send wait for a second person who has no part in their documents.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sync_engine.control import waves
from sync_engine.control.asked import Asked, Doing, Refusal, cases, unchanged_case
from sync_engine.control.roles import ACCEPTABLE, Action, sees
from sync_engine.engine import store
from sync_engine.engine.outcomes import Setup
from sync_engine.model import flows
from sync_engine.model.exceptions import kind_of
from sync_engine.model.money import rounded

ZERO = Decimal(0)


class Pace(BaseModel):
    """How carefully a reprocessing is sent; what is not said is as the defaults have it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    canary_size: int = Field(waves.CANARY_SIZE, ge=1, le=100)
    wave_size: int = Field(waves.WAVE_SIZE, ge=1, le=1000)
    per_minute: int = Field(waves.PER_MINUTE, ge=1, le=6000)
    halt_percent: int = Field(waves.HALT_PERCENT, ge=0, le=100)


def reprocess(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Put cases back to work, a few first: each looks in the target before it sends, and closes only when the effect is seen."""
    named = cases(asked, doing)
    skipped = {case["case_id"]: why for case in named if (why := _why_not(case))}
    return _begin(asked, doing, named, skipped)


def accept(asked: Asked, doing: Doing) -> dict[str, Any]:
    """A person takes responsibility for what a rule objects to, and the document goes on."""
    case = unchanged_case(asked, doing)
    if case["code"] not in ACCEPTABLE or case["work_item_id"] is None:
        raise Refusal("denied", f"Nobody may accept this: {kind_of(case['code']).title.lower()}.")
    if _asked_for_it(asked.actor, case, doing.setup):
        raise Refusal("denied", "Whoever asked for it cannot accept it.")
    if case["work_status"] not in {"parked", "due"}:
        raise Refusal("conflict", "It is being worked on right now.")
    store.run(doing.connection, "command.accept_for_work", work_item_id=case["work_item_id"], code=case["code"])
    begun = _begin(asked, doing, [case], {})
    return {**begun, "sentence": f"Accepted; {case['number']} goes on."}


def go_on(asked: Asked, doing: Doing, case: Mapping[str, Any]) -> str:
    """Repeat what a case has parked because what it objected to has been decided otherwise; what to say of it, or nothing."""
    if case["work_item_id"] is None or case["work_status"] not in {"parked", "due"} or case["being_reprocessed_by"]:
        return ""
    return str(_begin(asked, doing, [case], {})["sentence"])


def _begin(
    asked: Asked,
    doing: Doing,
    named: Sequence[Mapping[str, Any]],
    skipped: dict[UUID, str],
) -> dict[str, Any]:
    """Freeze the list and send its first wave, unless a second person has to agree first."""
    pace = _pace(asked)
    going = [case for case in named if case["case_id"] not in skipped]
    value = worth(going)
    limit = doing.setup.policies.second_person_above
    waits = bool(going) and limit is not None and value > limit
    redrive_id = doing.setup.new_id(doing.now)
    _freeze(asked, doing, redrive_id, named, skipped, pace, waits=waits)
    _note(asked, doing, redrive_id, going)
    store.run(doing.connection, "redrive.queue_cases", case_id=[case["case_id"] for case in going])
    if waits:
        sentence = (
            f"{len(going)} worth {rounded(value, doing.setup.mappings.group_currency):,} "
            f"{doing.setup.mappings.group_currency} wait for a second person to confirm."
        )
    else:
        waves.begin(doing.connection, doing.setup, redrive_id, now=doing.now)
        sentence = _how_many(len(going), list(skipped.values()))
    return {
        "sentence": sentence,
        "redrive_id": str(redrive_id),
        "queued": len(going),
        "skipped": {str(case_id): why for case_id, why in skipped.items()},
    }


def _pace(asked: Asked) -> Pace:
    try:
        return Pace.model_validate(asked.arguments.get("pace") or {})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Refusal("failed", f"The pace cannot be kept: {first['loc'][-1]}: {first['msg']}.") from None


def worth(named: Sequence[Mapping[str, Any]]) -> Decimal:
    """What the documents of some cases are worth in group currency, each counted once."""
    once = {case["document_id"] or case["case_id"]: case["group_amount"] or ZERO for case in named}
    return sum(once.values(), ZERO)


def _how_many(going: int, reasons: list[str]) -> str:
    if not reasons:
        return f"{going} {'is' if going == 1 else 'are'} being reprocessed."
    if going:
        return f"{going} of {going + len(reasons)} are being reprocessed."
    return (
        f"Nothing is reprocessed: {reasons[0]}."
        if len(set(reasons)) == 1
        else "Nothing is reprocessed; each has its own reason."
    )


def _why_not(case: Mapping[str, Any]) -> str:
    """Why a case is left out of a reprocessing, or nothing."""
    if case["closed_at"] is not None:
        return "it has been closed meanwhile"
    if case["being_reprocessed_by"]:
        return f"it is being reprocessed already, by {case['being_reprocessed_by']}"
    if case["version"] != case["seen_version"]:
        return "it has changed since you looked at it"
    if case["retryable"] == "never":
        return f"repeating does not help: {kind_of(case['code']).next_step.rstrip('.')}"
    if case["work_item_id"] is None and case["message_id"] is None:
        return "there is nothing to repeat"
    if case["work_item_id"] is not None and case["work_status"] not in {"parked", "due"}:
        return "it is being worked on right now"
    return ""


def _freeze(
    asked: Asked,
    doing: Doing,
    redrive_id: UUID,
    named: Sequence[Mapping[str, Any]],
    skipped: Mapping[UUID, str],
    pace: Pace,
    *,
    waits: bool,
) -> None:
    store.run(
        doing.connection,
        "redrive.insert_redrive",
        redrive_id=redrive_id,
        asked_by=asked.actor,
        now=doing.now,
        action=asked.action.value,
        state="awaiting_confirmation" if waits else "running",
        reason_code=str(asked.arguments.get("reason_code", "other")),
        reason=asked.reason,
        scope=str(asked.arguments.get("scope", "selected rows")),
        item_count=len(named),
        group_amount=worth(named),
        **pace.model_dump(),
    )
    places = _places(named, pace.canary_size)
    store.run(
        doing.connection,
        "redrive.insert_items",
        redrive_id=redrive_id,
        case_id=[case["case_id"] for case in named],
        document_id=[case["document_id"] for case in named],
        work_item_id=[case["work_item_id"] for case in named],
        case_version=[case["seen_version"] for case in named],
        place=[places[case["case_id"]] for case in named],
        cause=[case["fingerprint"] for case in named],
        status=["skipped" if case["case_id"] in skipped else "waiting" for case in named],
        result=[skipped.get(case["case_id"], "") for case in named],
        business_unit=[case["business_unit"] for case in named],
        now=doing.now,
    )


def _places(named: Sequence[Mapping[str, Any]], canary_size: int) -> dict[UUID, int]:
    """In which order they are sent: of each cause first those where least is at stake, to see whether it works; then by the nearest
    date, the largest first."""
    canary: list[Mapping[str, Any]] = []
    rest: list[Mapping[str, Any]] = []
    of_cause: Counter[str] = Counter()
    for case in sorted(named, key=lambda case: (case["group_amount"] or ZERO, case["case_id"])):
        of_cause[case["fingerprint"]] += 1
        (canary if of_cause[case["fingerprint"]] <= canary_size else rest).append(case)
    rest.sort(key=lambda case: (case["due_on"] is None, case["due_on"], -(case["group_amount"] or ZERO)))
    return {case["case_id"]: place for place, case in enumerate([*canary, *rest], start=1)}


def _note(asked: Asked, doing: Doing, redrive_id: UUID, going: Sequence[Mapping[str, Any]]) -> None:
    """What was asked stands in the history of each case and document."""
    heads = store.lock_heads(
        doing.connection, sorted({case["document_id"] for case in going if case["document_id"] is not None})
    )
    for case in going:
        details = {"redrive_id": str(redrive_id)}
        doing.recording.case_event(
            case["case_id"], asked.actor, asked.action.value, asked.reason, details, case["business_unit"]
        )
        if case["document_id"] in heads:
            doing.recording.note(
                heads[case["document_id"]],
                "reprocessing_asked",
                actor=asked.actor,
                attributes={"reason": asked.reason, "redrive_id": str(redrive_id)},
            )


def _asked_for_it(actor: str, case: Mapping[str, Any], setup: Setup) -> bool:
    """Whether somebody is the requester, whatever they are called where they asked."""
    requester = case["requester"]
    if not requester:
        return False
    places = {case["source_system"], setup.role_of(flows.Role.PROCUREMENT, case["business_unit"])}
    return any(is_same_person(actor, place, requester, case["requester_email"], setup) for place in places)


def is_same_person(actor: str, system: str, login: str, email: str, setup: Setup) -> bool:
    """Whether a user of the application is somebody of another system: by name, by mail address or by the identities
    table (D07)."""
    if login.lower() in {actor.lower(), actor.partition("@")[0].lower()}:
        return True
    somebody = setup.mappings.employee("finsync", actor, actor if "@" in actor else "")
    return setup.mappings.employee(system, login, email) == somebody


# -- while it goes on ----------------------------------------------------------------------------------------------------------

STEERED = {
    # what is asked for: (in which states it makes sense, the state afterwards)
    "pause": ({"running"}, "paused"),
    "resume": ({"paused", "halted"}, "running"),
    "cancel": ({"awaiting_confirmation", "running", "paused", "halted"}, "cancelled"),
}


def steer(asked: Asked, doing: Doing) -> dict[str, Any]:
    """Pause, resume or cancel a reprocessing (Q10). What has been sent goes on to its end; what has not waits, or is dropped."""
    to = str(asked.arguments.get("to", ""))
    if to not in STEERED:
        raise Refusal("failed", f"A reprocessing can be told to {', '.join(STEERED)}.")
    redrive = _held(asked, doing)
    states, state = STEERED[to]
    if redrive["state"] not in states or redrive["finished_at"] is not None:
        raise Refusal("conflict", f"It cannot {to} any more: {_how_it_stands(redrive)}.")
    # Refusals that a person has looked at do not stop it a second time, and it begins carefully again.
    judged_from = redrive["wave"] + 1 if redrive["state"] == "halted" else redrive["judged_from"]
    store.run(
        doing.connection,
        "redrive.steer",
        redrive_id=redrive["redrive_id"],
        state=state,
        because=asked.reason,
        by=asked.actor,
        judged_from=judged_from,
        now=doing.now,
    )
    if to != "cancel":
        return {"sentence": {"pause": "Paused: no further wave is sent.", "resume": "It goes on."}[to]}
    dropped = store.rows(
        doing.connection,
        "redrive.drop_waiting",
        redrive_id=redrive["redrive_id"],
        result=f"Cancelled by {asked.actor} before its turn.",
        now=doing.now,
    )
    store.run(doing.connection, "redrive.give_cases_back", case_id=[row["case_id"] for row in dropped])
    doing.recording.finished_redrives.add(redrive["redrive_id"])
    return {"sentence": f"Cancelled: {len(dropped)} are not sent; what was sent before goes on to its end."}


def confirm(asked: Asked, doing: Doing) -> dict[str, Any]:
    """A second person agrees to a sensitive reprocessing (D07, Q25): neither who asked for it, nor the requester, nor an approver
    of a document in it, whatever they are called elsewhere."""
    redrive = _held(asked, doing)
    if redrive["state"] != "awaiting_confirmation":
        raise Refusal("conflict", f"There is nothing to confirm any more: {_how_it_stands(redrive)}.")
    if is_same_person(asked.actor, "finsync", redrive["asked_by"], _address(redrive["asked_by"]), doing.setup):
        raise Refusal("denied", "Whoever asked for it cannot confirm it.")
    procurement = doing.setup.role_of(flows.Role.PROCUREMENT, "")
    involved = store.rows(
        doing.connection, "redrive.people_of", redrive_id=redrive["redrive_id"], procurement=procurement
    )
    for person in involved:
        if is_same_person(asked.actor, person["system"], person["login"], person["email"], doing.setup):
            raise Refusal("denied", f"{person['login']} requested or approved one of these documents, and is you.")
    store.run(
        doing.connection,
        "redrive.confirm",
        redrive_id=redrive["redrive_id"],
        confirmed_by=asked.actor,
        now=doing.now,
    )
    waves.begin(doing.connection, doing.setup, redrive["redrive_id"], now=doing.now)
    return {"sentence": "Confirmed: the first wave is sent.", "redrive_id": str(redrive["redrive_id"])}


def _address(name: str) -> str:
    return name if "@" in name else ""


def _held(asked: Asked, doing: Doing) -> dict[str, Any]:
    """The reprocessing the command names, held, if the asker sees all of it."""
    try:
        redrive_id = UUID(str(asked.arguments.get("redrive_id")))
    except ValueError:
        raise Refusal("failed", "The command does not say which reprocessing it is about.") from None
    found = store.rows(doing.connection, "redrive.lock", redrive_id=redrive_id)
    units = {row["business_unit"] for row in store.rows(doing.connection, "redrive.units_of", redrive_id=redrive_id)}
    if not found or not units or not all(sees(asked.units, unit) for unit in units):
        raise Refusal("denied", "The reprocessing is not among those you may see as a whole.")
    doing.business_units.update(units)
    return found[0]


def _how_it_stands(redrive: Mapping[str, Any]) -> str:
    state = {"awaiting_confirmation": "it waits for a second person"}.get(redrive["state"], f"it is {redrive['state']}")
    return f"{state}, since {redrive['state_at']:%Y-%m-%d %H:%M} UTC" if redrive["state_at"] else state


ACTIONS = {
    Action.REPROCESS: reprocess,
    Action.ACCEPT: accept,
    Action.STEER: steer,
    Action.CONFIRM: confirm,
}
