"""What whoever runs the process asks: is it alive, may it be sent requests, how does the machinery stand. No token needed; no
document in the answers."""

from typing import Any, Literal

import psycopg
import sqlalchemy as sa
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel

from sync_engine.api.asking import InRoom, Room
from sync_engine.api.metrics import Metrics
from sync_engine.database.migrate import pending

ENGINE_SILENT_S = 60.0
"""Four heartbeats; an engine not heard of for longer counts as lost."""

CHECK_LIMIT_MS = 2_000

router = APIRouter(tags=["operation"])


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"] = "alive"


class Ready(BaseModel):
    """Whether requests can be answered, and documents move."""

    status: Literal["ready", "not ready"]
    reasons: list[str]


@router.get("/health", summary="The process lives")
def health() -> Alive:
    """Says nothing about database or engines: a restart would not mend those."""
    return Alive()


@router.get("/ready", summary="Requests can be answered", responses={503: {"model": Ready, "description": "Not ready"}})
def ready(room: InRoom) -> Response:
    """Ready when the database answers, its schema is current, and an engine was heard of within 60 seconds."""
    reasons = _reasons(room)
    answer = Ready(status="not ready" if reasons else "ready", reasons=reasons)
    return JSONResponse(answer.model_dump(), 503 if reasons else 200)


def _reasons(room: Room) -> list[str]:
    try:
        with room.unasked(CHECK_LIMIT_MS) as question:
            missing = pending(question.connection)
            if missing:
                return [f"The schema lacks {', '.join(missing)}; run finsync migrate."]
            silent_s = question.value("newest_engine_age_s")
    except (psycopg.Error, sa.exc.DBAPIError, sa.exc.TimeoutError):
        return ["The database does not answer."]
    if silent_s is None:
        return ["No engine is at work; start one with finsync engine."]
    if silent_s > ENGINE_SILENT_S:
        return [f"No engine was heard of for {silent_s:.0f} s; start one with finsync engine."]
    return []


@router.get(
    "/metrics",
    summary="Figures for monitoring",
    response_class=Response,
    responses={200: {"content": {"text/plain": {}}, "description": "Prometheus text"}},
)
def metrics(request: Request) -> Response:
    """Work, exceptions, attempts, feeds and breakers, at most five seconds old."""
    kept: Metrics = request.app.state.metrics
    return Response(kept.text(), media_type=CONTENT_TYPE_LATEST)


def figures(room: Room) -> list[dict[str, Any]]:
    """How the machinery stands, from the database."""
    with room.unasked(CHECK_LIMIT_MS) as question:
        return question.rows("operating_figures")
