"""Remediation tasks in ServiceNow: one for each exception, opened for the team that owns it and resolved when settled."""

from collectors.http import Session
from collectors.servicenow_api import NAME, OURS, age, check_ours, moment, plain, row_of, select, where, write
from collectors.servicenow_papers import TEXT_CHARS, task_body
from sync_engine.model.ports import Answer, Ask, Identifier, Json

TASK_CLOSED = ("6", "7", "8")
"""Incident states: resolved, closed, cancelled."""
TASK_CANCELLED = "8"
TASK_COLUMNS = "sys_id,number,state,correlation_display,sys_created_on"


def create_remediation_task(session: Session, ask: Ask) -> Answer:
    """Open a task for the team that owns an exception."""
    table, tasks = session.state["task_table"], _tasks(session, ask)
    if not tasks:
        body = task_body(ask, _case_reference(ask)) | _assignment(session, str(ask.subject.get("owner_team", "")))
        created = write(session, "POST", table, body, doing=f"open a task for {ask.document.number}")
        tasks = _tasks(session, ask) or [created]
    kept, *younger = tasks
    for extra in younger:
        body = {"state": TASK_CANCELLED, "work_notes": f"{kept['number']} is about the same exception."}
        write(session, "PATCH", f"{table}/{extra['sys_id']}", body, doing=f"cancel {extra['number']}")
    return _task_answer(kept)


def find_remediation_task(session: Session, ask: Ask) -> Answer | None:
    """The task under the case's reference."""
    tasks = _tasks(session, ask)
    return _task_answer(tasks[0]) if tasks else None


def _case_reference(ask: Ask) -> str:
    return f"{OURS}case-{ask.subject['case_id']}"


def _tasks(session: Session, ask: Ask) -> list[Json]:
    """What stands under the case's reference and was not cancelled, oldest first; refused when about something else."""
    ours = [where("correlation_id", "=", _case_reference(ask))]
    rows, _ = select(session, session.state["task_table"], ours, TASK_COLUMNS)
    tasks = sorted((row for row in rows if row.get("state") != TASK_CANCELLED), key=age)
    for oldest in tasks[:1]:
        # It names the number people know the document by, as that was then: what could not be read goes by another once it can be.
        check_ours(oldest, ask, also_called=ask.subject.get("number"))
    return tasks


def _assignment(session: Session, team: str) -> Json:
    """A team that ServiceNow does not know by name leaves the task to its dispatcher; the text names it."""
    if not team:
        return {}
    rows, _ = select(session, "sys_user_group", [where("name", "=", team), where("active", "=", "true")], "sys_id")
    return {"assignment_group": rows[0]["sys_id"]} if len(rows) == 1 else {}


def _task_answer(task: Json) -> Answer:
    sys_id, number = task["sys_id"], task["number"]
    return Answer(
        facts={"task": sys_id, "task_number": number},
        identifiers=(Identifier(NAME, "incident", sys_id), Identifier(NAME, "incident_number", number)),
        at=moment(task["sys_created_on"], "sys_created_on"),
    )


def close_remediation_task(session: Session, ask: Ask) -> Answer:
    """Resolve the exception's task; one that somebody has closed already is left as it is."""
    sys_id = ask.facts.get("task")
    if not sys_id:
        return Answer(facts={"skipped": "no task was opened"})
    table = session.state["task_table"]
    task = row_of(session, table, str(sys_id), TASK_COLUMNS)
    if task.get("state") not in TASK_CLOSED:
        because = plain(ask.subject.get("closed_because") or "The exception is settled.", TEXT_CHARS)
        body = {"state": "6", "close_code": session.state["close_code"], "close_notes": because}
        write(session, "PATCH", f"{table}/{sys_id}", body, doing=f"resolve {task['number']}")
    return Answer(facts={"task_closed_at": ask.now.isoformat()})
