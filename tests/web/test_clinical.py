"""Clinical data, request, patient and scale on the pages: what is typed is never lost, and nobody covers anybody."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from accounts.permissions import Actor
from diagnosis import clinic, clinical
from diagnosis.models import Case, ClinicalData, Decision, Patient, SmearImage
from tests.cast import Cast
from tests.smears import make_image
from tests.web.test_pages import read

pytestmark = pytest.mark.django_db


def signed_in(actor: Actor) -> Client:
    client = Client()
    client.force_login(actor.user)
    return client


@pytest.fixture
def case(cast: Cast) -> Case:
    patient = Patient.objects.create(
        laboratory=cast.laboratory, mrn="77-1", name="Rendered Person", birth_date=date(1970, 1, 1), sex="male"
    )
    return cast.case(patient=patient, clinical_question="Blasts?")


def page(client: Client, case: Case) -> str:
    return client.get(reverse("case", args=[case.pk])).content.decode()


class TestClinicalData:
    def url(self, case: Case) -> str:
        return reverse("case-clinical", args=[case.pk])

    def test_empty_entered_and_shown(self, cast: Cast, case: Case) -> None:
        client = signed_in(cast.technician)
        assert "No blood count, cytogenetics or immunophenotype yet" in page(client, case)
        form = client.get(self.url(case)).content.decode()
        assert 'name="revision" value="0"' in form
        sent = {
            "revision": "0", "wbc": "42,5", "haemoglobin": "8.1", "platelets": "31", "blasts": "60",
            "counted_on": "2026-03-01", "cytogenetics": ["t_15_17"], "marker-CD34": "negative", "marker-CD117": "dim",
            "immunophenotype_text": "HLA-DR negative.",
        }  # fmt: skip
        answer = client.post(self.url(case), sent)
        assert answer["Location"] == reverse("case", args=[case.pk])
        shown = page(client, case)
        for words in ("42.5", "↑ high", "13–17, men", "↓ low", "1 Mar 2026", "PML::RARA: acute promyelocytic leukaemia",
                      "CD117", "HLA-DR negative.", "Tess Technician"):  # fmt: skip
            assert words in shown, words
        again = client.get(self.url(case)).content.decode()
        assert 'name="wbc" value="42.5"' in again
        assert '<option value="dim" selected>' in again

    def test_a_slip_of_the_unit_is_offered_and_taken(self, cast: Cast, case: Case) -> None:
        client = signed_in(cast.technician)
        sent = {"revision": "0", "haemoglobin": "81", "wbc": "8500", "cytogenetics_text": "To come."}
        answer = client.post(self.url(case), sent)
        text = answer.content.decode()
        assert answer.status_code == 422
        assert "If you meant 81 g/l, that is 8.1 g/dl." in text
        assert "If you meant 8,500 /µl, that is 8.5 10⁹/l." in text
        assert 'value="haemoglobin:8.1"' in text
        assert "To come." in text
        assert not ClinicalData.objects.exists()
        # One offer taken: the other question stays, with what was taken.
        answer = client.post(self.url(case), sent | {"use": "haemoglobin:8.1"})
        assert answer.status_code == 422
        assert 'name="haemoglobin" value="8.1"' in answer.content.decode()
        client.post(self.url(case), sent | {"haemoglobin": "8.1", "use": "wbc:8.5"})
        data = ClinicalData.objects.get(case=case)
        assert (data.haemoglobin, data.wbc, data.cytogenetics_text) == (8.1, 8.5, "To come.")

    def test_a_rare_value_is_stored_when_confirmed_and_only_that_value(self, cast: Cast, case: Case) -> None:
        client = signed_in(cast.technician)
        answer = client.post(self.url(case), {"revision": "0", "wbc": "800"})
        assert 'name="confirmed" value="wbc:800.0"' in answer.content.decode()
        assert client.post(self.url(case), {"revision": "0", "wbc": "900", "confirmed": "wbc:800.0"}).status_code == 422
        assert client.post(self.url(case), {"revision": "0", "wbc": "800", "confirmed": "wbc:800.0"}).status_code == 302
        assert ClinicalData.objects.get(case=case).wbc == 800

    def test_both_versions_are_shown_when_somebody_was_faster(self, cast: Cast, case: Case) -> None:
        clinical.save(actor=cast.technician, case=case, expected_revision=0, wbc=4.0, cytogenetics=["del_5q"])
        client = signed_in(cast.pathologist)
        sent = {"revision": "0", "wbc": "5", "cytogenetics_text": "Mine."}
        answer = client.post(self.url(case), sent)
        text = answer.content.decode()
        assert answer.status_code == 409
        for words in (
            "Tess Technician saved other clinical data meanwhile",
            "<td>4</td><td>5</td>",
            "del(5q)",
            "Mine.",
        ):
            assert words in text, words
        assert 'name="revision" value="1"' in text
        assert ClinicalData.objects.get(case=case).wbc == 4
        assert client.post(self.url(case), sent | {"revision": "1"}).status_code == 302
        assert ClinicalData.objects.get(case=case).cytogenetics_text == "Mine."

    def test_what_is_no_number_stays_as_typed(self, cast: Cast, case: Case) -> None:
        answer = signed_in(cast.technician).post(self.url(case), {"revision": "0", "wbc": "1.234,5", "blasts": "few"})
        text = answer.content.decode()
        assert answer.status_code == 422
        assert 'value="1.234,5"' in text
        assert 'value="few"' in text

    def test_counter_and_review_are_held_against_each_other(self, cast: Cast, case: Case) -> None:
        for _ in range(12):
            image = make_image(case)
            read(image, "lymphocyte")
            Decision.objects.create(image=image, verdict="agree", label="lymphocyte", decided_by=cast.pathologist.user)
        clinical.save(actor=cast.technician, case=case, expected_revision=0, blasts=55.0)
        assert "Counter and review differ: 55 % and 0 % blasts" in page(signed_in(cast.pathologist), case)

    def test_a_reader_sees_and_cannot_edit(self, cast: Cast, case: Case) -> None:
        client = signed_in(cast.administrator)
        assert self.url(case) not in page(client, case)
        assert client.get(self.url(case)).status_code == 403

    def test_the_card_costs_no_query(self, cast: Cast, case: Case, django_assert_num_queries: Any) -> None:
        client, url = signed_in(cast.pathologist), reverse("case-live", args=[case.pk])
        client.get(url)
        with CaptureQueriesContext(connection) as empty:
            client.get(url)
        clinical.save(actor=cast.technician, case=case, expected_revision=0, wbc=4.0)
        with django_assert_num_queries(len(empty)):
            client.get(url)


class TestRequestAndPatient:
    def test_the_request_is_edited(self, cast: Cast, case: Case) -> None:
        client, url = signed_in(cast.pathologist), reverse("case-edit", args=[case.pk])
        form = client.get(url).context["form"]
        sent = {name: form.initial[name] for name in (*form.names, "seen")}
        requester = {"requester_name": "Dr Vogt", "requester_email": "v@w.example"}
        answer = client.post(url, sent | requester | {"priority": "urgent"})
        assert answer.status_code == 302
        case.refresh_from_db()
        assert (case.priority, case.requester_name) == ("urgent", "Dr Vogt")
        assert "Dr Vogt" in page(client, case)
        answer = client.post(url, sent | {"requester_email": "no address", "clinical_question": "Kept"})
        assert answer.status_code == 422
        assert "Kept" in answer.content.decode()

    def test_two_people_at_one_question(self, cast: Cast, case: Case) -> None:
        client, url = signed_in(cast.pathologist), reverse("case-edit", args=[case.pk])
        form = client.get(url).context["form"]
        sent = {name: form.initial[name] for name in (*form.names, "seen")}
        clinic.update_case(actor=cast.technician, case=case, clinical_question="APL?")
        answer = client.post(url, sent | {"clinical_question": "ALL?"})
        text = answer.content.decode()
        assert answer.status_code == 409
        assert "APL?" in text
        assert ">ALL?</textarea>" in text.replace("\n", "")
        # The page that came back has seen theirs: saving again is a decision.
        seen = answer.context["form"].data["seen"]
        assert client.post(url, sent | {"clinical_question": "ALL?", "seen": seen}).status_code == 302
        case.refresh_from_db()
        assert case.clinical_question == "ALL?"

    def test_the_patient_is_corrected_with_the_same_care(self, cast: Cast, case: Case) -> None:
        client, url = signed_in(cast.technician), reverse("patient-edit", args=[case.pk])
        form = client.get(url).context["form"]
        sent = {"name": "Rendered Person", "birth_date": "1970-01-01", "sex": "male", "seen": form.initial["seen"]}
        assert client.post(url, sent | {"birth_date": "1971-02-03"}).status_code == 302
        case.patient.refresh_from_db()
        assert case.patient.birth_date == date(1971, 2, 3)
        answer = client.post(url, sent | {"birth_date": "1972-02-03"})
        assert answer.status_code == 409
        assert "03 February 1971" in answer.content.decode()
        assert client.post(url, sent | {"birth_date": "1672-02-03", "name": "Kept"}).status_code == 422
        # A field that nobody else touched is no conflict, also on a page from before; nonsense in `seen` is nothing.
        assert client.post(url, sent | {"birth_date": "1971-02-03", "sex": "female"}).status_code == 302
        assert client.post(url, sent | {"birth_date": "1971-02-03", "sex": "other", "seen": "[1"}).status_code == 302

    def test_a_new_case_knows_its_requester(self, cast: Cast) -> None:
        client = signed_in(cast.technician)
        sent = {
            "mrn": "77-9", "accession_number": "A-9", "specimen": "peripheral_blood", "stain": "giemsa",
            "priority": "routine", "requester_name": "Dr Vogt", "requester_email": "vogt@ward.example",
        }  # fmt: skip
        assert client.post(reverse("case-new"), sent).status_code == 302
        assert Case.objects.get(accession_number="A-9").requester_email == "vogt@ward.example"
        answer = client.post(reverse("case-new"), sent | {"accession_number": "A-10", "requester_email": "vogt"})
        assert answer.status_code == 422
        assert 'value="vogt"' in answer.content.decode()


class TestScale:
    def test_entered_for_one_and_for_all(self, cast: Cast, case: Case) -> None:
        image, other = make_image(case), make_image(case)
        client, url = signed_in(cast.technician), reverse("image-scale", args=[image.pk])
        shown = client.get(reverse("image", args=[image.pk])).content.decode()
        assert "The scale of this picture is not known: enter µm per pixel" in shown
        assert "the 1 other image of this case" in shown
        assert client.post(url, {"um_per_pixel": "0,102", "whole_case": "1"}).status_code == 302
        assert list(SmearImage.objects.values_list("um_per_pixel", flat=True)) == [0.102, 0.102]
        shown = client.get(reverse("image", args=[other.pk])).content.decode()
        assert "0.102 µm per pixel, 7 × 7 µm" in shown

    def test_what_is_refused_comes_back_as_typed(self, cast: Cast, case: Case) -> None:
        image = make_image(case)
        client, url = signed_in(cast.technician), reverse("image-scale", args=[image.pk])
        for wrong in ("", "wide", "500"):
            answer = client.post(url, {"um_per_pixel": wrong})
            assert answer.status_code == 422
            assert f'name="um_per_pixel" value="{wrong}"' in answer.content.decode()
        SmearImage.objects.update(um_per_pixel=0.5)
        answer = client.post(url, {"um_per_pixel": "0.1", "seen": ""})
        assert answer.status_code == 409
        assert "Somebody set the scale meanwhile: it is 0.5 µm per pixel now" in answer.content.decode()
        assert client.post(url, {"um_per_pixel": "0.1", "seen": "0.5"}).status_code == 302
