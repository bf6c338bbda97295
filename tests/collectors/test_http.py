"""One session: what it sends is what the client library would send, and no reply is larger than is honest."""

import gzip
import json
import threading
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from collectors.http import MAX_REPLY_BYTES, RECORDED_BYTES, ClientCredentials, Session
from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, TransientError

HUGE = 4 * MAX_REPLY_BYTES
PIECE = b" " * 65_536


class Hostile(BaseHTTPRequestHandler):
    """Answers with too much, in every way there is; the server counts what it got rid of."""

    protocol_version = "HTTP/1.1"

    def _serve(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status, *how = self.server.answers.pop(0)
        self.send_response_only(status)
        if "chunked" in how:
            self.send_header("Transfer-Encoding", "chunked")
        if "gzip" in how:
            self.send_header("Content-Encoding", "gzip")
        if "text" in how:
            body = how[-1]
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
            return
        if "declared" in how:
            self.send_header("Content-Length", str(HUGE))
        self.end_headers()
        try:
            for _ in range(HUGE // len(PIECE)):
                head, foot = (b"%x\r\n" % len(PIECE), b"\r\n") if "chunked" in how else (b"", b"")
                self.wfile.write(head + PIECE + foot)
                self.server.sent += len(PIECE)
        except OSError:
            self.close_connection = True

    do_GET = do_POST = _serve  # noqa: N815 - names the base class looks for

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def server():
    with ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as there:
        there.daemon_threads, there.sent, there.answers = True, 0, []
        threading.Thread(target=there.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        there.url = f"http://127.0.0.1:{there.server_address[1]}"
        yield there
        there.shutdown()


def session(server, auth=None):
    return Session("coupa", server.url, auth=auth, timer=lambda: 0.0, timeout_s=10)


def token(server):
    return ClientCredentials(
        f"{server.url}/token", lambda: ("finsync", "sandbox"), scope="", in_body=True, timer=lambda: 0.0
    )


def test_a_reply_that_says_it_is_too_large_is_not_read_at_all(server):
    server.answers = [(200, "declared")]
    there = session(server)
    with there.tracing("ab" * 16) as calls, pytest.raises(TransientError, match=f"200 with {HUGE} bytes, and at most"):
        there.get("/records")
    assert server.sent < HUGE / 4  # what the system's own buffers took
    (call,) = calls
    assert (call.error, call.answered, call.response_bytes) == ("too large", "", 0)
    there.close()


def test_a_reply_that_does_not_end_is_read_to_the_limit_and_no_further(server):
    server.answers = [(200, "chunked")]
    there = session(server)
    with pytest.raises(TransientError, match=f"200 with more, and at most {MAX_REPLY_BYTES} bytes are read"):
        there.get("/records")
    assert server.sent < HUGE * 3 / 4
    there.close()


def test_a_page_with_a_record_of_fifty_megabytes_is_read_so_that_its_feed_can_go_on(server):
    """F7: the engine parks the record; a page that cannot be read would stop the feed."""
    server.answers = [(200, "text", b"[" + b" " * 50_000_000 + b"]")]
    there = session(server)
    assert len(there.get("/records").content) == 50_000_002
    there.close()


def test_after_a_write_a_reply_that_is_too_large_leaves_us_not_knowing(server):
    server.answers = [(200, "declared")]
    there = session(server)
    with pytest.raises(AnswerLost, match="at most"):
        there.request("POST", "/records", json_body={})
    there.close()


def test_a_small_reply_that_unpacks_to_a_huge_one_is_too_large(server):
    server.answers = [(200, "gzip", "text", gzip.compress(bytes(HUGE)))]
    there = session(server)
    with pytest.raises(TransientError, match="at most"):
        there.get("/records")
    there.close()


@pytest.mark.parametrize("how", ["declared", "chunked"])
def test_who_gives_out_tokens_cannot_answer_too_much_either(server, how):
    server.answers = [(200, how)]
    there = session(server, token(server))
    with pytest.raises(TransientError, match="at most"):
        there.get("/records")
    assert server.sent < HUGE * 3 / 4
    there.close()


def test_a_refused_token_with_too_much_said_about_it_is_not_read(server):
    given_out = (200, "text", b'{"access_token": "t", "expires_in": 60}')
    server.answers = [given_out, (401, "chunked")]
    there = session(server, token(server))
    with pytest.raises(TransientError, match="at most"):
        there.get("/records")
    assert server.sent < HUGE * 3 / 4
    there.close()


@pytest.mark.parametrize(
    "page", [b"<html>welcome</html>", b"[]", b'"t"', b'{"token": "t"}', b'{"access_token": "t", "expires_in": {}}']
)
def test_what_is_no_token_is_asked_for_again(server, page):
    server.answers = [(200, "text", page)]
    there = session(server, token(server))
    with pytest.raises(TransientError, match="something that is no token"):
        there.get("/records")
    there.close()


def test_a_refused_client_is_told_in_the_systems_words(server):
    server.answers = [(401, "text", b'{"error": "invalid_client"}')]
    there = session(server, token(server))
    with pytest.raises(ConfigurationError, match="invalid_client"):
        there.get("/records")
    there.close()


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b"a" * RECORDED_BYTES, "a" * RECORDED_BYTES),
        (b"a" * (RECORDED_BYTES * 3), "a" * RECORDED_BYTES),
        ("ä".encode() * RECORDED_BYTES, "ä" * (RECORDED_BYTES // 2)),
        (b"a" + "ä".encode() * RECORDED_BYTES, "a" + "ä" * (RECORDED_BYTES // 2 - 1)),
        (b"caf\xe9", "caf\ufffd"),
    ],
    ids=["as much as is kept", "more", "more in two bytes each", "a character cut in two", "no UTF-8"],
)
def test_the_record_of_a_call_keeps_the_beginning_of_a_long_body(server, body, kept):
    server.answers = [(400, "text", body)]
    there = session(server)
    with there.tracing("") as calls, pytest.raises(BusinessRejection):
        there.request("POST", "/records", content=body)
    (call,) = calls
    assert (call.sent, call.answered) == (kept, kept)
    assert (call.request_bytes, call.response_bytes) == (len(body), len(body))
    there.close()


# What is sent

PLAIN = st.text(
    st.characters(codec="utf-8", exclude_characters="\r\n#?", exclude_categories=("Cs", "Cc")), max_size=12
).filter(lambda text: text not in {".", ".."})
NAMES = st.text("abcXYZ[]_$", min_size=1, max_size=10)


@cache
def reaching(base):
    """A session with nobody; one for each address, as a pool of connections is dear."""
    return Session("coupa", base, auth=None, timer=lambda: 0.0, headers={"X-Tenant": "1"})


@given(
    there=st.sampled_from(["http://coupa", "https://a.example/", "https://a.example:8443/below", "http://a:80/x/"]).map(
        reaching
    ),
    parts=st.lists(PLAIN, max_size=3),
    params=st.dictionaries(NAMES, PLAIN, max_size=3),
    headers=st.dictionaries(st.sampled_from(["accept", "If-Match", "X-Reference"]), NAMES, max_size=2),
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE", "MERGE"]),
    content=st.sampled_from([b"", b"{}", "ä".encode()]),
)
def test_what_is_sent_is_what_the_client_library_would_send(there, parts, params, headers, method, content):
    path = "/" + "/".join(["api", *parts])
    ours = there._built(method, there._address(path, params), headers, content)
    theirs = there._client.build_request(method, path, params=params or None, headers=headers, content=content or None)
    assert (ours.method, str(ours.url)) == (theirs.method, str(theirs.url))
    assert sorted(ours.headers.items()) == sorted(theirs.headers.items())
    assert ours.content == theirs.read()


def test_a_whole_address_and_cookies_are_sent_as_they_are():
    there = Session("s4hana", "http://s4hana/below", auth=None, timer=lambda: 0.0)
    there._client.cookies.set("session", "1", domain="s4hana.local")
    built = there._built("GET", there._address("http://s4hana/elsewhere?a=b", {"c": "d e"}), {}, b"")
    assert str(built.url) == "http://s4hana/elsewhere?a=b&c=d+e"
    assert built.headers["Cookie"] == "session=1"
    assert json.loads(there._built("POST", "http://s4hana/", {}, b"{}").content) == {}
    assert isinstance(built, httpx2.Request)
