"""The pages of the sign-out: what is typed is kept, who signs is proved, what was seen is what is signed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.totp.internal.auth import (
    TOTP,
    format_hotp_value,
    generate_totp_secret,
    hotp_value,
    yield_hotp_counters_from_time,
)
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from diagnosis import review, signout
from diagnosis.models import AuditEvent, CommentTemplate, Report, ReportDraft
from tests.accounts.softkey import SoftKey
from tests.cast import PASSWORD, Cast
from tests.diagnosis.signing import fresh, read_case, ready_case, sign, signed_case
from tests.smears import make_image
from tests.triggers import triggers_lifted

pytestmark = pytest.mark.django_db
SCRIPT = {"X-Requested-With": "fetch", "Accept": "application/json"}


@pytest.fixture(autouse=True)
def fresh_limits() -> Iterator[None]:
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def pathologist(cast: Cast, client: Client) -> Client:
    client.force_login(cast.pathologist.user)
    return client


def signature(page: Any, **more: str) -> dict[str, str]:
    return {"seen": page.context["seen"], "password": PASSWORD} | more


class TestDraft:
    def test_a_script_saves_and_learns_what_is_missing(self, cast: Cast, pathologist: Client) -> None:
        case = read_case(cast)
        address = f"/cases/{case.pk}/report/draft/"
        answer = pathologist.post(address, {"revision": "0", "diagnosis": "9861/3", "comment": "A"}, headers=SCRIPT)
        told = answer.json()
        assert (answer.status_code, told["revision"]) == (200, 1)
        assert "3 images are not decided." in told["missing"]
        assert "No diagnosis" not in told["missing"]
        assert ReportDraft.objects.get().key_images == []

    def test_whoever_was_overtaken_gets_both(self, cast: Cast, pathologist: Client) -> None:
        case = read_case(cast)
        signout.save_draft(actor=cast.second_pathologist, case=case, expected_revision=0, comment="Theirs.")
        address = f"/cases/{case.pk}/report/draft/"
        typed = {"revision": "0", "comment": "Mine.", "diagnosis": "9861/3", "diagnosis_text": ""}
        answer = pathologist.post(address, typed, headers=SCRIPT)
        assert answer.status_code == 409
        assert answer.json()["current"]["comment"] == "Theirs."
        assert answer.json()["current"]["by"] == "Petra Pathologist"
        page = pathologist.post(address, typed)
        assert page.status_code == 409
        assert b"Theirs." in page.content
        assert b"Mine." in page.content
        kept = pathologist.post(address, typed | {"revision": "1"})
        assert kept.status_code == 302
        assert ReportDraft.objects.get().comment == "Mine."

    @pytest.mark.parametrize("revision", ["", "-1", "x", "1" * 40])
    def test_a_strange_revision_overwrites_nothing(self, cast: Cast, pathologist: Client, revision: str) -> None:
        case = ready_case(cast)
        answer = pathologist.post(
            f"/cases/{case.pk}/report/draft/", {"revision": revision, "comment": "x"}, headers=SCRIPT
        )
        assert answer.status_code == 409

    def test_key_images_are_chosen_on_a_page_of_their_own(self, cast: Cast, pathologist: Client) -> None:
        case = read_case(cast)
        ids = list(case.images.order_by("id").values_list("pk", flat=True))
        address = f"/cases/{case.pk}/report/images/"
        assert pathologist.get(address).status_code == 200
        assert pathologist.post(address, {"revision": "0", "key_images": [ids[2]]}).status_code == 302
        assert pathologist.post(address, {"revision": "1", "key_images": ids}).status_code == 302
        assert ReportDraft.objects.get().key_images == [ids[2], ids[0], ids[1]]
        assert pathologist.post(address, {"revision": "1", "key_images": ids[:1]}).status_code == 409
        for _ in range(5):
            make_image(case)
        everything = list(case.images.values_list("pk", flat=True))
        assert pathologist.post(address, {"revision": "2", "key_images": everything}).status_code == 422

    def test_the_case_page_says_what_is_missing_and_offers_what_fits(self, cast: Cast, pathologist: Client) -> None:
        signout.save_template(actor=cast.pathologist, title="Advice", text="Flow cytometry.")
        page = pathologist.get(f"/cases/{read_case(cast).pk}/").content.decode()
        assert "3 images are not decided." in page
        assert "No diagnosis is chosen." in page
        assert '<optgroup label="Fits this case"><option value="9861/3">' in page
        picks = page.split('<select id="report-diagnosis"')[1].split("</select>")[0]
        assert "selected" not in picks
        assert 'data-text="Flow cytometry."' in page
        assert "Preview and sign" in page

    def test_a_technician_reads_the_report_and_writes_none(self, cast: Cast, client: Client) -> None:
        client.force_login(cast.technician.user)
        page = client.get(f"/cases/{ready_case(cast).pk}/").content.decode()
        assert "Acute myeloid leukaemia" in page
        assert 'id="draft"' not in page
        signed = signed_case(cast)
        assert client.get(f"/cases/{signed.case_id}/report/1/").status_code == 200


class TestSigning:
    def test_with_the_password(self, cast: Cast, pathologist: Client) -> None:
        case = ready_case(cast)
        address = f"/cases/{case.pk}/report/sign/"
        page = pathologist.get(address)
        assert page.status_code == 200
        answer = pathologist.post(address, signature(page))
        assert answer["Location"] == f"/cases/{case.pk}/report/1/"
        assert Report.objects.get().signed_with == "password"
        report = pathologist.get(answer["Location"]).content.decode()
        assert "Current version" in report
        assert "identity confirmed by password" in report
        assert pathologist.get(address)["Location"] == f"/cases/{case.pk}/report/"
        again = pathologist.post(address, signature(page))
        assert again.status_code == 409
        assert Report.objects.count() == 1

    def test_a_wrong_password_signs_nothing_and_loses_nothing(self, cast: Cast, pathologist: Client) -> None:
        case = ready_case(cast)
        address = f"/cases/{case.pk}/report/sign/"
        page = pathologist.get(address)
        for password in ("wrong", ""):
            answer = pathologist.post(address, signature(page, password=password))
            assert answer.status_code == 422
            assert "Not signed" in answer.content.decode()
            assert "wrong" not in answer.content.decode().split("Your signature")[1].split("</form>")[0].lower()
        assert not Report.objects.exists()
        assert fresh(case).draft.comment == "Flow cytometry is advised."
        assert AuditEvent.objects.filter(action="account.sign_in_failed").count() == 1

    def test_guessing_passwords_is_limited_as_at_signing_in(self, cast: Cast, pathologist: Client) -> None:
        address = f"/cases/{ready_case(cast).pk}/report/sign/"
        page = pathologist.get(address)
        for _ in range(11):
            answer = pathologist.post(address, signature(page, password="wrong"))
        assert "Too many failed login attempts" in answer.content.decode()
        assert pathologist.post(address, signature(page)).status_code == 422
        assert not Report.objects.exists()

    def test_what_changed_since_the_preview_is_named(self, cast: Cast, pathologist: Client) -> None:
        case = ready_case(cast)
        address = f"/cases/{case.pk}/report/sign/"
        page = pathologist.get(address)
        image = case.images.order_by("id")[0]
        review.decide(actor=cast.second_pathologist, image=image, verdict="override", label="promyelocyte")
        answer = pathologist.post(address, signature(page))
        assert answer.status_code == 409
        assert "this changed: differential, share of blasts" in answer.content.decode()
        assert pathologist.post(address, signature(answer)).status_code == 302

    @pytest.mark.parametrize("seen", ["", "null", "[]", '{"patient": "x"}', "{"])
    def test_a_preview_that_never_was_is_not_signed(self, cast: Cast, pathologist: Client, seen: str) -> None:
        address = f"/cases/{ready_case(cast).pk}/report/sign/"
        assert pathologist.post(address, {"seen": seen, "password": PASSWORD}).status_code == 409
        assert not Report.objects.exists()

    def test_while_something_is_missing_there_is_no_form(self, cast: Cast, pathologist: Client) -> None:
        case = read_case(cast)
        page = pathologist.get(f"/cases/{case.pk}/report/sign/")
        text = page.content.decode()
        assert "It cannot be signed yet" in text
        assert "3 images are not decided." in text
        assert 'id="sign"' not in text
        assert pathologist.post(f"/cases/{case.pk}/report/sign/", signature(page)).status_code == 409

    def test_without_a_password_by_an_authenticator_code_good_for_one_signature(
        self, cast: Cast, pathologist: Client
    ) -> None:
        user = cast.pathologist.user
        user.set_unusable_password()
        user.save()
        pathologist.force_login(user)
        case, other = ready_case(cast), signed_case(cast).case
        address = f"/cases/{case.pk}/report/sign/"
        assert "Nothing here can prove that it is you" in pathologist.get(address).content.decode()
        secret = generate_totp_secret()
        TOTP.activate(user, secret)
        page = pathologist.get(address).content.decode()
        assert f"/account/2fa/reauthenticate/?next={address}" in page
        assert 'type="password"' not in page
        counter = next(iter(yield_hotp_counters_from_time()))
        code = format_hotp_value(hotp_value(secret, counter))
        confirmed = pathologist.post(f"/account/2fa/reauthenticate/?next={address}", {"code": code, "next": address})
        assert confirmed["Location"] == address
        page = pathologist.get(address)
        assert "You have confirmed that it is you." in page.content.decode()
        assert pathologist.post(address, {"seen": page.context["seen"]}).status_code == 302
        assert Report.objects.get(case=case).signed_with == "totp"
        # The same code signs nothing else.
        address = f"/cases/{other.pk}/report/addendum/"
        page = pathologist.post(address, {"reason": "More.", "addendum": "More."})
        assert pathologist.post(address, {"seen": page.context["seen"]}).status_code == 422
        assert Report.objects.filter(case=other).count() == 1

    def test_by_a_passkey(self, cast: Cast, client: Client) -> None:
        user = cast.pathologist.user
        client.post("/account/login/", {"login": user.email, "password": PASSWORD})
        client.post("/account/reauthenticate/", {"password": PASSWORD})
        key = SoftKey()
        made = client.get("/account/2fa/webauthn/add/").context["js_data"]["creation_options"]
        credential = key.create(made, passwordless=True)
        client.post("/account/2fa/webauthn/add/", {"name": "Key", "credential": credential, "passwordless": "on"})
        case = ready_case(cast)
        address = f"/cases/{case.pk}/report/sign/"
        confirm = f"/account/2fa/webauthn/reauthenticate/?next={address}"
        assert confirm in client.get(address).content.decode()
        asked = client.get(confirm).context["js_data"]["request_options"]
        answer = client.post(confirm, {"credential": key.get(asked), "next": address})
        assert answer["Location"] == address
        page = client.get(address)
        assert client.post(address, {"seen": page.context["seen"]}).status_code == 302
        assert Report.objects.get().signed_with == "passkey"
        assert "identity confirmed by passkey" in client.get(f"/cases/{case.pk}/report/1/").content.decode()

    def test_a_code_from_long_ago_signs_nothing(self, cast: Cast, pathologist: Client) -> None:
        TOTP.activate(cast.pathologist.user, generate_totp_secret())
        authenticator = Authenticator.objects.get(type="totp")
        address = f"/cases/{ready_case(cast).pk}/report/sign/"

        def proved(ago: float, **more: Any) -> int:
            session = pathologist.session
            session["account_authentication_methods_user"] = str(cast.pathologist.user.pk)
            session["account_authentication_methods"] = [
                {"method": "mfa", "type": "totp", "id": authenticator.pk, "at": time.time() - ago} | more
            ]
            session.save()
            page = pathologist.get(address)
            return pathologist.post(address, {"seen": page.context["seen"]}).status_code

        assert proved(130, reauthenticated=True) == 422
        assert proved(1) == 422  # that was signing in
        assert proved(1, reauthenticated=True) == 302


class TestNextVersions:
    def test_amend_sign_and_the_old_version_says_so(self, cast: Cast, pathologist: Client) -> None:
        case = ready_case(cast)
        sign(cast.pathologist, case)
        change = f"/cases/{case.pk}/report/change/"
        assert pathologist.get(change).status_code == 200
        assert pathologist.post(change, {"reason": " "}).status_code == 422
        assert pathologist.post(change, {"reason": "FISH came."}).status_code == 302
        page = pathologist.get(f"/cases/{case.pk}/").content.decode()
        assert "Open for an amendment of version 1" in page
        assert "FISH came." in page
        revision = str(ReportDraft.objects.get().revision)
        pathologist.post(f"/cases/{case.pk}/report/draft/", {"revision": revision, "diagnosis": "9866/3"})
        address = f"/cases/{case.pk}/report/sign/"
        preview = pathologist.get(address)
        assert "What this version changes" in preview.content.decode()
        assert pathologist.post(address, signature(preview)).status_code == 302
        old = pathologist.get(f"/cases/{case.pk}/report/1/").content.decode()
        assert "Superseded by version 2" in old
        new = pathologist.get(f"/cases/{case.pk}/report/2/").content.decode()
        assert "What version 2 changed" in new
        assert "Takes the place of version 1" in new
        assert pathologist.get(f"/cases/{case.pk}/report/")["Location"].endswith("/report/2/")
        assert pathologist.get(f"/cases/{case.pk}/report/3/").status_code == 404

    def test_an_amendment_is_cancelled(self, cast: Cast, pathologist: Client) -> None:
        case = signed_case(cast).case
        pathologist.post(f"/cases/{case.pk}/report/change/", {"reason": "A mistake."})
        assert pathologist.get(f"/cases/{case.pk}/report/addendum/").status_code == 302
        assert pathologist.post(f"/cases/{case.pk}/report/cancel/").status_code == 302
        assert fresh(case).is_closed

    @pytest.mark.parametrize(
        ("kind", "typed"),
        [
            ("addendum", {"reason": "A result came.", "addendum": "BCR::ABL1 is\nnegative."}),
            ("correction", {"reason": "A slip.", "diagnosis_text": "Reactive lymphocytes.", "comment": ""}),
        ],
    )
    def test_what_is_added_or_corrected_is_previewed_and_waits(
        self, cast: Cast, pathologist: Client, kind: str, typed: dict[str, str]
    ) -> None:
        case = signed_case(cast).case
        address = f"/cases/{case.pk}/report/{kind}/"
        assert "Your signature" not in pathologist.get(address).content.decode()
        preview = pathologist.post(address, typed)
        assert "What this version changes" in preview.content.decode()
        # Away to another page to confirm, and back: it is still there.
        back = pathologist.get(address)
        assert back.context["typed"] == typed
        assert back.context["seen"] == preview.context["seen"]
        assert pathologist.post(address, signature(back)).status_code == 302
        assert Report.objects.get(version=2).kind == kind
        assert "Your signature" not in pathologist.get(address).content.decode()

    def test_images_that_came_later_are_pointed_out(self, cast: Cast, pathologist: Client) -> None:
        case = signed_case(cast).case
        make_image(case)
        for address in (f"/cases/{case.pk}/", f"/cases/{case.pk}/report/1/"):
            assert "1 image came after signing" in pathologist.get(address).content.decode()

    def test_a_report_that_was_altered_says_so(self, cast: Cast, pathologist: Client) -> None:
        report = signed_case(cast)
        with triggers_lifted(connection):
            Report.objects.update(content=report.content | {"comment": "Not signed."})
        assert "This is not what was signed" in pathologist.get(f"/cases/{report.case_id}/report/1/").content.decode()


def test_the_pdf_is_the_one_that_was_signed(cast: Cast, pathologist: Client) -> None:
    report = signed_case(cast)
    answer = pathologist.get(f"/cases/{report.case_id}/report/1/pdf")
    assert answer.content == bytes(report.pdf)
    assert answer["Content-Type"] == "application/pdf"
    assert report.case.accession_number not in answer["Content-Disposition"]


class TestCheckPage:
    """Open to everybody; no word of the patient on it."""

    def test_a_code_as_typed_scanned_or_computed(self, cast: Cast, client: Client) -> None:
        report = signed_case(cast)
        short = report.content_hash[:16]
        typed = f" {short[:4].upper()}-{short[4:8]} {short[8:12]}–{short[12:]} "
        assert client.get("/verify/", {"code": typed})["Location"] == f"/verify/{short}/"
        for code in (short, report.content_hash, report.content_hash.upper(), report.pdf_sha256):
            page = client.get(f"/verify/{code}/")
            assert page.status_code == 200
            text = page.content.decode()
            assert "This is the current version" in text
            assert report.case.accession_number in text
            assert cast.laboratory.name in text
            assert report.case.patient.name not in text
            assert report.case.patient.mrn not in text
            assert "Reactive" not in text
            assert ("The file is the one that was signed" in text) == (code == report.pdf_sha256)
            assert "no-store" in page["Cache-Control"]

    def test_a_superseded_version(self, cast: Cast, client: Client) -> None:
        first = signed_case(cast)
        sign(cast.pathologist, first.case, signout.Proposal("addendum", reason="More.", addendum="More."))
        text = client.get(f"/verify/{first.content_hash}/").content.decode()
        assert "Version 2, signed on" in text
        assert "This is the current version" not in text

    @pytest.mark.parametrize("code", ["f" * 64, "0" * 16, "abc", "x" * 64, "%00", "' OR 1=1 --", "f" * 65])
    def test_an_unknown_code(self, cast: Cast, client: Client, code: str) -> None:
        signed_case(cast)
        page = client.get(f"/verify/{code}/")
        assert page.status_code == 404
        assert "Unknown" in page.content.decode()

    def test_what_is_no_code_is_asked_for_again(self, client: Client, db: None) -> None:
        assert client.get("/verify/").status_code == 200
        page = client.get("/verify/", {"code": "abc"})
        assert page.status_code == 422
        assert 'value="abc"' in page.content.decode()

    def test_trying_out_codes_is_slowed(self, client: Client, db: None) -> None:
        answers = [client.get(f"/verify/{'f' * 64}/").status_code for _ in range(31)]
        assert answers == [404] * 30 + [429]


def test_comment_templates_are_managed(cast: Cast, pathologist: Client) -> None:
    assert "None yet" in pathologist.get("/templates/").content.decode()
    assert pathologist.post("/templates/", {"title": "Advice", "text": "Flow."}).status_code == 302
    taken = pathologist.post("/templates/", {"title": "Advice", "text": "Kept text."})
    assert taken.status_code == 422
    assert "Kept text." in taken.content.decode()
    template = CommentTemplate.objects.get()
    address = f"/templates/{template.pk}/"
    assert "Flow." in pathologist.get(address).content.decode()
    assert pathologist.post(address, {"title": "Advice", "text": "Flow cytometry."}).status_code == 302
    assert CommentTemplate.objects.get().text == "Flow cytometry."
    assert pathologist.post(f"{address}delete/").status_code == 302
    assert not CommentTemplate.objects.exists()


def test_neither_page_asks_more_of_the_database_for_more_images(cast: Cast, pathologist: Client) -> None:
    case = read_case(cast)
    addresses = (f"/cases/{case.pk}/", f"/cases/{case.pk}/report/sign/", f"/cases/{case.pk}/report/images/")

    def asked(address: str) -> int:
        pathologist.get(address)
        with CaptureQueriesContext(connection) as queries:
            pathologist.get(address)
        return len(queries)

    few = [asked(address) for address in addresses]
    for _ in range(8):
        make_image(case)
    assert [asked(address) for address in addresses] <= [number + 1 for number in few]
