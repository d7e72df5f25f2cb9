"""Requests that get through, once; refusals in words; and a token that goes to one portal alone."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import httpx
import pytest

from leukolens_client import Client, NotSignedIn, Refused, Stopped, Unreachable
from leukolens_client.wire import Backoff, Wire, plain_url, retry_after
from tests.client.fake import URL, FakePortal, cut, once, problem


def test_an_answer_that_got_lost_is_asked_for_again_and_the_request_is_done_once(
    portal: FakePortal, client: Client
) -> None:
    portal.after = once(cut("POST"))
    assert client.open_batch("Morning").id == 1
    assert len(portal.batches) == 1
    keys = {request.headers["Idempotency-Key"] for request in portal.requests}
    assert (len(portal.requests), len(keys)) == (2, 1)
    client.open_batch("Morning")
    assert portal.requests[-1].headers["Idempotency-Key"] not in keys
    assert len(portal.batches) == 2


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_what_passes_is_waited_for(portal: FakePortal, client: Client, status: int) -> None:
    portal.before = once(lambda request: httpx.Response(status, headers={"Retry-After": "0"}))
    assert client.me().laboratory == "North"
    assert len(portal.requests) == 2


def test_the_wait_is_as_long_as_the_server_asks(portal: FakePortal, client: Client) -> None:
    answer = problem(429, "throttled", "Too many requests.")
    answer.headers["Retry-After"] = "1"
    portal.before = once(lambda request: answer)
    began = time.monotonic()
    client.me()
    assert 1.0 <= time.monotonic() - began < 3.0


def test_the_same_request_that_is_still_being_done_is_waited_for(portal: FakePortal, client: Client) -> None:
    answer = problem(409, "idempotency_in_flight", "The first request with this key is still being done.")
    answer.headers["Retry-After"] = "0"
    portal.before = once(lambda request: answer)
    assert client.open_batch().id == 1


def test_patience_ends_in_words() -> None:
    def away(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody listens", request=request)

    with (
        Client(URL, "ll_right", transport=httpx.MockTransport(away), patience=0.2) as client,
        pytest.raises(Unreachable, match=r"https://lab\.example.*cannot be reached.*nobody listens"),
    ):
        client.me()


def test_a_server_that_asks_for_more_patience_than_there_is_is_not_waited_for(
    portal: FakePortal, client: Client
) -> None:
    answer = problem(429, "throttled", "Too many requests with this token.")
    answer.headers["Retry-After"] = "3600"
    portal.before = lambda request: answer
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"Too many requests.* wait for 3600 s"):
        client.me()
    assert time.monotonic() - began < 2.0


def test_a_refusal_carries_its_code_and_is_not_asked_again(portal: FakePortal, client: Client) -> None:
    errors = [
        {"field": "patient.mrn", "code": "blank", "detail": "May not be blank."},
        {"field": "priority", "code": "invalid_choice", "detail": "Unknown."},
    ]
    portal.before = lambda request: problem(409, "accession_taken", "It is taken.", existing=12, errors=errors)
    with pytest.raises(Refused) as caught:
        client.open_case("S26-1", mrn="1")
    refused = caught.value
    assert (refused.status, refused.code, refused.existing) == (409, "accession_taken", 12)
    assert [each.field for each in refused.errors] == ["patient.mrn", "priority"]
    assert str(refused) == "patient.mrn: May not be blank.; priority: Unknown."
    assert len(portal.requests) == 1
    sent: Any = json.loads(portal.requests[0].content)
    assert sent["patient"] == {"mrn": "1"}


def test_a_wrong_token_is_told_apart(portal: FakePortal) -> None:
    with Client(URL, "ll_wrong", transport=portal.transport) as client, pytest.raises(NotSignedIn, match="unknown"):
        client.me()


def test_the_token_goes_to_no_other_server(portal: FakePortal) -> None:
    wire = Wire(URL, "ll_right", transport=portal.transport)
    for address in ("https://else.example/uploads/1/", "http://lab.example/uploads/1/", "//else.example/"):
        with pytest.raises(Refused, match="not followed"):
            wire.once("HEAD", address)
    assert portal.requests == []


def test_a_redirect_is_told_and_not_followed(portal: FakePortal, client: Client) -> None:
    portal.before = lambda request: httpx.Response(301, headers={"Location": "https://other.example/"})
    with pytest.raises(Refused, match=r"https://other\.example/"):
        client.me()


def test_what_is_no_portal_is_told(portal: FakePortal, client: Client) -> None:
    portal.before = lambda request: httpx.Response(200, text="<html>Welcome to nginx</html>")
    with pytest.raises(Refused, match="not a LeukoLens portal"):
        client.me()


def test_stop_ends_a_wait_at_once(portal: FakePortal) -> None:
    stop = threading.Event()
    answer = httpx.Response(503, headers={"Retry-After": "30"})
    portal.before = lambda request: answer
    threading.Timer(0.1, stop.set).start()
    began = time.monotonic()
    with Client(URL, "ll_right", transport=portal.transport, stop=stop) as client, pytest.raises(Stopped):
        client.me()
    assert time.monotonic() - began < 2.0


def test_waits_double_up_to_a_bound_and_are_never_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("leukolens_client.wire.random.uniform", lambda low, high: (low + high) / 2)
    backoff = Backoff(1e9, first=1.0, longest=8.0)
    assert [backoff.next() for _ in range(6)] == [0.75, 1.5, 3.0, 6.0, 6.0, 6.0]
    assert backoff.next(at_least=20.0) == 20.5
    backoff.reset()
    assert backoff.next() == 0.75
    assert Backoff(0.5, first=1.0).next() is None


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after(httpx.Response(429, headers={"Retry-After": "7"})) == 7.0
    assert retry_after(httpx.Response(429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})) == 0.0
    assert retry_after(httpx.Response(429, headers={"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"})) > 1e9
    assert retry_after(httpx.Response(429, headers={"Retry-After": "soon"})) == 0.0
    assert retry_after(httpx.Response(429)) == 0.0


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("https://lab.example", "https://lab.example"),
        (" https://lab.example/ ", "https://lab.example"),
        ("https://lab.example/api/v1/", "https://lab.example"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
    ],
)
def test_an_address_as_people_copy_it(typed: str, meant: str) -> None:
    assert plain_url(typed) == meant


@pytest.mark.parametrize("typed", ["lab.example", "", "ftp://lab.example", "https://"])
def test_what_is_no_address_is_told(typed: str) -> None:
    with pytest.raises(ValueError, match="Write it as https"):
        plain_url(typed)
