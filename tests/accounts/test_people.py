"""The people of a laboratory: added, given roles, taken out, and never touched beyond it."""

from __future__ import annotations

import io
import re
import smtplib

import pytest
from django.core import mail
from django.core.exceptions import PermissionDenied
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse

from accounts import people, tokens
from accounts.models import Laboratory, Membership, Role, User
from accounts.permissions import Scope, actor_for
from diagnosis.models import AuditEvent
from tests.cast import PASSWORD, Cast, person

NEW = {"full_name": "Nora New", "email": "Nora.New@North.example", "roles": ["technician", "pathologist"]}


def roles(user: User, laboratory: Laboratory) -> set[str]:
    return set(Membership.objects.filter(user=user, laboratory=laboratory).values_list("role", flat=True))


def choose_password(client: Client, text: str, password: str) -> None:
    """Follow the link in a mail (or a command's output) and choose a password."""
    link = re.search(r"https?://[^/]+(/account/password/reset/key/\S+)", text)
    assert link
    form = client.get(link[1], follow=True)
    assert b"Choose a password" in form.content
    path = form.redirect_chain[-1][0]
    done = client.post(path, {"password1": password, "password2": password}, follow=True)
    assert b"Your password is saved" in done.content
    used = client.get(link[1], follow=True)
    assert b"does not work any more" in used.content


def test_an_administrator_adds_a_person_who_chooses_a_password_and_signs_in(cast: Cast, client: Client) -> None:
    client.force_login(cast.administrator.user)
    response = client.post(reverse("accounts:people"), NEW, follow=True)
    assert b"Nora New is now in North Laboratory" in response.content
    user = User.objects.get(email="nora.new@north.example")
    assert roles(user, cast.laboratory) == {"technician", "pathologist"}
    assert not user.has_usable_password()
    assert mail.outbox[0].to == ["nora.new@north.example"]
    assert mail.outbox[0].subject == "LeukoLens: you are in North Laboratory"

    browser = Client()
    choose_password(browser, str(mail.outbox[0].body), "nine unrelated green words")
    browser.post(reverse("account_login"), {"login": user.email, "password": "nine unrelated green words"})
    assert browser.get(reverse("accounts:tokens")).status_code == 200
    event = AuditEvent.objects.get(action="account.roles_changed")
    assert (event.actor, event.detail["after"]) == (cast.administrator.user, ["pathologist", "technician"])


def test_the_page_lists_everybody_of_this_laboratory_only(
    cast: Cast, client: Client, django_assert_num_queries
) -> None:  # type: ignore[no-untyped-def]
    with django_assert_num_queries(2):
        found = people.people(cast.administrator)
    assert [str(p.user) for p in found] == [
        "Ada Administrator",
        "Paul Pathologist",
        "Petra Pathologist",
        "Tess Technician",
    ]
    assert [p.last_administrator for p in found] == [True, False, False, False]
    client.force_login(cast.administrator.user)
    content = client.get(reverse("accounts:people")).content.decode()
    assert "Tess Technician" in content
    assert "Sam Stranger" not in content


def test_a_person_of_another_laboratory_keeps_everything_there(cast: Cast, client: Client) -> None:
    stranger = cast.stranger.user
    before = User.objects.values().get(pk=stranger.pk)
    there = roles(stranger, cast.elsewhere)
    _, plaintext = tokens.issue(actor=cast.stranger, name="theirs", scopes=[Scope.CASES_READ], days=1)

    client.force_login(cast.administrator.user)
    client.post(reverse("accounts:people"), {"full_name": "Renamed", "email": stranger.email, "roles": ["technician"]})
    assert roles(stranger, cast.laboratory) == {"technician"}
    assert "password" not in str(mail.outbox[0].body).lower()

    client.post(reverse("accounts:person-roles", args=[stranger.pk]), {"roles": ["pathologist"]})
    assert roles(stranger, cast.laboratory) == {"pathologist"}
    here = actor_for(stranger, cast.laboratory)
    assert here is not None
    _, ours = tokens.issue(actor=here, name="ours", scopes=[Scope.CASES_READ], days=1)

    client.post(reverse("accounts:person-remove", args=[stranger.pk]))
    assert roles(stranger, cast.laboratory) == set()
    assert roles(stranger, cast.elsewhere) == there
    assert User.objects.values().get(pk=stranger.pk) == before
    assert tokens.authenticate(plaintext)
    assert tokens.authenticate(ours) is None


def test_leaving_closes_the_account_and_coming_back_revives_no_token(cast: Cast, client: Client) -> None:
    technician = cast.technician.user
    _, plaintext = tokens.issue(actor=cast.technician, name="old", scopes=[Scope.CASES_READ], days=100)
    people.remove_person(actor=cast.administrator, user_id=technician.pk)
    assert not client.login(username=technician.email, password=PASSWORD)
    assert not User.objects.get(pk=technician.pk).is_active

    people.add_person(actor=cast.administrator, email=technician.email.upper(), full_name="", roles=[Role.TECHNICIAN])
    assert client.login(username=technician.email, password=PASSWORD)
    assert tokens.authenticate(plaintext) is None


def test_a_closed_account_of_another_laboratory_is_not_reopened(cast: Cast) -> None:
    User.objects.filter(pk=cast.stranger.user.pk).update(is_active=False)
    with pytest.raises(people.PeopleError, match="closed"):
        people.add_person(
            actor=cast.administrator, email=cast.stranger.user.email, full_name="", roles=[Role.TECHNICIAN]
        )


def test_the_last_administrator_stays(cast: Cast, client: Client) -> None:
    administrator = cast.administrator.user
    client.force_login(administrator)
    for name, data in (("person-remove", {}), ("person-roles", {"roles": ["technician"]})):
        response = client.post(reverse(f"accounts:{name}", args=[administrator.pk]), data, follow=True)
        assert b"last administrator" in response.content
        assert roles(administrator, cast.laboratory) == {"administrator"}

    second = person(cast.laboratory, "Bo Administrator", Role.ADMINISTRATOR)
    User.objects.filter(pk=second.user.pk).update(is_active=False)
    with pytest.raises(people.PeopleError, match="last administrator"):
        people.remove_person(actor=cast.administrator, user_id=administrator.pk)
    User.objects.filter(pk=second.user.pk).update(is_active=True)
    people.remove_person(actor=cast.administrator, user_id=administrator.pk)
    assert roles(administrator, cast.laboratory) == set()


def test_strangers_are_not_found(cast: Cast, client: Client) -> None:
    client.force_login(cast.administrator.user)
    for name in ("person-remove", "person-roles", "person-invite"):
        path = reverse(f"accounts:{name}", args=[cast.stranger.user.pk])
        assert client.post(path, {"roles": ["technician"]}).status_code == 404
    assert roles(cast.stranger.user, cast.elsewhere) == {"technician", "pathologist", "administrator"}
    assert not mail.outbox


def test_only_administrators_manage_people(cast: Cast) -> None:
    for actor in (cast.technician, cast.pathologist):
        with pytest.raises(PermissionDenied):
            people.add_person(actor=actor, email="x@example.org", full_name="", roles=[Role.TECHNICIAN])
        with pytest.raises(PermissionDenied):
            people.change_roles(actor=actor, user_id=actor.user.pk, roles=list(Role))
        with pytest.raises(PermissionDenied):
            people.remove_person(actor=actor, user_id=cast.second_pathologist.user.pk)
        with pytest.raises(PermissionDenied):
            people.people(actor)


@pytest.mark.parametrize(
    "change", [{"email": "no address"}, {"roles": []}, {"roles": ["owner"]}, {"full_name": ""}, {"email": "x" * 300}]
)
def test_a_form_that_does_not_fit_changes_nothing(cast: Cast, client: Client, change: dict[str, object]) -> None:
    client.force_login(cast.administrator.user)
    response = client.post(reverse("accounts:people"), NEW | change)
    assert response.status_code == 422
    assert User.objects.count() == 5
    assert not mail.outbox


def test_somebody_already_here_is_said_so(cast: Cast, client: Client) -> None:
    client.force_login(cast.administrator.user)
    response = client.post(reverse("accounts:people"), NEW | {"email": cast.technician.user.email})
    assert response.status_code == 422
    assert b"is in this laboratory already" in response.content


def test_no_role_at_all_is_refused(cast: Cast, client: Client) -> None:
    client.force_login(cast.administrator.user)
    path = reverse("accounts:person-roles", args=[cast.technician.user.pk])
    response = client.post(path, {"roles": []}, follow=True)
    assert b"Choose at least one role" in response.content
    assert roles(cast.technician.user, cast.laboratory) == {"technician"}


def test_a_mail_server_that_fails_loses_nobody(cast: Cast, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise smtplib.SMTPServerDisconnected("gone")

    monkeypatch.setattr("django.core.mail.message.EmailMessage.send", refuse)
    client.force_login(cast.administrator.user)
    response = client.post(reverse("accounts:people"), NEW, follow=True)
    assert b"could not be sent" in response.content
    assert User.objects.filter(email="nora.new@north.example").exists()


def test_create_laboratory_prints_a_link_that_works_once(db: None, client: Client) -> None:
    out = io.StringIO()
    call_command("create_laboratory", "West Laboratory", "First@West.example", stdout=out)
    user = User.objects.get(email="first@west.example")
    laboratory = Laboratory.objects.get(slug="west-laboratory")
    assert roles(user, laboratory) == {"administrator"}
    event = AuditEvent.objects.get(action="account.roles_changed")
    assert (event.laboratory, event.actor, event.actor_label) == (laboratory, None, "Operator of the installation")
    choose_password(client, out.getvalue(), "nine unrelated green words")
    assert client.login(username="first@west.example", password="nine unrelated green words")
    with pytest.raises(CommandError, match="there already"):
        call_command("create_laboratory", "West  laboratory", "second@west.example")


def test_create_laboratory_takes_a_password_from_standard_input(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("nine unrelated green words\n"))
    out = io.StringIO()
    call_command("create_laboratory", "West", "first@west.example", "--password-stdin", stdout=out)
    assert "http" not in out.getvalue()
    assert User.objects.get().check_password("nine unrelated green words")


@pytest.mark.parametrize(
    ("arguments", "stdin", "says"),
    [
        (["West", "no address"], "", "no e-mail address"),
        (["…", "first@west.example"], "", "letters or digits"),
        (["West", "first@west.example", "--password-stdin"], "short\n", "too short"),
        (["West", "tess.technician@LABORATORY", "--password-stdin"], "nine unrelated green words\n", "keeps its"),
    ],
)
def test_create_laboratory_refuses(
    cast: Cast, monkeypatch: pytest.MonkeyPatch, arguments: list[str], stdin: str, says: str
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    arguments = [a.replace("tess.technician@LABORATORY", cast.technician.user.email) for a in arguments]
    with pytest.raises(CommandError, match=says):
        call_command("create_laboratory", *arguments)
    assert Laboratory.objects.count() == 2
