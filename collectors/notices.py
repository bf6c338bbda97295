"""Takes notices out of the house: mail over SMTP, and JSON to the webhook of a chat or of anybody.

A destination stands in the configuration, never in a document or a form; even so its address may mean something else tomorrow
than today. So a name is looked up once, every address behind it has to be a public one (unless the destination says that it is
inside), and the connection goes to the very address that was looked at. Nothing is redirected, no proxy is asked, and of an
answer no more is read than what a person needs to see why it failed. An address is a key: no error quotes it.
"""

import ipaddress
import smtplib
import socket
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx2

from collectors.http import excerpt
from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, SyncError, TransientError

TIMEOUT_S = 15.0
READ_BYTES = 2_000

Lookup = Callable[[str, int], Iterable[str]]
"""The addresses behind a name."""


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. `credentials` answers (user, password) each time; empty: it asks for none."""

    host: str
    port: int
    sender: str
    starttls: bool
    credentials: Callable[[], tuple[str, str]]


def look_up(host: str, port: int) -> list[str]:
    """The addresses behind a name, as this machine resolves it."""
    return [str(found[4][0]) for found in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)]


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet's: not this machine, not this network, not a cloud's metadata service, and not
    one of those dressed up as an IPv6 address.

    >>> [is_public(one) for one in ("93.184.216.34", "127.0.0.1", "10.1.2.3", "169.254.169.254", "::ffff:10.0.0.1", "64:ff9b::a00:1")]
    [True, False, False, False, False, False]
    """
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if found in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFF_FFFF)
        if inner is not None:
            found = inner
    return found.is_global and not found.is_multicast


_TRANSLATED = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses behind a translator (RFC 6052)."""


def post(
    url: str,
    body: bytes,
    headers: Iterable[tuple[str, str]],
    *,
    allow_private: bool,
    lookup: Lookup = look_up,
    verify: ssl.SSLContext | None = None,
) -> None:
    """Send a signed or a chat's JSON.

    Raises:
        ConfigurationError: the address is none that anything may be sent to.
        TransientError: nobody answers, or somebody asks to wait.
        AnswerLost: sent, and no answer came.
        BusinessRejection: it was refused; `facts["status"]` says how.
    """
    host, address = _checked(url, allow_private=allow_private, lookup=lookup)
    parts = urlsplit(url)
    at = f"[{address}]" if ":" in address else address
    pinned = parts._replace(netloc=f"{at}:{parts.port}" if parts.port else at).geturl()
    named = f"{host}:{parts.port}" if parts.port else host
    sent = {"Content-Type": "application/json", **dict(headers), "Host": named, "User-Agent": "finance-workflow-sync"}
    try:
        with (
            httpx2.Client(timeout=TIMEOUT_S, follow_redirects=False, trust_env=False, verify=verify or True) as client,
            client.stream("POST", pinned, content=body, headers=sent, extensions={"sni_hostname": host}) as response,
        ):
            said = b"" if response.is_success else _beginning(response)
            status = response.status_code
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        raise TransientError(f"{host} cannot be reached: {type(error).__name__}.", system=host) from error
    except httpx2.HTTPError as error:
        raise AnswerLost(f"{host} did not answer: {type(error).__name__}.", system=host) from error
    if 200 <= status < 300:
        return
    words = excerpt(said.decode(errors="replace"))
    sentence = f"{host} answers {status}{': ' + words if words else ''}"
    if 300 <= status < 400:
        raise BusinessRejection(
            f"{host} answers {status}: it points elsewhere, and nothing is sent there.",
            system=host,
            facts={"status": status},
        )
    if status == 429 or status >= 500:
        raise TransientError(sentence, system=host)
    raise BusinessRejection(sentence, system=host, facts={"status": status})


def _checked(url: str, *, allow_private: bool, lookup: Lookup) -> tuple[str, str]:
    """The host's name and the one address to connect to.

    Raises:
        ConfigurationError, TransientError: see `post`.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError("The destination's address is no URL.") from None
    if not host or parts.username or parts.password or parts.scheme not in {"https", "http"}:
        raise ConfigurationError("The destination's address is not of the form https://host/path.")
    if parts.scheme == "http" and not allow_private:
        raise ConfigurationError(f"{host} is reached without encryption: only an address inside may be.", system=host)
    try:
        found = list(dict.fromkeys(lookup(host, port or (443 if parts.scheme == "https" else 80))))
    except (OSError, UnicodeError) as error:
        raise TransientError(f"{host} is not known: {error}", system=host) from error
    if not found:
        raise TransientError(f"{host} is not known.", system=host)
    if not allow_private and not all(is_public(address) for address in found):
        raise ConfigurationError(
            f"{host} lies inside a network, where nothing is sent unless the destination says allow_private = true.",
            system=host,
        )
    return host, found[0]


def _beginning(response: httpx2.Response) -> bytes:
    said = b""
    for chunk in response.iter_bytes(READ_BYTES):
        said += chunk
        if len(said) >= READ_BYTES:
            break
    return said[:READ_BYTES]


def hand_in(message: EmailMessage, server: MailServer, *, context: ssl.SSLContext | None = None) -> None:
    """Hand a mail in.

    Raises:
        ConfigurationError: the server does not want our credentials, or offers no encryption where it has to.
        TransientError: it cannot be reached, or asks to try later.
        AnswerLost: handed in, and no answer came.
        BusinessRejection: it refuses the mail or everybody it is for.
    """
    del message["From"]
    message["From"] = server.sender
    name = server.host
    try:
        with smtplib.SMTP(server.host, server.port, timeout=TIMEOUT_S) as smtp:
            smtp.ehlo()
            if server.starttls:
                smtp.starttls(context=context or ssl.create_default_context())
                smtp.ehlo()
            user, password = server.credentials()
            if user:
                smtp.login(user, password)
            refused = smtp.send_message(message)
    except (smtplib.SMTPAuthenticationError, smtplib.SMTPNotSupportedError) as error:
        raise ConfigurationError(f"{name}: {_said(error)}", system=name) from error
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused) as error:
        raise _refusal(name, error) from error
    except smtplib.SMTPServerDisconnected as error:
        raise AnswerLost(f"{name} hung up.", system=name) from error
    except (OSError, smtplib.SMTPException) as error:
        raise TransientError(f"{name} cannot be reached: {type(error).__name__}.", system=name) from error
    if refused:
        raise BusinessRejection(
            f"{name} refuses {len(refused)} of the addresses: {excerpt(str(next(iter(refused.values()))))}", system=name
        )


def _refusal(name: str, error: smtplib.SMTPException) -> SyncError:
    """RFC 5321: a reply of 4yz may be tried again, one of 5yz may not."""
    codes = (
        [code for code, _ in error.recipients.values()]
        if isinstance(error, smtplib.SMTPRecipientsRefused)
        else [getattr(error, "smtp_code", 0)]
    )
    kind: type[SyncError] = TransientError if all(400 <= code < 500 for code in codes) else BusinessRejection
    return kind(f"{name}: {_said(error)}", system=name)


def _said(error: smtplib.SMTPException) -> str:
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = next(iter(error.recipients.values()))
    elif isinstance(error, smtplib.SMTPResponseException):
        code, text = error.smtp_code, _bytes(error.smtp_error)
    else:
        return excerpt(str(error))
    return excerpt(f"{code} {text.decode(errors='replace')}")


def _bytes(said: bytes | str) -> bytes:
    """Smtplib keeps an answer as it came, but for some that it words itself."""
    return said if isinstance(said, bytes) else said.encode()
