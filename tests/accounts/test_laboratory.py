"""The laboratory's particulars: changed by its administrator, audited, never over a colleague's change."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from accounts.laboratory import FIELDS
from accounts.models import Laboratory
from diagnosis.models import AuditEvent
from tests.cast import Cast

pytestmark = pytest.mark.django_db
PAGE = "/account/laboratory/"


@pytest.fixture
def administrator(cast: Cast, client: Client) -> Client:
    client.force_login(cast.administrator.user)
    return client


def sent(laboratory: Laboratory, **typed: str) -> dict[str, Any]:
    """The form as the page shows it, with what the person typed."""
    stands = {name: getattr(laboratory, name) for name in FIELDS}
    return stands | {f"seen_{name}": value for name, value in stands.items()} | typed


def test_what_is_stored_is_audited_with_what_was(cast: Cast, administrator: Client) -> None:
    assert 'value="North Laboratory"' in administrator.get(PAGE).content.decode()
    typed = sent(cast.laboratory, address=" Giemsa Street 12 \r\n1011 Smearville\r\n", director="Prof. Ada Lovelace")
    assert administrator.post(PAGE, typed).status_code == 302
    laboratory = Laboratory.objects.get(pk=cast.laboratory.pk)
    assert (laboratory.address, laboratory.director) == ("Giemsa Street 12\n1011 Smearville", "Prof. Ada Lovelace")
    event = AuditEvent.objects.get(action="laboratory.changed")
    assert event.sentence == "Ada Administrator changed the laboratory's address and director"
    assert event.detail["changes"]["director"] == ["", "Prof. Ada Lovelace"]
    # With the address as the page now has it, storing once more changes nothing.
    assert administrator.post(PAGE, sent(laboratory)).status_code == 302
    assert AuditEvent.objects.filter(action="laboratory.changed").count() == 1


def test_a_colleagues_change_is_not_overwritten_unseen(cast: Cast, administrator: Client) -> None:
    typed = sent(cast.laboratory, phone="1")
    Laboratory.objects.filter(pk=cast.laboratory.pk).update(phone="2")
    answer = administrator.post(PAGE, typed)
    text = answer.content.decode()
    assert answer.status_code == 409
    assert "What stands now" in text
    assert 'value="1"' in text
    assert '<input type="hidden" name="seen_phone" value="2">' in text
    assert administrator.post(PAGE, typed | {"seen_phone": "2"}).status_code == 302
    assert Laboratory.objects.get(pk=cast.laboratory.pk).phone == "1"


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"name": ""}, "This field is required."),
        ({"urgent_hours": "72"}, "Urgent cases cannot have more time than routine ones."),
        ({"routine_hours": "0"}, "greater than or equal to 1"),
        ({"name": "x" * 201}, "at most 200 characters"),
    ],
)
def test_what_does_not_fit_comes_back_with_every_word(
    cast: Cast, administrator: Client, typed: dict[str, str], words: str
) -> None:
    answer = administrator.post(PAGE, sent(cast.laboratory, director="Kept", **typed))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert 'value="Kept"' in answer.content.decode()
    assert Laboratory.objects.get(pk=cast.laboratory.pk).director == ""


def test_only_its_own_administrator(cast: Cast, client: Client) -> None:
    for actor in (cast.pathologist, cast.technician):
        client.force_login(actor.user)
        assert client.get(PAGE).status_code == 403
        assert client.post(PAGE, sent(cast.laboratory, name="Mine")).status_code == 403
    client.force_login(cast.stranger.user)
    assert client.post(PAGE, sent(cast.elsewhere, name="Ours")).status_code == 302
    assert Laboratory.objects.get(pk=cast.laboratory.pk).name == "North Laboratory"
