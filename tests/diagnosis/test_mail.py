"""The outbox against a real mail server that takes, refuses, dies or is away: nothing is lost, nothing goes twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail as django_mail
from django.db import connection
from django.utils import timezone

from accounts.models import Laboratory, Role
from diagnosis import mail, tasks
from diagnosis.models import OutgoingMail
from tests.cast import LaboratoryFactory, make_cast, person
from tests.mailserver import MailServer, mail_server

pytestmark = pytest.mark.django_db(transaction=True)

State = OutgoingMail.State


@pytest.fixture
def server(settings: Any) -> Iterator[MailServer]:
    with mail_server() as server:
        settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
        settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", server.port
        settings.EMAIL_USE_TLS, settings.EMAIL_TIMEOUT = False, 5
        yield server


@pytest.fixture
def laboratory(transactional_db: None) -> Laboratory:
    found: Laboratory = LaboratoryFactory()
    return found


def posted(laboratory: Laboratory, count: int = 1) -> list[OutgoingMail]:
    return mail.post(
        mail.Letter(laboratory.pk, f"person{n}@hospital.example", f"ACC-{n} is urgent", "Look – now.\n")
        for n in range(count)
    )


def later() -> None:
    """As much later as the longest wait."""
    past = timezone.now() - timedelta(seconds=1)
    OutgoingMail.objects.filter(state=State.WAITING).update(not_before=past)


def stands() -> OutgoingMail:
    return OutgoingMail.objects.get()


def test_what_is_due_is_sent_once(server: MailServer, laboratory: Laboratory) -> None:
    posted(laboratory, 3)
    assert (mail.send_due(), mail.send_due()) == (3, 0)
    assert len(server.taken) == 3
    first = server.taken[0]
    assert (first["To"], first["Subject"]) == ("person0@hospital.example", "ACC-0 is urgent")
    assert first["Auto-Submitted"] == "auto-generated"
    assert first.get_payload(decode=True).decode().strip() == "Look – now."
    assert set(OutgoingMail.objects.values_list("state", flat=True)) == {State.SENT}
    assert len({each["Message-ID"] for each in server.taken}) == 3


def test_a_server_that_is_away_loses_nothing(server: MailServer, laboratory: Laboratory, settings: Any) -> None:
    posted(laboratory, 2)
    up, settings.EMAIL_PORT = settings.EMAIL_PORT, 1
    assert mail.send_due() == 0
    found = mail.outbox(laboratory)
    assert (found.waiting, found.delayed, found.failed) == (2, 2, 0)
    assert mail.send_due() == 0, "not before a while has passed"
    settings.EMAIL_PORT = up
    later()
    assert mail.send_due() == 2
    assert len(server.taken) == 2


def test_waits_grow_and_end(laboratory: Laboratory, settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 1
    posted(laboratory)
    waits = []
    for _ in range(mail.MOST_ATTEMPTS):
        later()
        before = timezone.now()
        mail.send_due()
        waits.append(round((stands().not_before - before).total_seconds()))
    assert waits[:4] == [30, 60, 120, 240]
    assert max(waits[:-1]) == mail.LONGEST_DELAY
    assert sum(waits[:-1]) > 24 * 3600, "a night without the mail server is outlived"
    assert stands().state == State.FAILED
    assert stands().error.startswith(f"Given up after {mail.MOST_ATTEMPTS} attempts. The last one: ")
    assert mail.outbox(laboratory).failed == 1
    assert mail.outbox(laboratory).error == stands().error
    assert mail.retry(actor=person(laboratory, "Ada Administrator", Role.ADMINISTRATOR)) == 1
    assert (stands().state, stands().attempts) == (State.WAITING, 0)


@pytest.mark.parametrize(("mood", "state"), [("550", State.FAILED), ("554", State.FAILED), ("451", State.WAITING)])
def test_a_refusal_for_good_is_not_repeated(
    server: MailServer, laboratory: Laboratory, mood: str, state: OutgoingMail.State
) -> None:
    posted(laboratory)
    server.mood = mood
    assert mail.send_due() == 0
    assert (stands().state, mood in stands().error) == (state, True)
    server.mood = "take"
    later()
    assert mail.send_due() == (1 if state == State.WAITING else 0)


def test_one_that_is_refused_holds_up_no_other(server: MailServer, laboratory: Laboratory) -> None:
    mail.post([mail.Letter(laboratory.pk, "two\nlines@hospital.example", "ACC-1", "x")])
    posted(laboratory, 2)
    assert mail.send_due() == 2
    assert OutgoingMail.objects.filter(state=State.WAITING).get().error


def test_a_server_that_dies_before_it_says_yes_is_asked_again(server: MailServer, laboratory: Laboratory) -> None:
    posted(laboratory)
    server.mood = "die"
    assert mail.send_due() == 0
    assert server.taken == []
    server.mood = "take"
    later()
    assert mail.send_due() == 1
    assert len(server.taken) == 1


def test_what_it_took_before_it_died_comes_again_under_the_same_id(server: MailServer, laboratory: Laboratory) -> None:
    """Nobody can know whether it was taken; the receiving side recognises the second one."""
    posted(laboratory)
    server.mood = "die after"
    mail.send_due()
    server.mood = "take"
    later()
    mail.send_due()
    assert len(server.taken) == 2
    assert len({each["Message-ID"] for each in server.taken}) == 1


def test_a_worker_that_dies_leaves_its_mails_to_the_next(server: MailServer, laboratory: Laboratory) -> None:
    posted(laboratory)
    assert len(mail._lease()) == 1, "leased, and then the process ended"
    assert mail.send_due() == 0
    later()
    assert mail.send_due() == 1
    assert stands().attempts == 2


def test_who_lost_the_lease_says_nothing_more(server: MailServer, laboratory: Laboratory) -> None:
    posted(laboratory)
    (old,) = mail._lease()
    later()
    mail.send_due()
    assert mail._outcome(old, state=State.FAILED, error="late") == 0
    assert stands().state == State.SENT


def test_two_workers_send_each_mail_once(server: MailServer, laboratory: Laboratory) -> None:
    posted(laboratory, 30)
    server.mood = "slow"
    barrier = threading.Barrier(2)

    def work() -> None:
        barrier.wait()
        while mail.send_due():
            pass
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert sorted(each["To"] for each in server.taken) == sorted(f"person{n}@hospital.example" for n in range(30))
    assert not OutgoingMail.objects.exclude(state=State.SENT, attempts=1).exists()


def test_the_sweep_sends() -> None:
    cast = make_cast()
    posted(cast.laboratory)
    tasks.tell()
    assert [each.subject for each in django_mail.outbox] == ["ACC-0 is urgent"]
    assert django_mail.outbox[0].extra_headers["Message-ID"] == mail.message_id(stands())
