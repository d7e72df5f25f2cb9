"""Cases that are ready to be signed, and signatures, for tests of what comes after."""

from __future__ import annotations

from typing import Any

from accounts.permissions import Actor
from diagnosis import assessment, review, signout
from diagnosis.models import Case, Report
from diagnosis.reporting.canonical import section_hashes
from diagnosis.signout import Proposal
from tests.cast import Cast
from tests.diagnosis.opinions import make_releases, read_image
from tests.smears import make_image

SITE = "https://leukolens.example"


def read_case(cast: Cast, *labels: str, **fields: Any) -> Case:
    """A case with one cell for each label, read so by both networks, nobody having decided."""
    case = cast.case(**fields)
    releases = make_releases()
    for label in labels or ("blast", "blast", "lymphocyte"):
        read_image(case, releases, label)
    assessment.refresh(case.pk)
    case.refresh_from_db()
    return case


def decide_all(actor: Actor, case: Case) -> None:
    for image in case.images.all():
        review.decide(actor=actor, image=image, verdict="agree")


def ready_case(cast: Cast, *labels: str, **fields: Any) -> Case:
    """A case that the pathologist has decided and drafted: the first image is its key image."""
    case = read_case(cast, *labels, **fields)
    decide_all(cast.pathologist, case)
    first = case.images.order_by("id")[0]
    signout.save_draft(
        actor=cast.pathologist,
        case=case,
        expected_revision=0,
        diagnosis="9861/3",
        diagnosis_text="Two of three cells are blasts.",
        comment="Flow cytometry is advised.",
        key_images=[first.pk],
    )
    return fresh(case)


def fresh(case: Case) -> Case:
    return Case.objects.select_related("patient", "laboratory").get(pk=case.pk)


def sign(actor: Actor, case: Case, proposal: Proposal | None = None, **changed: Any) -> Report:
    """What the pages do: look at the preview, then sign what was seen."""
    proposal = proposal or signout.proposal_of(fresh(case))
    seen = section_hashes(signout.preview(actor=actor, case=case, proposal=proposal))
    arguments = {"seen": seen, "signed_with": "password", "site": SITE} | changed
    return signout.sign(actor=actor, case=case, proposal=proposal, **arguments)


def signed_case(cast: Cast) -> Report:
    """A case of one image that no network has read, signed by the pathologist."""
    case = cast.case()
    image = make_image(case)
    review.decide(actor=cast.pathologist, image=image, verdict="override", label="lymphocyte")
    signout.save_draft(
        actor=cast.pathologist, case=case, expected_revision=0, diagnosis="reactive", key_images=[image.pk]
    )
    return sign(cast.pathologist, case)
