"""Pages of second opinions and notices: what each person meets, and that nothing typed is lost."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import Role
from accounts.permissions import Actor
from diagnosis import notices, second_opinion, signout
from diagnosis.models import Case, Event, OutgoingMail, ReportDraft, SecondOpinion
from tests.cast import Cast, person
from tests.diagnosis.signing import read_case

pytestmark = pytest.mark.django_db
AML, APL = "9861/3", "9866/3"


@pytest.fixture(autouse=True)
def _files(settings: Any, tmp_path: Any) -> None:
    settings.MEDIA_ROOT = tmp_path
    cache.clear()


def of(actor: Actor) -> Client:
    client = Client()
    client.force_login(actor.user)
    return client


def asked(cast: Cast, case: Case) -> SecondOpinion:
    return second_opinion.ask(
        actor=cast.pathologist, case=case, colleagues=[cast.second_pathologist.user], diagnosis=AML, question="Look?"
    )[0]


def body(client: Client, path: str, **sent: Any) -> str:
    response = client.post(path, sent, follow=True) if sent else client.get(path)
    return response.content.decode()


class TestAsking:
    def test_whom_one_can_ask_and_why_not(self, cast: Cast) -> None:
        case = read_case(cast)
        asked(cast, case)
        page = body(of(cast.pathologist), f"/cases/{case.pk}/opinion/")
        assert "is asked already" in page
        assert cast.stranger.user.full_name not in page

    def test_the_drafts_diagnosis_is_offered(self, cast: Cast) -> None:
        case = read_case(cast)
        signout.save_draft(actor=cast.pathologist, case=case, expected_revision=0, diagnosis=APL)
        page = body(of(cast.pathologist), f"/cases/{case.pk}/opinion/")
        assert f'value="{APL}" selected' in page
        assert "Taken from your report" in page

    def test_what_was_typed_stays(self, cast: Cast) -> None:
        case = read_case(cast)
        response = of(cast.pathologist).post(f"/cases/{case.pk}/opinion/", {"question": "Why <b>", "diagnosis": AML})
        assert response.status_code == 422
        assert "Why &lt;b&gt;" in response.content.decode()
        assert "Choose at least one colleague" in response.content.decode()


class TestAnswering:
    def test_an_answer_to_a_withdrawn_question_is_kept_for_copying(self, cast: Cast) -> None:
        opinion = asked(cast, read_case(cast))
        second_opinion.withdraw(actor=cast.pathologist, opinion=opinion)
        response = of(cast.second_pathologist).post(
            f"/opinions/{opinion.pk}/", {"diagnosis": APL, "comment": "Auer rods, a whole paragraph"}
        )
        assert response.status_code == 409
        page = response.content.decode()
        assert "The question was withdrawn meanwhile" in page
        assert "Auer rods, a whole paragraph" in page

    def test_declining(self, cast: Cast) -> None:
        case = read_case(cast)
        opinion = asked(cast, case)
        client = of(cast.second_pathologist)
        assert client.post(f"/opinions/{opinion.pk}/decline/", {"reason": ""}).status_code == 422
        assert "give no opinion" in body(client, f"/opinions/{opinion.pk}/decline/", reason="I am on leave.")
        assert "I am on leave." in body(of(cast.pathologist), f"/cases/{case.pk}/")

    def test_who_only_reads_sees_the_opinions_and_no_buttons(self, cast: Cast) -> None:
        case = read_case(cast)
        second_opinion.answer(actor=cast.second_pathologist, opinion=asked(cast, case), diagnosis=APL, comment="Rods.")
        page = body(of(cast.technician), f"/cases/{case.pk}/")
        assert "Rods." in page
        for button in ("Ask a colleague", "Adjudicate", "Settle it together", "Take it into the report"):
            assert button not in page


class TestAdjudicating:
    def settled(self, cast: Cast) -> Case:
        case = read_case(cast)
        second_opinion.answer(actor=cast.second_pathologist, opinion=asked(cast, case), diagnosis=APL)
        third = person(cast.laboratory, "Thea Third", Role.PATHOLOGIST)
        body(of(third), f"/cases/{case.pk}/opinion/adjudicate/", diagnosis=APL, reason="Rods.")
        return case

    def test_it_goes_into_the_report_by_a_click_on_what_was_seen(self, cast: Cast) -> None:
        case = self.settled(cast)
        assert not ReportDraft.objects.exists()
        client = of(cast.pathologist)
        assert "Take it into the report" in body(client, f"/cases/{case.pk}/")
        signout.save_draft(actor=cast.pathologist, case=case, expected_revision=0, diagnosis="normal")
        assert "Not taken over." in body(client, f"/cases/{case.pk}/opinion/adopt/", revision="0")
        assert ReportDraft.objects.get().diagnosis == "normal"
        assert "is now: Acute promyelocytic" in body(client, f"/cases/{case.pk}/opinion/adopt/", revision="1")
        assert ReportDraft.objects.get().diagnosis == APL
        assert "Take it into the report" not in body(client, f"/cases/{case.pk}/")

    def test_without_an_adjudication_nothing_is_taken_over(self, cast: Cast) -> None:
        case = read_case(cast)
        assert "No opinion of this case" in body(of(cast.pathologist), f"/cases/{case.pk}/opinion/adopt/", revision="0")

    def test_too_late(self, cast: Cast) -> None:
        case = self.settled(cast)
        fourth = person(cast.laboratory, "Fritz Fourth", Role.PATHOLOGIST)
        response = of(fourth).post(f"/cases/{case.pk}/opinion/adjudicate/", {"diagnosis": AML, "reason": "No."})
        assert response.status_code == 409
        assert "Thea Third has settled it already" in response.content.decode()


class TestList:
    def test_what_waits_for_whom(self, cast: Cast) -> None:
        case = read_case(cast)
        opinion = asked(cast, case)
        assert f'href="/cases/{case.pk}/#case-second"' in body(of(cast.second_pathologist), "/opinions/")
        second_opinion.answer(actor=cast.second_pathologist, opinion=opinion, diagnosis=APL)
        third = person(cast.laboratory, "Thea Third", Role.PATHOLOGIST)
        assert f"/cases/{case.pk}/opinion/adjudicate/" in body(of(third), "/opinions/")
        page = body(of(cast.administrator), "/opinions/")
        assert "The only second opinion differs from the first diagnosis." in page
        assert case.accession_number not in page
        assert "No second opinion has been answered yet." in body(of(cast.stranger), "/opinions/")


class TestNotices:
    def told(self, cast: Cast, count: int = 1) -> None:
        for _ in range(count):
            notices.tell(event=Event.CASE_URGENT, case=cast.case(), users=[cast.pathologist.user])

    def test_the_bell_counts_on_every_page_and_rests_for_strangers(self, cast: Cast) -> None:
        self.told(cast, 3)
        client = of(cast.pathologist)
        assert 'aria-label="Notices, 3 unread"' in body(client, "/")
        assert client.get("/notices/unread").json() == {"unread": 3}
        assert 'aria-label="Notices, none unread"' in body(of(cast.technician), "/models/")
        assert 'id="bell"' not in body(Client(), "/account/login/")

    def test_it_counts_to_99_in_one_query(self, cast: Cast) -> None:
        self.told(cast, 102)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            assert notices.unread(cast.pathologist) == 100
        assert len(queries) == 1
        assert "99+ unread" in body(of(cast.pathologist), "/notices/")

    def test_opening_one_reads_it_and_leads_to_the_case(self, cast: Cast) -> None:
        self.told(cast, 2)
        client, notice = of(cast.pathologist), notices.of(cast.pathologist)[0]
        assert client.get(f"/notices/{notice.pk}/")["Location"] == f"/cases/{notice.case_id}/"
        assert notices.unread(cast.pathologist) == 1
        assert of(cast.second_pathologist).get(f"/notices/{notice.pk}/").status_code == 404

    def test_reading_one_and_all(self, cast: Cast) -> None:
        self.told(cast, 3)
        client, notice = of(cast.pathologist), notices.of(cast.pathologist)[0]
        client.post(f"/notices/{notice.pk}/read/")
        assert notices.unread(cast.pathologist) == 2
        client.post("/notices/read/")
        assert notices.unread(cast.pathologist) == 0
        assert "Mark all as read" not in body(client, "/notices/")

    def test_the_list_costs_the_same_however_long_it_is(self, cast: Cast) -> None:
        client = of(cast.pathologist)
        self.told(cast)
        with CaptureQueriesContext(connection) as few:
            client.get("/notices/")
        self.told(cast, 40)
        with CaptureQueriesContext(connection) as many:
            client.get("/notices/")
        assert len(few) == len(many)

    def test_choosing(self, cast: Cast) -> None:
        client = of(cast.pathologist)
        body(client, "/notices/settings/", **{"portal-case_alarm": "on", "mail-case_late": "on"})
        ways = {choice.event: (choice.in_portal, choice.by_mail) for choice in notices.choices(cast.pathologist.user)}
        assert ways.pop(Event.CASE_ALARM) == (True, False)
        assert ways.pop(Event.CASE_LATE) == (False, True)
        assert set(ways.values()) == {(False, False)}

    def test_an_administrator_sees_what_the_mail_server_refused_and_sends_it_again(self, cast: Cast) -> None:
        OutgoingMail.objects.create(laboratory=cast.laboratory, to="a@b.example", state="failed", error="550 unknown")
        client = of(cast.administrator)
        assert "550 unknown" in body(client, "/notices/")
        assert "550 unknown" not in body(of(cast.pathologist), "/notices/")
        assert "1 mail will be tried again" in body(client, "/notices/outbox/", again="1")
        assert OutgoingMail.objects.get().state == "waiting"
