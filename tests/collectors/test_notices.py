"""Nothing is sent where nothing may be sent: no server of the company's own, no metadata service, no redirect, no second look-up
(RELIABILITY 4.4 SSRF)."""

import pytest

from collectors.notices import is_public, post
from sync_engine.model.errors import AnswerLost, BusinessRejection, ConfigurationError, TransientError
from tests.insight.alerting.sinks import webhook_sink

INSIDE = (
    "127.0.0.1", "10.0.0.7", "172.16.3.4", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.0.2.1", "198.18.0.1",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "2002:7f00:1::", "fd00:ec2::254",
)  # fmt: skip
ADDRESSES = (
    "file:///etc/passwd", "gopher://example.test/", "ftp://example.test/", "//example.test/x", "example.test", "", "https://", "https://user:pass@example.test/",
    "https://[::1", "javascript:alert(1)", "http://example.test/hook",
)  # fmt: skip


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_inside_is_refused_before_anything_is_sent(address):
    assert not is_public(address)
    with pytest.raises(ConfigurationError, match="allow_private"):
        post("https://chat.example.test/hook", b"{}", (), allow_private=False, lookup=lambda *_: [address])


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1:248:1893:25c8:1946"])
def test_an_address_outside_is_not(address):
    assert is_public(address)


def test_one_address_inside_among_others_is_enough():
    with pytest.raises(ConfigurationError):
        post("https://x.test/", b"", (), allow_private=False, lookup=lambda *_: ["93.184.216.34", "10.0.0.1"])


@pytest.mark.parametrize("url", ADDRESSES)
def test_what_is_no_address_of_a_webhook_is_refused(url):
    def nobody_looks(*_):
        raise AssertionError("a name was looked up")

    with pytest.raises(ConfigurationError):
        post(url, b"{}", (), allow_private=False, lookup=nobody_looks)


@pytest.mark.parametrize("host", ["2130706433", "0x7f.1", "127.1", "localhost"])
def test_other_spellings_of_this_machine_are_what_they_resolve_to(host):
    with pytest.raises((ConfigurationError, TransientError)):
        post(f"https://{host}/", b"{}", (), allow_private=False)


def test_the_connection_goes_to_the_address_that_was_looked_at():
    """DNS rebinding: a second look-up could answer something else, so there is none."""
    looked = []

    def once(host, _port):
        looked.append(host)
        return ["127.0.0.1"]

    with webhook_sink() as sink:
        post(
            f"http://chat.example.test:{sink.port}/hook?a=b",
            b"{}",
            [("webhook-id", "1")],
            allow_private=True,
            lookup=once,
        )
    [(path, headers, _)] = sink.requests
    assert looked == ["chat.example.test"]
    assert path == "/hook?a=b"
    assert headers["host"] == f"chat.example.test:{sink.port}"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(302, BusinessRejection), (400, BusinessRejection), (404, BusinessRejection), (410, BusinessRejection), (429, TransientError), (500, TransientError), (503, TransientError)],
)  # fmt: skip
def test_every_answer_is_of_a_kind(status, kind):
    with webhook_sink() as sink:
        sink.status, sink.headers = status, {"Location": f"http://127.0.0.1:{sink.port}/elsewhere"}
        with pytest.raises(kind):
            post(sink.url, b"{}", (), allow_private=True)
    assert len(sink.requests) == 1, "nothing is redirected, nothing repeated"


def test_of_a_long_answer_a_line_is_kept_and_none_of_the_address():
    with webhook_sink() as sink:
        sink.status, sink.answer = 400, b"x" * 10_000_000
        with pytest.raises(BusinessRejection) as refused:
            post(sink.url, b"{}", (), allow_private=True)
    assert len(str(refused.value)) < 400
    assert "secret-part" not in str(refused.value)


def test_nobody_there_is_certainly_not_sent():
    with webhook_sink() as sink:
        url = sink.url
    with pytest.raises((TransientError, AnswerLost)):
        post(url, b"{}", (), allow_private=True)
