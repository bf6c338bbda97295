"""What the API answers when it cannot answer: RFC 9457 problem details that say what to do next, and nothing of the inside."""

import http
from typing import Any

import psycopg
import sqlalchemy as sa
import structlog
from fastapi import FastAPI, Request
from fastapi.encoders import jsonable_encoder
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
FIELDS_MAX = 50
"""How many wrong fields one answer names."""

log = structlog.get_logger()


class ProblemDetails(BaseModel):
    """RFC 9457, with `next_step` for whoever has to act. Some problems carry more members."""

    type: str = Field(description="Names the kind of problem; stable.", examples=["urn:finsync:problem:not_found"])
    title: str
    status: int
    detail: str
    next_step: str
    candidates: list[dict[str, Any]] | None = Field(None, description="The documents a number may mean.")
    errors: list[dict[str, str]] | None = Field(None, description="What is wrong with the request, field by field.")


class Problem(Exception):
    """Ends a request with a problem.

    Args:
        status: The HTTP status.
        code: The last part of the problem's type.
        detail: What is the matter with this request.
        next_step: What the caller can do about it.
        headers: To be sent with it.
        more: Further members of the problem.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, next_step: str, headers: dict[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.next_step = next_step
        self.headers = headers or {}
        self.more = more


def unauthorized(detail: str) -> Problem:
    """Nobody is known to be asking."""
    return Problem(
        401,
        "unauthorized",
        detail,
        next_step="Send 'Authorization: Bearer <token>' with a token of `finsync token <user>`.",
        headers={"www-authenticate": 'Bearer realm="finsync", error="invalid_token"'},
    )


def too_large(limit: int) -> Problem:
    """The request's body is longer than anything we would read."""
    return Problem(413, "too_large", f"A request may have {limit} bytes.", next_step="Send one document at a time.")


def answer(problem: Problem) -> JSONResponse:
    """The response that tells a problem."""
    content = {
        "type": f"urn:finsync:problem:{problem.code}",
        "title": http.HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.detail,
        "next_step": problem.next_step,
        **jsonable_encoder(problem.more),
    }
    return JSONResponse(content, problem.status, headers=problem.headers, media_type=MEDIA_TYPE)


def _refused(request: Request, problem: Problem) -> JSONResponse:
    if problem.status in {401, 403}:
        log.warning("a request was refused", path=request.url.path, status=problem.status, why=problem.detail)
    return answer(problem)


def _unreadable(_request: Request, error: RequestValidationError) -> JSONResponse:
    wrong = [
        {"field": ".".join(str(part) for part in one["loc"]), "message": one["msg"]}
        for one in error.errors()[:FIELDS_MAX]
    ]
    is_json = any(one["type"] == "json_invalid" for one in error.errors())
    detail = "The body is not JSON." if is_json else f"{wrong[0]['field']}: {wrong[0]['message']}."
    return answer(
        Problem(
            400 if is_json else 422,
            "unreadable",
            detail,
            next_step="Correct the request as the schema at /v1/openapi.json says.",
            errors=wrong,
        )
    )


def _of_http(_request: Request, error: HTTPException) -> JSONResponse:
    code = "not_found" if error.status_code == 404 else http.HTTPStatus(error.status_code).name.lower()
    return answer(
        Problem(
            error.status_code,
            code,
            str(error.detail),
            next_step="See /v1/openapi.json for what can be asked.",
            headers=dict(error.headers or {}),
        )
    )


def _too_slow(request: Request, _error: Exception) -> JSONResponse:
    log.warning("an answer took too long", path=request.url.path)
    return answer(
        Problem(
            503,
            "too_slow",
            "The answer took too long and was given up.",
            next_step="Ask for less, or again later.",
            headers={"retry-after": "5"},
        )
    )


def _database_away(request: Request, error: Exception) -> JSONResponse:
    log.error("the database does not answer", path=request.url.path, error=str(error).splitlines()[0])
    return answer(
        Problem(
            503,
            "unavailable",
            "The database does not answer.",
            next_step="Ask again in a few seconds.",
            headers={"retry-after": "5"},
        )
    )


def _bug(request: Request, error: Exception) -> JSONResponse:
    log.error("a request failed", path=request.url.path, error=f"{type(error).__name__}: {error}", exc_info=error)
    return answer(
        Problem(
            500,
            "unexpected",
            "Something happened that nobody planned for.",
            next_step="Tell integration support when it happened; it is in the log.",
        )
    )


def handle_problems(api: FastAPI) -> None:
    """Let every way a request can fail end as a problem."""
    handlers: dict[type[Exception], Any] = {
        Problem: _refused,
        RequestValidationError: _unreadable,
        HTTPException: _of_http,
        psycopg.errors.QueryCanceled: _too_slow,
        psycopg.OperationalError: _database_away,
        psycopg.InterfaceError: _database_away,
        sa.exc.OperationalError: _database_away,
        sa.exc.TimeoutError: _database_away,
        Exception: _bug,
    }
    for kind, handler in handlers.items():
        api.add_exception_handler(kind, handler)


def told(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problems an operation may answer with, for the schema."""
    return {
        status: {"model": ProblemDetails, "description": http.HTTPStatus(status).phrase}
        for status in (401, *statuses, 422, 503)
    }
