"""The dashboard as a process: Streamlit behind security headers, with the identity provider where one is configured."""

import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime.pages_manager import PagesManager
from streamlit.web.server.starlette.starlette_app import App

from sync_engine import cores
from sync_engine.cli.stopping import end_with_supervisor
from sync_engine.engine.runner import calm_collector
from sync_engine.settings import Settings

HEADERS = {
    # Streamlit evaluates its own scripts and styles inline and plotly makes workers from blobs; nothing comes from elsewhere.
    "content-security-policy": "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; "
    "font-src 'self' data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cross-origin-opener-policy": "same-origin",
}
STRICT_TRANSPORT = "max-age=31536000; includeSubDomains"
CALLBACK = "/oauth2callback"

log = structlog.get_logger()


class SecurityHeaders:
    """Puts the headers on every answer."""

    def __init__(self, app: ASGIApp, *, over_https: bool) -> None:
        self._app = app
        self._headers = {**HEADERS, **({"strict-transport-security": STRICT_TRANSPORT} if over_https else {})}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(self._headers)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def secrets_for(settings: Settings) -> dict[str, Any]:
    """What `st.login` needs; empty without an identity provider."""
    if not settings.has_identity_provider:
        return {}
    return {
        "auth": {
            "redirect_uri": settings.app_url.rstrip("/") + CALLBACK,
            "cookie_secret": settings.cookie_secret.get_secret_value(),
            "client_id": settings.oidc_client_id,
            "client_secret": settings.oidc_client_secret.get_secret_value(),
            "server_metadata_url": settings.oidc_metadata_url,
        }
    }


def script() -> Path:
    """Where `app.py` is."""
    found = find_spec("app")
    if found is None or found.origin is None:
        raise FileNotFoundError("app.py is not beside sync_engine; install the project or start from its folder.")
    return Path(found.origin)


def run_app(settings: Settings) -> None:
    """Serve the dashboard until told to stop."""
    end_with_supervisor()
    path = script()
    # Streamlit looks for .streamlit/config.toml in the working folder.
    os.chdir(path.parent)
    headers = Middleware(SecurityHeaders, over_https=settings.app_url.startswith("https://"))
    hosts = dict.fromkeys([urlsplit(settings.app_url).hostname or "127.0.0.1", "127.0.0.1", "localhost"])
    # Pages are functions that app.py registers; the folder of that name is no menu of Streamlit's own (STYLE.md, hazard 1).
    PagesManager.uses_pages_directory = False
    app = App(path, secrets=secrets_for(settings), middleware=[headers], on_script_error=_note)
    import_module("app")  # with every page, so that the collector need never look through them
    calm_collector()
    log.info("app started", url=settings.app_url)
    config = {
        "server.address": settings.app_host,
        "server.port": settings.app_port,
        "server.headless": True,
        # Streamlit looks through everything there is after every drawing: among a company's answers that takes as long as
        # the drawing itself. Python's own collector looks when there is reason to.
        "runner.postScriptGC": False,
        # A page of somebody else's must not talk to this server under a name of its own (DNS rebinding).
        "server.allowedHosts": list(hosts),
    }
    with cores.on_one(wanted=settings.one_core):
        app.run(config=config)


def _note(error: Exception) -> None:
    log.error("a page failed", error=f"{type(error).__name__}: {error}", exc_info=error)
