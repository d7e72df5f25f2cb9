"""Webhooks through the API: an administrator's program adds addresses, reads what was sent and sends it again."""

from __future__ import annotations

from typing import Any

import pytest
from rest_framework.test import APIClient
from standardwebhooks.webhooks import Webhook

from accounts.permissions import Scope
from diagnosis import webhooks
from diagnosis.models import AuditEvent, WebhookDelivery, WebhookEndpoint
from tests.api.conftest import ClientOf
from tests.api.problem import assert_problem
from tests.cast import Cast
from tests.diagnosis.hooks import Receiver, make_endpoint, receiver

pytestmark = pytest.mark.django_db
URL = "/api/v1/webhooks/"


@pytest.fixture
def administrator(cast: Cast, client_of: ClientOf, settings: Any) -> APIClient:
    from ipaddress import ip_network

    settings.WEBHOOK_NETWORKS = [str(ip_network("127.0.0.0/8"))]
    return client_of(cast.administrator, Scope.WEBHOOKS_WRITE)


@pytest.fixture
def listener() -> Any:
    with receiver() as told:
        yield told


def made(client: APIClient, listener: Receiver, **more: Any) -> dict[str, Any]:
    answer = client.post(URL, {"name": "LIS", "url": listener.url, "topics": ["report.signed"], **more})
    assert answer.status_code == 201, answer.content
    assert answer["Location"] == f"http://testserver{URL}{answer.json()['id']}/"
    return answer.json()


def test_from_adding_to_a_verified_message(administrator: APIClient, listener: Receiver) -> None:
    hook = made(administrator, listener)
    assert hook["secret"].startswith("whsec_")
    url = f"{URL}{hook['id']}/"
    assert "secret" not in administrator.get(url).json()
    assert (hook["active"], hook["waiting"], hook["failed"], hook["last_sent"]) == (True, 0, 0, None)
    ping = administrator.post(f"{url}ping/")
    assert (ping.status_code, ping.json()["state"], ping.json()["topic"]) == (202, "waiting", "ping")
    assert ping["Location"] == f"http://testserver{url}deliveries/{ping.json()['id']}/"
    webhooks.send_due()
    ((headers, body),) = listener.got
    assert Webhook(hook["secret"]).verify(body, headers)["type"] == "ping"
    sent = administrator.get(ping["Location"]).json()
    assert (sent["state"], sent["message"], sent["body"]) == ("sent", headers["webhook-id"], body)
    assert (sent["attempts"], sent["next_attempt"], sent["log"][0]["status"]) == (1, None, 204)


def test_a_new_secret_signs_from_then_on(administrator: APIClient, listener: Receiver) -> None:
    hook = made(administrator, listener)
    renewed = administrator.post(f"{URL}{hook['id']}/secret/").json()
    assert renewed["secret"] != hook["secret"]
    administrator.post(f"{URL}{hook['id']}/ping/")
    webhooks.send_due()
    ((headers, body),) = listener.got
    assert Webhook(renewed["secret"]).verify(body, headers)
    assert [event.action for event in AuditEvent.objects.filter(action__startswith="webhook").order_by("id")] == [
        "webhook.created",
        "webhook.renewed",
    ]


def test_a_secret_is_told_once_though_the_answer_is_repeated(administrator: APIClient, listener: Receiver) -> None:
    body = {"name": "LIS", "url": listener.url, "topics": ["report.signed"]}
    first, again = (administrator.post(URL, body, headers={"Idempotency-Key": "one"}) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json()["secret"].startswith("whsec_")
    assert again.json() == {**first.json(), "secret": None}
    assert WebhookEndpoint.objects.count() == 1


def test_changing_pausing_and_removing(administrator: APIClient, listener: Receiver) -> None:
    hook = made(administrator, listener)
    url = f"{URL}{hook['id']}/"
    topics = ["image.read", "case.created"]
    changed = administrator.patch(url, {"name": "Bridge", "topics": topics, "active": False}).json()
    assert (changed["name"], changed["active"], sorted(changed["topics"])) == ("Bridge", False, sorted(topics))
    assert administrator.patch(url, {"active": True}).json()["active"] is True
    assert administrator.patch(url, {}).json()["name"] == "Bridge"
    actions = [event.action for event in AuditEvent.objects.filter(action__startswith="webhook").order_by("id")]
    assert actions == ["webhook.created", "webhook.changed", "webhook.paused", "webhook.resumed"]
    assert "changed the name and topics" in AuditEvent.objects.get(action="webhook.changed").sentence
    assert administrator.delete(url).status_code == 204
    assert_problem(administrator.get(url), 404, "not_found")
    assert administrator.get(URL).json()["count"] == 0


def test_nobody_covers_what_another_changed(administrator: APIClient, listener: Receiver) -> None:
    url = f"{URL}{made(administrator, listener)['id']}/"
    seen = administrator.get(url)["ETag"]
    assert administrator.patch(url, {"name": "Mine"}, headers={"If-Match": seen}).status_code == 200
    late = administrator.patch(url, {"name": "Theirs"}, headers={"If-Match": seen})
    assert_problem(late, 412, "changed_meanwhile")
    assert administrator.get(url).json()["name"] == "Mine"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"url": "https://169.254.169.254/latest/"}, "url"),
        ({"url": "ftp://lis.example/"}, "url"),
        ({"topics": []}, "topics"),
        ({"topics": ["everything"]}, "topics.0"),
        ({"name": " "}, "name"),
        ({"secret": "whsec_mine"}, "secret"),
    ],
)
def test_what_is_refused(administrator: APIClient, listener: Receiver, change: dict[str, Any], field: str) -> None:
    hook = made(administrator, listener)
    whole = {"name": "LIS", "url": listener.url, "topics": ["report.signed"], **change}
    for answer in (administrator.post(URL, whole), administrator.patch(f"{URL}{hook['id']}/", change)):
        problem = assert_problem(answer, 400, "invalid")
        assert [error["field"] for error in problem["errors"]] == [field]
    assert WebhookEndpoint.objects.get().url == listener.url


def test_the_log_and_sending_again(administrator: APIClient, listener: Receiver, cast: Cast) -> None:
    hook = made(administrator, listener)
    url = f"{URL}{hook['id']}/"
    endpoint = WebhookEndpoint.objects.get()
    states = ("sent", "failed", "failed", "waiting")
    rows = [WebhookDelivery.objects.create(endpoint=endpoint, topic="ping", body="{}", state=state) for state in states]
    WebhookDelivery.objects.create(endpoint=make_endpoint(cast), topic="ping", body="{}")
    newest = [row.pk for row in reversed(rows)]

    def listed(**query: Any) -> list[int]:
        return [row["id"] for row in administrator.get(f"{url}deliveries/", query).json()["results"]]

    assert listed() == newest
    assert listed(state="failed") == newest[1:3]
    assert listed(state=["failed", "waiting"]) == newest[:3]
    assert listed(topic="report.signed") == listed(created_after="2100-01-01T00:00:00Z") == []
    assert listed(topic="ping", created_before="2100-01-01T00:00:00Z") == newest
    assert_problem(administrator.get(f"{url}deliveries/", {"state": "lost"}), 400, "invalid")
    seen = administrator.get(url).json()
    assert (seen["failed"], seen["waiting"]) == (2, 1)
    again = administrator.post(f"{url}deliveries/{rows[0].pk}/replay/")
    assert (again.status_code, again.json()["state"]) == (202, "waiting")
    assert administrator.post(f"{url}deliveries/{rows[0].pk}/replay/").status_code == 200
    assert administrator.post(f"{url}replay/").json() == {"count": 2}
    assert listed(state="waiting") == newest


def test_who_may(administrator: APIClient, listener: Receiver, cast: Cast, client_of: ClientOf) -> None:
    hook = made(administrator, listener)
    other = client_of(cast.administrator, Scope.CASES_READ)
    assert "webhooks:write" in assert_problem(other.get(URL), 403, "permission_denied")["detail"]
    assert_problem(client_of(cast.pathologist).get(URL), 403, "permission_denied")
    stranger = client_of(cast.stranger)
    delivery = webhooks.ping(actor=cast.administrator, endpoint=WebhookEndpoint.objects.get())
    for path in ("", f"deliveries/{delivery.pk}/"):
        assert_problem(stranger.get(f"{URL}{hook['id']}/{path}"), 404, "not_found")
    elsewhere = make_endpoint(cast)
    assert_problem(administrator.get(f"{URL}{elsewhere.pk}/deliveries/{delivery.pk}/"), 404, "not_found")
