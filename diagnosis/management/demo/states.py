"""What the demo's people have done with the cases by the time that a newcomer looks: by the same steps as theirs.

Each function brings one case, once it has been read, into the state that its name says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from accounts.permissions import Actor
from diagnosis import holding, review, second_opinion, signout
from diagnosis.management.demo.people import PATHOLOGIST, SECOND, THIRD, demo_actor
from diagnosis.models import Case, Report, SmearImage
from diagnosis.reporting.canonical import section_hashes

INVENTED = "Invented for the demonstration: rendered pictures, no person stands behind them."

#: File name of an image → the class that was drawn.
Drawn = Mapping[str, str]


def decide(actor: Actor, case: Case, drawn: Drawn, *, of: int | None = None) -> None:
    """Name what was drawn on each image (or the first so many) on which nobody has decided."""
    images = list(SmearImage.objects.filter(case=case).order_by("id"))[:of]
    standing = review.standings([image.pk for image in images], case)
    choices = [
        review.Choice(image=image.pk, verdict="override", label=drawn[image.original_name])
        for image in images
        if standing[image.pk].current is None and image.original_name in drawn
    ]
    if choices:
        review.decide_many(actor=actor, case=case, choices=choices)


def write(actor: Actor, case: Case, diagnosis: str, comment: str, *, key_images: int = 3) -> None:
    """The draft of the report, with the first images as its key images."""
    case = Case.objects.get(pk=case.pk)
    chosen = list(SmearImage.objects.filter(case=case).order_by("id").values_list("pk", flat=True)[:key_images])
    signout.save_draft(
        actor=actor,
        case=case,
        expected_revision=signout.draft_of(case).revision,
        diagnosis=diagnosis,
        comment=f"{comment}\n\n{INVENTED}",
        key_images=chosen,
    )


def sign(actor: Actor, case: Case, site: str, proposal: signout.Proposal | None = None) -> Report:
    """As the signing page does: what is signed is what was shown."""
    case = Case.objects.get(pk=case.pk)
    proposal = proposal or signout.proposal_of(case)
    seen = section_hashes(signout.preview(actor=actor, case=case, proposal=proposal))
    return signout.sign(actor=actor, case=case, proposal=proposal, seen=seen, signed_with="demo", site=site)


def in_review(case: Case, drawn: Drawn, site: str) -> None:
    """A colleague holds it and has decided on half of its images."""
    decide(demo_actor(SECOND), case, drawn, of=case.image_count // 2)


def reviewed(case: Case, drawn: Drawn, site: str) -> None:
    """Everything is decided and the report is written: it waits for the signature."""
    pathologist = demo_actor(PATHOLOGIST)
    decide(pathologist, case, drawn)
    write(pathologist, case, "9811/3", "Fields full of lymphoblasts. Flow cytometry and genetics to follow.")


def asked(case: Case, drawn: Drawn, site: str) -> None:
    """A colleague waits for the demo pathologist's opinion, which is to be given blind."""
    second = demo_actor(SECOND)
    decide(second, case, drawn)
    second_opinion.ask(
        actor=second,
        case=case,
        colleagues=[demo_actor(PATHOLOGIST).user],
        question="Lymphoblasts throughout? I would like to be sure before I call the ward.",
        diagnosis="9811/3",
    )


def differ(case: Case, drawn: Drawn, site: str) -> None:
    """Two colleagues came to different diagnoses: a third settles it."""
    second, third = demo_actor(SECOND), demo_actor(THIRD)
    decide(second, case, drawn)
    opinions = second_opinion.ask(
        actor=second,
        case=case,
        colleagues=[third.user],
        question="Regenerating precursors or relapse?",
        diagnosis="haematogones",
    )
    second_opinion.answer(
        actor=third, opinion=opinions[0], diagnosis="9811/3", comment="Too many of one size for me. Residual disease?"
    )


def signed(case: Case, drawn: Drawn, site: str) -> None:
    pathologist = demo_actor(PATHOLOGIST)
    decide(pathologist, case, drawn)
    write(pathologist, case, "9733/3", "Plasma cells well above 20 % of the nucleated cells of the blood.")
    sign(pathologist, case, site)


def amended(case: Case, drawn: Drawn, site: str) -> None:
    """Signed as suspicious, then amended when flow cytometry had come."""
    second = demo_actor(SECOND)
    decide(second, case, drawn)
    write(second, case, "suspicious", "Activated lymphocytes. Flow cytometry is needed to exclude a lymphoma.")
    sign(second, case, site)
    case = signout.amend(
        actor=second, case=case, reason="Flow cytometry came in: polyclonal B cells, many activated T cells."
    )
    write(second, case, "reactive", "Reactive lymphocytosis; flow cytometry finds no clone.")
    sign(second, case, site)


def addendum(case: Case, drawn: Drawn, site: str) -> None:
    """Signed, with a finding added that came later."""
    pathologist = demo_actor(PATHOLOGIST)
    decide(pathologist, case, drawn)
    write(pathologist, case, "9861/3", "Myeloblasts well above 20 %. Genetics to follow.")
    sign(pathologist, case, site)
    added = signout.Proposal(
        Report.Kind.ADDENDUM,
        reason="Molecular genetics came in.",
        addendum="Molecular genetics: NPM1 mutated, FLT3-ITD negative (invented).",
    )
    sign(pathologist, case, site, added)


#: Name of a state → how a case comes there.
STATES: dict[str, Callable[[Case, Drawn, str], None]] = {
    each.__name__: each for each in (in_review, reviewed, asked, differ, signed, amended, addendum)
}
#: What a step says when somebody else, a newcomer perhaps, was there first: then the case is left as it is.
REFUSALS = (
    holding.HoldRefused,
    review.ReviewRefused,
    second_opinion.OpinionRefused,
    signout.SignoutRefused,
    signout.NotReady,
    signout.PreviewChanged,
    signout.DraftConflict,
)
