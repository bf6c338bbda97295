"""$batch of OData V2: several requests in one multipart body, changesets in it as multipart bodies of their own."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sandbox.s4hana.messages import Rejected, message
from sandbox.wire import Response


@dataclass(frozen=True)
class Operation:
    """One request inside a $batch."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


def batch_parts(body: bytes, content_type: str) -> list[list[Operation]]:
    """The operations of a $batch: each inner list is one changeset, or a single read.

    Raises:
        Rejected: it is no multipart body.
    """
    found = re.search(r'boundary="?([^";]+)"?', content_type)
    if found is None:
        raise Rejected(message("/IWBEP/CM_MGW_RT/023", "multipart/mixed without boundary"))
    groups = []
    for part in _split(body, found[1]):
        head, _, rest = part.partition(b"\r\n\r\n")
        inner = re.search(rb'boundary="?([^";\r\n]+)"?', head)
        groups.append([_operation(sub) for sub in _split(rest, inner[1].decode())] if inner else [_operation(part)])
    return groups


def _split(body: bytes, boundary: str) -> list[bytes]:
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary.encode())
    return [piece[2:] for piece in pieces[1:] if not piece.startswith(b"--")]


def _operation(part: bytes) -> Operation:
    _, _, http = part.partition(b"\r\n\r\n")
    head, _, body = http.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, path, *_ = first.split(" ")
    headers = {
        name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)
    }
    return Operation(method, path, headers, body.strip(b"\r\n"))


_REASONS = {200: "OK", 201: "Created", 204: "No Content", 400: "Bad Request", 404: "Not Found"}


def batch_body(groups: Sequence[Sequence[Response] | Response], boundary: str) -> bytes:
    """The multipart answer; a changeset that failed is answered by one response instead of a list."""

    def http(response: Response) -> bytes:
        headers = {**response.headers, "Content-Length": str(len(response.body))}
        lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Error')}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        head = "Content-Type: application/http\r\ncontent-transfer-encoding: binary\r\n\r\n"
        return (head + "\r\n".join(lines) + "\r\n\r\n").encode() + response.body

    def joined(parts: Sequence[bytes], mark: str) -> bytes:
        return b"".join(f"--{mark}\r\n".encode() + part + b"\r\n" for part in parts) + f"--{mark}--\r\n".encode()

    outer = []
    for number, group in enumerate(groups):
        if isinstance(group, Response):
            outer.append(http(group))
            continue
        inner = joined([http(response) for response in group], f"{boundary}_{number}")
        outer.append(f"Content-Type: multipart/mixed; boundary={boundary}_{number}\r\n\r\n".encode() + inner)
    return joined(outer, boundary)
