"""Webhooks against a receiver that takes, refuses, redirects or is away, and against addresses inside the house."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.db import connection
from django.utils import timezone
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from diagnosis import audit, tasks, webhooks
from diagnosis.models import AuditEvent, WebhookDelivery, WebhookEndpoint
from diagnosis.webhooks import WebhookRefused, outbox, reaching, signing
from tests.cast import Cast, make_cast
from tests.diagnosis.hooks import SECRET, Receiver, make_endpoint, receiver
from tests.diagnosis.signing import ready_case, sign

pytestmark = pytest.mark.django_db(transaction=True)
State = WebhookDelivery.State


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def told(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    with receiver() as found:
        yield found


def happen(cast: Cast, action: str = "case.created", **detail: Any) -> AuditEvent:
    return audit.record(actor=cast.technician, action=action, case=cast.case(), **detail)


def due_again() -> None:
    WebhookDelivery.objects.filter(state=State.WAITING).update(not_before=timezone.now())


def test_what_happens_is_told_once_and_signed(cast: Cast, told: Receiver) -> None:
    make_endpoint(cast, told.url)
    event = happen(cast)
    tasks.deliver()
    tasks.deliver()
    ((headers, body),) = told.got
    message = Webhook(SECRET).verify(body, headers)  # by a library that nobody here wrote
    assert message["type"] == "case.created"
    assert message["data"]["case"] == event.case_id
    assert message["data"]["links"]["report"].endswith(f"/fhir/R4/DiagnosticReport/{event.case_id}")
    with pytest.raises(WebhookVerificationError):
        Webhook(signing.new_secret()).verify(body, headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body.replace("case", "cast"), headers)
    delivery = WebhookDelivery.objects.get()
    assert (delivery.state, delivery.attempts, delivery.log[0]["status"]) == (State.SENT, 1, 204)


def test_a_signed_report_is_told_and_nothing_of_a_patient(
    cast: Cast, told: Receiver, settings: Any, tmp_path: Any
) -> None:
    settings.MEDIA_ROOT = tmp_path
    make_endpoint(cast, told.url)
    case = ready_case(cast, "blast", accession_number="S26-0077")
    sign(cast.pathologist, case)
    tasks.deliver()
    types = [json.loads(body)["type"] for _, body in told.got]
    assert types.count("report.signed") == 1
    assert "image.decided" in types
    everything = " ".join(body for _, body in told.got)
    for secret in ("S26-0077", case.patient.mrn, case.patient.name, "9861", "blast", "leukaemia", "Pathologist"):
        assert secret not in everything
    signed = next(json.loads(body) for _, body in told.got if "report.signed" in body)
    assert signed["data"]["version"] == 1


def test_only_chosen_topics_of_the_own_laboratory(cast: Cast, told: Receiver) -> None:
    make_endpoint(cast, told.url, ["report.signed"])
    happen(cast)
    audit.record(actor=cast.stranger, action="report.signed", case=cast.case(laboratory=cast.elsewhere))
    audit.record(actor=cast.administrator, action="data.exported", laboratory=cast.laboratory)
    assert webhooks.collect() == 0
    happen(cast, "report.signed", subject="report 1")
    assert webhooks.collect() == 1


def test_what_was_before_the_address_is_not_told(cast: Cast, told: Receiver) -> None:
    happen(cast)
    make_endpoint(cast, told.url)
    assert webhooks.collect() == 0


def test_an_event_whose_transaction_ends_late_is_found(cast: Cast, told: Receiver) -> None:
    endpoint = make_endpoint(cast, told.url)
    WebhookEndpoint.objects.update(created_at=timezone.now() - timedelta(hours=1))
    event = happen(cast)
    webhooks.collect()
    assert WebhookEndpoint.objects.get().seen_until > event.at
    WebhookDelivery.objects.all().delete()  # as if the event had not been seen, for its transaction had not ended
    assert webhooks.collect() == 1
    assert endpoint.deliveries.get().event == event


def test_more_than_one_look_holds(cast: Cast, told: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "COLLECTED_AT_ONCE", 2)
    make_endpoint(cast, told.url)
    for _ in range(5):
        happen(cast)
    assert [webhooks.collect() for _ in range(4)] == [2, 2, 1, 0]


def test_it_tries_again_with_the_same_message_and_a_longer_wait(cast: Cast, told: Receiver) -> None:
    make_endpoint(cast, told.url)
    happen(cast)
    told.answers = [500, 503, 204]
    webhooks.collect()
    waits = []
    for _ in range(3):
        due_again()
        before = timezone.now()
        webhooks.send_due()
        waits.append((WebhookDelivery.objects.get().not_before - before).total_seconds())
    assert waits[0] == pytest.approx(10, abs=3)
    assert waits[1] == pytest.approx(20, abs=3)
    assert len({headers["webhook-id"] for headers, _ in told.got}) == 1
    assert len({body for _, body in told.got}) == 1
    delivery = WebhookDelivery.objects.get()
    assert [each["status"] for each in delivery.log] == [500, 503, 204]
    assert delivery.state == State.SENT


def test_it_is_given_up_and_sent_again_when_wished(cast: Cast, told: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "MOST_ATTEMPTS", 2)
    endpoint = make_endpoint(cast, told.url)
    happen(cast)
    told.answers = [500, 500]
    webhooks.collect()
    for _ in range(3):
        due_again()
        webhooks.send_due()
    assert WebhookDelivery.objects.get().state == State.FAILED
    assert len(told.got) == 2
    assert webhooks.replay(actor=cast.administrator, endpoint=endpoint) == 1
    assert webhooks.send_due() == 1
    assert {headers["webhook-id"] for headers, _ in told.got} == {f"msg_{WebhookDelivery.objects.get().message.hex}"}
    assert webhooks.replay(actor=cast.administrator, endpoint=endpoint) == 0, "nothing else was given up"
    assert (
        webhooks.replay(actor=cast.administrator, endpoint=endpoint, delivery_id=WebhookDelivery.objects.get().pk) == 1
    )


def test_a_receiver_that_is_away_costs_time_alone(cast: Cast, settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    make_endpoint(cast, f"http://127.0.0.1:{port}/")
    happen(cast)
    happen(cast)
    webhooks.collect()
    assert webhooks.send_due() == 0
    tried, other = WebhookDelivery.objects.order_by("-attempts", "id")
    assert "The connection failed" in tried.log[0]["error"]
    assert (tried.attempts, other.attempts) == (1, 0), "it is not waited for twice in one turn"


def test_redirects_are_not_followed_and_gone_pauses(cast: Cast, told: Receiver) -> None:
    make_endpoint(cast, told.url)
    happen(cast)
    webhooks.collect()
    told.answers = [302, 410]
    webhooks.send_due()
    assert "Redirects are not followed" in WebhookDelivery.objects.get().log[0]["error"]
    due_again()
    webhooks.send_due()
    assert not WebhookEndpoint.objects.get().active
    due_again()
    assert webhooks.send_due() == 0
    webhooks.change(actor=cast.administrator, endpoint=WebhookEndpoint.objects.get(), active=True)
    assert webhooks.send_due() == 1
    assert len(told.got) == 3


def test_two_workers_send_once(cast: Cast, told: Receiver) -> None:
    make_endpoint(cast, told.url)
    for _ in range(6):
        happen(cast)
    webhooks.collect()

    def work() -> None:
        webhooks.collect()
        webhooks.send_due()
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len({headers["webhook-id"] for headers, _ in told.got}) == len(told.got) == 6


def test_what_was_taken_is_kept_for_a_month(cast: Cast, told: Receiver) -> None:
    make_endpoint(cast, told.url)
    happen(cast)
    tasks.deliver()
    WebhookDelivery.objects.update(created_at=timezone.now() - timedelta(days=31))
    WebhookEndpoint.objects.update(seen_until=timezone.now() + timedelta(minutes=11))
    webhooks.collect()
    assert not WebhookDelivery.objects.exists()


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1/", "https://localhost/", "https://10.0.0.1/", "https://192.168.1.1/", "https://172.16.0.1/",
        "https://169.254.169.254/latest/meta-data/", "https://0.0.0.0/", "https://100.64.0.1/", "https://224.0.0.1/",
        "https://255.255.255.255/", "https://[::1]/", "https://[::]/", "https://[fe80::1]/", "https://[fd00::1]/",
        "https://[::ffff:127.0.0.1]/", "https://[::ffff:10.0.0.1]/", "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/", "https://[ff02::1]/", "https://2130706433/", "https://0x7f.1/", "https://127.1/",
        "http://8.8.8.8/", "ftp://8.8.8.8/", "file:///etc/passwd", "https://", "https://8.8.8.8:99999/",
        "https://user:pass@8.8.8.8/", "https://8.8.8.8/#x", "https://8.8.8.8/\r\nHost: x", "8.8.8.8",
        "https://[::1", "https://häkel.example/",
    ],
)  # fmt: skip
def test_addresses_that_nothing_is_sent_to(cast: Cast, url: str) -> None:
    with pytest.raises(reaching.Unreachable):
        reaching.look_at(url)
    with pytest.raises(WebhookRefused) as refused:
        webhooks.create(actor=cast.administrator, name="x", url=url, topics=["report.signed"])
    assert refused.value.field == "url"
    assert not WebhookEndpoint.objects.exists()


def test_one_inner_address_among_outer_ones_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, 1, 6, "", (address, 443)) for address in ("8.8.8.8", "127.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(reaching.Forbidden):
        reaching.look_at("https://both.example/")


def test_a_name_that_means_something_else_a_moment_later_leads_nowhere(
    cast: Cast, told: Receiver, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to the address that was looked at, and is looked at anew for each attempt."""
    make_endpoint(cast, told.url.replace("127.0.0.1", "rebinding.example"))
    happen(cast)
    webhooks.collect()
    settings.WEBHOOK_NETWORKS = []
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(socket.AF_INET, 1, 6, "", ("127.0.0.1", 80))])
    assert webhooks.send_due() == 0
    assert told.got == []
    assert "inside a network" in WebhookDelivery.objects.get().log[0]["error"]


def test_an_answer_that_drips_is_cut(told: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reaching, "DEADLINE", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as slow:
        port = slow.getsockname()[1]
        stop = threading.Event()

        def drip() -> None:
            taken, _ = slow.accept()
            with taken:
                while not stop.wait(0.1):
                    try:
                        taken.send(b"H")
                    except OSError:
                        return

        threading.Thread(target=drip, daemon=True).start()
        begun = timezone.now()
        with pytest.raises(reaching.Unreachable):
            reaching.send(f"http://127.0.0.1:{port}/", "{}", {})
        stop.set()
    assert (timezone.now() - begun).total_seconds() < 5


def test_the_secret_is_shown_once_and_kept_sealed(cast: Cast, settings: Any) -> None:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    endpoint, secret = webhooks.create(
        actor=cast.administrator, name="LIS", url="http://127.0.0.1/x", topics=["report.signed", "case.created"]
    )
    assert secret not in endpoint.secret
    assert signing.opened(endpoint.secret) == secret
    assert endpoint.topics == ["case.created", "report.signed"]
    assert secret not in str(AuditEvent.objects.get(action="webhook.created").detail)
    renewed = webhooks.renew(actor=cast.administrator, endpoint=endpoint)
    assert signing.opened(WebhookEndpoint.objects.get().secret) == renewed != secret
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "another " * 8, [old]
    assert signing.opened(WebhookEndpoint.objects.get().secret) == renewed


def test_a_secret_that_cannot_be_read_is_told(cast: Cast, told: Receiver, settings: Any) -> None:
    make_endpoint(cast, told.url)
    happen(cast)
    webhooks.collect()
    settings.SECRET_KEY = "another " * 8
    webhooks.send_due()
    assert "make a new one" in WebhookDelivery.objects.get().log[0]["error"]


def test_administrators_alone_and_their_own(cast: Cast) -> None:
    endpoint = make_endpoint(cast)
    for actor in (cast.technician, cast.pathologist):
        with pytest.raises(PermissionDenied):
            webhooks.of(actor=actor)
        with pytest.raises(PermissionDenied):
            webhooks.create(actor=actor, name="x", url="https://8.8.8.8/", topics=["case.created"])
    with pytest.raises(WebhookEndpoint.DoesNotExist):
        webhooks.named(actor=cast.stranger, endpoint_id=endpoint.pk)
    for step in (webhooks.remove, webhooks.ping, webhooks.renew, webhooks.replay):
        with pytest.raises(WebhookEndpoint.DoesNotExist):
            step(actor=cast.stranger, endpoint=endpoint)
        with pytest.raises(PermissionDenied):
            step(actor=cast.pathologist, endpoint=endpoint)
    webhooks.ping(actor=cast.administrator, endpoint=endpoint)
    webhooks.remove(actor=cast.administrator, endpoint=endpoint)
    assert not WebhookEndpoint.objects.exists()
    assert (
        AuditEvent.objects.get(action="webhook.removed").sentence == "Ada Administrator removed the webhook LIS bridge"
    )


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": " "}, "name"),
        ({"topics": []}, "topics"),
        ({"topics": ["x"]}, "topics"),
        ({"url": "https://8.8.8.8/" + "x" * 500}, "url"),
    ],
)
def test_what_does_not_fit_is_refused(cast: Cast, wrong: dict[str, Any], field: str) -> None:
    with pytest.raises(WebhookRefused) as refused:
        webhooks.create(
            actor=cast.administrator, **{"name": "x", "url": "https://8.8.8.8/", "topics": ["case.created"]} | wrong
        )
    assert refused.value.field == field
