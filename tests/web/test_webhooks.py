"""The pages of webhooks: made, tried out, read and sent again."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import Client

from diagnosis import tasks
from diagnosis.models import WebhookDelivery, WebhookEndpoint
from tests.cast import Cast
from tests.diagnosis.hooks import Receiver, make_endpoint, receiver
from tests.web.test_pages import signed_in

pytestmark = pytest.mark.django_db
URL = "/laboratory/webhooks/"


@pytest.fixture
def told(settings: Any) -> Iterator[Receiver]:
    settings.WEBHOOK_NETWORKS = ["127.0.0.0/8"]
    with receiver() as found:
        yield found


@pytest.fixture
def client(cast: Cast) -> Client:
    return signed_in(cast.administrator)


def test_from_an_address_to_a_message_and_its_log(client: Client, told: Receiver) -> None:
    assert "Nobody is told yet" in client.get(URL).content.decode()
    made = client.post(URL, {"name": "LIS bridge", "url": told.url, "topics": ["report.signed"]}).content.decode()
    assert "never shown again" in made
    assert "whsec_" in made
    assert "whsec_" not in client.get(URL).content.decode()
    endpoint = WebhookEndpoint.objects.get()
    page = f"{URL}{endpoint.pk}/"
    assert "Nothing was sent yet" in client.get(page).content.decode()
    assert client.post(f"{page}change/", {"what": "ping"}).status_code == 302
    told.answers = [500]
    tasks.deliver()
    assert "It answered 500, not 2xx." in client.get(page).content.decode()
    WebhookDelivery.objects.update(state="failed")
    assert "1 given up" in client.get(URL).content.decode()
    client.post(f"{page}change/", {"what": "replay"})
    tasks.deliver()
    shown = client.get(page).content.decode()
    assert "204 in" in shown
    delivery = WebhookDelivery.objects.get()
    assert client.post(f"{page}{delivery.pk}/").status_code == 302
    assert WebhookDelivery.objects.get().state == "waiting"


def test_paused_renewed_and_removed(client: Client, cast: Cast) -> None:
    endpoint = make_endpoint(cast)
    change = f"{URL}{endpoint.pk}/change/"
    client.post(change, {"what": "pause"})
    assert "Take up again" in client.get(f"{URL}{endpoint.pk}/").content.decode()
    client.post(change, {"what": "resume"})
    assert WebhookEndpoint.objects.get().active
    assert "whsec_" in client.post(change, {"what": "secret"}).content.decode()
    assert client.post(change, {"what": "unicorn"}).status_code == 400
    assert client.post(change, {"what": "remove"}).status_code == 302
    assert not WebhookEndpoint.objects.exists()


def test_what_was_typed_stays_when_it_is_refused(client: Client) -> None:
    page = client.post(URL, {"name": "Inside", "url": "https://10.1.2.3/told", "topics": ["report.signed"]})
    assert page.status_code == 422
    text = page.content.decode()
    assert "inside a network that nothing is sent to" in text
    assert 'value="https://10.1.2.3/told"' in text
    assert 'value="Inside"' in text
