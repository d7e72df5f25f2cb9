"""From the draft to the signed report and its next versions: what is refused, what is frozen, who is told."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.files.storage import default_storage
from django.db import connection

from diagnosis import assessment, audit, review, signout
from diagnosis.models import AuditEvent, Case, CommentTemplate, Notice, OutgoingMail, Report, ReportDraft
from diagnosis.reporting.canonical import content_hash, section_hashes
from diagnosis.reporting.content import verified
from diagnosis.signout import DraftConflict, NotReady, PreviewChanged, Proposal, SignoutRefused
from tests.cast import Cast, make_cast
from tests.diagnosis.opinions import make_releases, opinion, read_image
from tests.diagnosis.signing import SITE, fresh, read_case, ready_case, sign
from tests.smears import make_image

pytestmark = pytest.mark.django_db
Kind = Report.Kind


def codes(case: Case, **arguments: Any) -> list[str]:
    return [gap.code for gap in signout.missing(fresh(case), **arguments)]


def refused(code: str, step: Callable[[], object]) -> SignoutRefused:
    before = (Report.objects.count(), ReportDraft.objects.values_list("revision").first(), AuditEvent.objects.count())
    with pytest.raises(SignoutRefused) as caught:
        step()
    assert caught.value.code == code
    assert caught.value.message.endswith(".")
    now = (Report.objects.count(), ReportDraft.objects.values_list("revision").first(), AuditEvent.objects.count())
    assert now == before
    return caught.value


class TestWhatIsMissing:
    def test_nothing_to_report_on(self, cast: Cast) -> None:
        assert codes(cast.case()) == ["no_images", "diagnosis"]

    def test_every_image_is_named_once_by_what_it_waits_for(self, cast: Cast) -> None:
        case, releases = cast.case(), make_releases()
        read = read_image(case, releases, "blast")
        waiting, failed, done_by_hand = make_image(case), make_image(case), make_image(case)
        for image, state in ((waiting, "queued"), (failed, "failed"), (done_by_hand, "failed")):
            for release in releases:
                opinion(image, release, state=state)
        review.decide(actor=cast.pathologist, image=done_by_hand, verdict="override", label="blast")
        gaps = {gap.code: gap.images for gap in signout.missing(fresh(case))}
        assert gaps == {
            "undecided": (read.pk,),
            "waiting": (waiting.pk,),
            "failed": (failed.pk,),
            "diagnosis": (),
        }

    def test_a_colleague_holds_it(self, cast: Cast) -> None:
        case = ready_case(cast)
        assert codes(case, actor=cast.pathologist) == []
        assert codes(case, actor=cast.second_pathologist) == ["held"]

    def test_a_key_image_whose_file_is_gone(self, cast: Cast) -> None:
        case = ready_case(cast)
        default_storage.delete(str(case.images.get(pk=case.draft.key_images[0]).file))
        assert codes(case) == ["key_images"]


class TestDraft:
    def test_it_is_stored_revision_by_revision_and_holds_the_case(self, cast: Cast) -> None:
        case = read_case(cast)
        draft = signout.save_draft(
            actor=cast.pathologist, case=case, expected_revision=0, comment="  Blasts.\r\nMany. "
        )
        assert (draft.revision, draft.comment) == (1, "Blasts.\nMany.")
        assert fresh(case).held_by == cast.pathologist.user
        again = signout.save_draft(actor=cast.pathologist, case=case, expected_revision=0, comment="Blasts.\nMany.")
        assert again.revision == 1
        assert audit.verify(case=case) == []

    def test_it_is_never_saved_over_a_colleagues(self, cast: Cast) -> None:
        case = read_case(cast)
        signout.save_draft(actor=cast.pathologist, case=case, expected_revision=0, comment="First.")
        with pytest.raises(DraftConflict) as caught:
            signout.save_draft(actor=cast.second_pathologist, case=case, expected_revision=0, comment="Second.")
        assert caught.value.current.comment == "First."
        assert "Paul Pathologist changed the draft" in str(caught.value)
        assert ReportDraft.objects.get().comment == "First."

    def test_typing_on_is_one_line_of_the_history(self, cast: Cast) -> None:
        case = read_case(cast)
        for revision, text in enumerate(("B", "Bl", "Blasts.")):
            signout.save_draft(actor=cast.pathologist, case=case, expected_revision=revision, comment=text)
        signout.save_draft(actor=cast.pathologist, case=case, expected_revision=3, diagnosis="9861/3")
        events = AuditEvent.objects.filter(action="draft.saved").order_by("sequence")
        assert [event.detail["fields"] for event in events] == [["comment"], ["diagnosis"]]

    @pytest.mark.parametrize(
        ("fields", "code"),
        [
            ({"diagnosis": "0000/0"}, "unknown"),
            ({"comment": "x" * 10_001}, "too_long"),
            ({"key_images": [1, 2, 3, 4, 5, 6, 7]}, "too_many"),
            ({"key_images": [999_999]}, "unknown"),
        ],
    )
    def test_what_does_not_fit(self, cast: Cast, fields: dict[str, Any], code: str) -> None:
        case = read_case(cast)
        refused(code, lambda: signout.save_draft(actor=cast.pathologist, case=case, expected_revision=0, **fields))

    def test_only_a_pathologist_of_the_laboratory(self, cast: Cast) -> None:
        case = read_case(cast)
        with pytest.raises(PermissionDenied):
            signout.save_draft(actor=cast.technician, case=case, expected_revision=0, comment="x")
        with pytest.raises(Case.DoesNotExist):
            signout.save_draft(actor=cast.stranger, case=case, expected_revision=0, comment="x")


class TestSigning:
    def test_it_freezes_what_was_seen_and_closes_the_case(self, cast: Cast) -> None:
        case = ready_case(cast)
        report = sign(cast.pathologist, case)
        case = fresh(case)
        assert (case.status, case.report_version, case.is_closed) == ("signed", 1, True)
        assert case.signed_at == report.signed_at
        stored = Report.objects.get()
        assert stored.content_hash == content_hash(stored.content)
        assert verified(stored)
        content = stored.content
        assert content["diagnosis"]["shown"] == "Acute myeloid leukaemia, not further specified (ICD-O-3 9861/3)"
        assert content["patient"]["mrn"] == case.patient.mrn
        assert [(line["label"], line["people"], line["networks"]) for line in content["differential"]["lines"]] == [
            ("Blast", 2, 2),
            ("Lymphocyte", 1, 1),
        ]
        assert content["blasts"]["value"] == "67 %"
        assert content["review"] == [{"name": "Paul Pathologist", "images": 3}]
        assert {each["network"] for each in content["networks"]["releases"]} == {"CNN", "MobileNet"}
        assert content["signature"]["name"] == "Paul Pathologist"
        assert content["signature"]["shown"].endswith("UTC")
        assert content["key_images"][0]["sha256"] == case.images.order_by("id")[0].stored_sha256
        assert bytes(stored.pdf).startswith(b"%PDF-")
        event = audit.history(case)[0]
        assert event.sentence.startswith("Paul Pathologist signed the report as version 1: Acute myeloid leukaemia")
        assert audit.verify(case=case) == []
        assert codes(case, actor=cast.pathologist) == []

    def test_people_and_networks_are_told_apart(self, cast: Cast) -> None:
        case = read_case(cast, "blast", "lymphocyte")
        for image in case.images.all():
            review.decide(actor=cast.pathologist, image=image, verdict="override", label="lymphocyte")
        signout.save_draft(actor=cast.pathologist, case=case, expected_revision=0, diagnosis="reactive")
        lines = sign(cast.pathologist, case).content["differential"]["lines"]
        assert [(line["label"], line["people"], line["networks"]) for line in lines] == [
            ("Lymphocyte", 2, 1),
            ("Blast", 0, 1),
        ]

    def test_what_is_missing_keeps_it_from_being_signed(self, cast: Cast) -> None:
        case = read_case(cast)
        error = refused("not_ready", lambda: sign(cast.pathologist, case))
        assert isinstance(error, NotReady)
        assert [gap.code for gap in error.missing] == ["undecided", "diagnosis"]

    def test_nothing_is_signed_that_was_not_seen(self, cast: Cast) -> None:
        case = ready_case(cast)
        seen = section_hashes(signout.preview(actor=cast.pathologist, case=case, proposal=Proposal(Kind.ORIGINAL)))
        first = case.images.order_by("id")[0]
        review.decide(actor=cast.second_pathologist, image=first, verdict="override", label="lymphocyte")
        case.patient.name = "Somebody Else"
        case.patient.save()
        with pytest.raises(PreviewChanged) as caught:
            sign(cast.pathologist, case, seen=seen)
        assert {"patient", "differential", "images and decisions"} <= set(caught.value.sections)
        assert "this changed: patient" in str(caught.value)
        assert not Report.objects.exists()
        with pytest.raises(PreviewChanged):
            sign(cast.pathologist, case, seen={})

    def test_a_closed_case_takes_no_decision_and_no_draft(self, cast: Cast) -> None:
        case = ready_case(cast)
        sign(cast.pathologist, case)
        image = case.images.order_by("id")[0]
        with pytest.raises(review.ReviewRefused) as caught:
            review.decide(actor=cast.pathologist, image=image, verdict="override", label="lymphocyte")
        assert caught.value.code == "signed"
        refused(
            "signed", lambda: signout.save_draft(actor=cast.pathologist, case=case, expected_revision=1, comment="x")
        )
        refused("signed", lambda: sign(cast.pathologist, case, Proposal(Kind.ORIGINAL)))

    def test_a_damaged_key_image_is_not_put_on_paper(self, cast: Cast) -> None:
        case = ready_case(cast)
        image = case.images.get(pk=case.draft.key_images[0])
        with default_storage.open(str(image.file), "wb") as file:
            file.write(b"something else")
        refused("picture_gone", lambda: sign(cast.pathologist, case))

    def test_the_holder_signs_and_nobody_else(self, cast: Cast) -> None:
        case = ready_case(cast)
        refused("not_ready", lambda: sign(cast.second_pathologist, case))
        with pytest.raises(PermissionDenied):
            sign(cast.administrator, case)

    def test_colleagues_and_the_requester_are_told_without_the_patients_name(self, cast: Cast) -> None:
        case = ready_case(cast, requester_name="Dr Quester", requester_email="quester@ward.example")
        report = sign(cast.pathologist, case)
        mail = OutgoingMail.objects.get(to="quester@ward.example")
        assert case.accession_number in mail.subject
        assert f"{SITE}/verify/{report.content_hash}/" in mail.body
        assert case.patient.name not in mail.subject + mail.body
        assert case.patient.mrn not in mail.subject + mail.body
        assert "leukaemia" not in mail.body
        assert [notice.user for notice in Notice.objects.filter(event="report_signed")] == [cast.technician.user]


class TestNextVersions:
    @pytest.fixture
    def case(self, cast: Cast) -> Case:
        case = ready_case(cast)
        sign(cast.pathologist, case)
        return fresh(case)

    def test_an_amendment_opens_the_case_and_keeps_the_old_version(self, cast: Cast, case: Case) -> None:
        first = Report.objects.get()
        signout.amend(actor=cast.second_pathologist, case=case, reason="Cytogenetics came: PML::RARA.")
        case = fresh(case)
        assert (case.status, case.amending, case.is_closed) == ("reviewed", True, False)
        assert (case.report_version, case.held_by) == (1, cast.second_pathologist.user)
        draft = ReportDraft.objects.get()
        assert (draft.diagnosis, draft.comment) == ("9861/3", "Flow cytometry is advised.")
        refused("no_change", lambda: sign(cast.second_pathologist, case))
        signout.save_draft(
            actor=cast.second_pathologist, case=case, expected_revision=draft.revision, diagnosis="9866/3"
        )
        second = sign(cast.second_pathologist, case)
        assert (second.version, second.kind, second.reason) == (2, Kind.AMENDMENT, "Cytogenetics came: PML::RARA.")
        assert second.content["report"]["supersedes"] == {
            "version": 1,
            "content_hash": first.content_hash,
            "signed": f"Paul Pathologist, {first.content['signature']['shown']}",
        }
        assert fresh(case).status == "signed"
        assert Report.objects.get(version=1).content == first.content

    def test_a_cancelled_amendment_leaves_everything_as_signed(self, cast: Cast, case: Case) -> None:
        signout.amend(actor=cast.pathologist, case=case, reason="A mistake.")
        draft = ReportDraft.objects.get()
        signout.save_draft(actor=cast.pathologist, case=case, expected_revision=draft.revision, comment="Other.")
        image = case.images.order_by("id")[0]
        decided = review.decide(actor=cast.pathologist, image=image, verdict="override", label="lymphocyte")
        refused("decided_since", lambda: signout.cancel_amendment(actor=cast.pathologist, case=case))
        review.decide(
            actor=cast.pathologist, image=image, verdict="override", label="blast", expected_decision=decided.pk
        )
        signout.cancel_amendment(actor=cast.pathologist, case=case)
        assert (fresh(case).status, fresh(case).report_version) == ("signed", 1)
        assert ReportDraft.objects.get().comment == "Flow cytometry is advised."
        refused("not_signed", lambda: signout.cancel_amendment(actor=cast.pathologist, case=case))

    def test_an_addendum_adds_and_leaves_all_else(self, cast: Cast, case: Case) -> None:
        case.patient.name = "Another Name"
        case.patient.save()
        first = Report.objects.get()
        proposal = Proposal(Kind.ADDENDUM, reason="A result came.", addendum="BCR::ABL1 is negative.")
        second = sign(cast.second_pathologist, case, proposal)
        assert second.content["addenda"] == [
            {"version": 2, "name": "Petra Pathologist", "text": "BCR::ABL1 is negative."}
        ]
        assert second.content["statement"]["signing"].startswith("I add the addendum")
        for section in ("patient", "diagnosis", "differential", "images", "comment"):
            assert second.content[section] == first.content[section]
        third = sign(cast.pathologist, case, Proposal(Kind.ADDENDUM, reason="Another.", addendum="FLT3 is negative."))
        assert [each["text"] for each in third.content["addenda"]] == ["BCR::ABL1 is negative.", "FLT3 is negative."]
        assert third.content["addenda"][0]["at"] == second.content["signature"]["shown"]

    def test_a_correction_takes_the_records_afresh_and_nothing_else(self, cast: Cast, case: Case) -> None:
        nothing = Proposal(Kind.CORRECTION, reason="The name was misspelt.")
        refused("no_change", lambda: sign(cast.pathologist, case, nothing))
        case.patient.name = "Corrected Person"
        case.patient.save()
        make_image(case)
        second = sign(cast.pathologist, case, nothing)
        assert second.content["patient"]["name"] == "Corrected Person"
        assert len(second.content["images"]) == 3
        assert Report.objects.get(version=1).content["patient"]["name"] != "Corrected Person"

    def test_a_new_version_needs_a_reason_and_something_to_say(self, cast: Cast, case: Case) -> None:
        refused("empty", lambda: signout.amend(actor=cast.pathologist, case=case, reason=" \n "))
        refused("empty", lambda: sign(cast.pathologist, case, Proposal(Kind.ADDENDUM, reason="x", addendum="")))
        refused("empty", lambda: sign(cast.pathologist, case, Proposal(Kind.ADDENDUM, addendum="x")))

    def test_while_an_amendment_is_written_nothing_else_is_signed(self, cast: Cast, case: Case) -> None:
        signout.amend(actor=cast.pathologist, case=case, reason="More.")
        refused("not_signed", lambda: sign(cast.pathologist, case, Proposal(Kind.ADDENDUM, reason="x", addendum="y")))
        refused("not_signed", lambda: signout.amend(actor=cast.pathologist, case=case, reason="More."))

    def test_images_that_come_later_are_pointed_out(self, cast: Cast, case: Case) -> None:
        report = Report.objects.get()
        assert signout.arrived_since(case, report) == []
        late = make_image(case)
        assessment.image_added(case.pk)
        assert signout.arrived_since(case, report) == [late.pk]
        assert fresh(case).status == "signed"


def test_comment_templates_belong_to_the_laboratory(cast: Cast) -> None:
    template = signout.save_template(actor=cast.administrator, title=" Flow  cytometry ", text="Advised.\r\nSoon.")
    assert (template.title, template.text) == ("Flow cytometry", "Advised.\nSoon.")
    refused("taken", lambda: signout.save_template(actor=cast.pathologist, title="Flow cytometry", text="x"))
    signout.save_template(actor=cast.stranger, title="Flow cytometry", text="x")
    signout.save_template(actor=cast.pathologist, title="Flow", text="Now.", template_id=template.pk)
    with pytest.raises(CommentTemplate.DoesNotExist):
        signout.delete_template(actor=cast.stranger, template_id=template.pk)
    with pytest.raises(PermissionDenied):
        signout.save_template(actor=cast.technician, title="x", text="x")
    signout.delete_template(actor=cast.pathologist, template_id=template.pk)
    assert [event.said for event in AuditEvent.objects.filter(laboratory=cast.laboratory).order_by("sequence")] == [
        "made the comment template “Flow cytometry”",
        "changed the comment template “Flow”",
        "deleted the comment template “Flow”",
    ]


@pytest.mark.django_db(transaction=True)
def test_two_who_sign_at_once_make_one_report() -> None:
    cast = make_cast()
    case = ready_case(cast)
    Case.objects.filter(pk=case.pk).update(held_by=None)
    start, results = threading.Barrier(2), list[object]()

    def run(actor: Any) -> None:
        try:
            seen = section_hashes(signout.preview(actor=actor, case=case, proposal=Proposal(Kind.ORIGINAL)))
            start.wait(30)
            results.append(sign_seen(actor, seen))
        except (SignoutRefused, PreviewChanged) as error:
            results.append(error)
        finally:
            connection.close()

    def sign_seen(actor: Any, seen: dict[str, str]) -> Report:
        return signout.sign(
            actor=actor, case=case, proposal=Proposal(Kind.ORIGINAL), seen=seen, signed_with="password", site=SITE
        )

    threads = [threading.Thread(target=run, args=(actor,)) for actor in (cast.pathologist, cast.second_pathologist)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2
    assert sum(isinstance(result, Report) for result in results) == 1
    assert Report.objects.count() == 1
    assert audit.verify(case=case) == []
    assert AuditEvent.objects.filter(case=case, action="report.signed").count() == 1


def test_everybody_who_decided_stands_in_the_report(cast: Cast) -> None:
    case = read_case(cast)
    first, *rest = case.images.order_by("id")
    review.decide(actor=cast.second_pathologist, image=first, verdict="agree")
    for image in rest:
        review.decide(actor=cast.pathologist, image=image, verdict="agree")
    Case.objects.filter(pk=case.pk).update(held_by=None)
    signout.save_draft(actor=cast.pathologist, case=case, expected_revision=0, diagnosis="9861/3")
    assert sign(cast.pathologist, case).content["review"] == [
        {"name": "Paul Pathologist", "images": 2},
        {"name": "Petra Pathologist", "images": 1},
    ]
