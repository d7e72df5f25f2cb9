"""Second opinions: asked, answered blind, adjudicated where they differ.

Every step locks the case's row first, so that of two people who act at the same moment the second is told what the
first did. Who is asked is blinded until they have answered (`diagnosis.blinding`). A diagnosis that an adjudicator
names goes into no report by itself: the pathologist who signs takes it over.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils import timezone

from accounts.models import Laboratory, User
from accounts.permissions import Action, Actor, require
from diagnosis import audit, holding, notices
from diagnosis.blinding import is_blinded
from diagnosis.kappa import Agreement, cohen
from diagnosis.models import Case, Decision, Event, ReportDraft, SecondOpinion
from diagnosis.vocabulary import DIAGNOSES, same_diagnosis

if TYPE_CHECKING:
    from django.db.models import QuerySet

__all__ = [
    "OpinionRefused",
    "adjudicate",
    "agreement",
    "agreement_by_quarter",
    "answer",
    "ask",
    "askable",
    "blocking",
    "decline",
    "is_blinded",
    "of_case",
    "open_ones",
    "withdraw",
]

State = SecondOpinion.State


class OpinionRefused(ValueError):  # noqa: N818
    """The step cannot be taken; `str(error)` says why and what to do.

    `code`: diagnosis, nobody, colleague, question, reason, comment, consensus (something to correct, `field` names
    it); signed, no_images, blinded, not_yours, ended, nothing_differs, party (not, or no longer, possible).
    """

    def __init__(self, code: str, message: str, field: str = "") -> None:
        super().__init__(message)
        self.code, self.field = code, field


def ask(
    *, actor: Actor, case: Case, colleagues: Collection[User], question: str = "", diagnosis: str = ""
) -> list[SecondOpinion]:
    """Ask each of `colleagues` for their own diagnosis; all of them or, where one cannot be asked, none.

    `diagnosis` is the actor's own, fixed from now on; left empty, the report draft's. A case that nobody holds is the
    actor's from then on. Raises `OpinionRefused`, `PermissionDenied`, `Case.DoesNotExist`.
    """
    require(actor, Action.GIVE_OPINION)
    question = _text(question, "question")
    with transaction.atomic():
        case = _locked(actor, case.pk)
        _refuse_closed(case)
        if is_blinded(actor=actor, case=case):
            raise OpinionRefused("blinded", "You are asked for an opinion on this case yourself. Answer first.")
        if not case.image_count:
            raise OpinionRefused("no_images", "There is no image in this case yet, so nothing to have an opinion on.")
        draft = ReportDraft.objects.filter(case=case).values_list("diagnosis", flat=True).first()
        first = _diagnosis(diagnosis or draft or "", "Choose your own diagnosis first: the answer is compared with it.")
        if not colleagues:
            raise OpinionRefused("nobody", "Choose at least one colleague.", "colleagues")
        free = {user.pk: reason for user, reason in askable(actor=actor, case=case)}
        for user in colleagues:
            if reason := free.get(user.pk, "is no pathologist of this laboratory"):
                raise OpinionRefused("colleague", f"{user} {reason}. Choose somebody else.", "colleagues")
        holding.claim_for_decision(actor, case)
        asked = SecondOpinion.objects.bulk_create(
            SecondOpinion(case=case, asked_by=actor.user, asked_of=user, question=question, first_diagnosis=first)
            for user in sorted(colleagues, key=lambda user: user.pk)
        )
        for opinion in asked:
            _note(actor, opinion, "opinion.asked", of=str(opinion.asked_of), first=first, question=question)
        notices.tell(event=Event.OPINION_ASKED, case=case, users=colleagues, detail={"who": str(actor.user)})
    return asked


def answer(*, actor: Actor, opinion: SecondOpinion, diagnosis: str, comment: str = "") -> SecondOpinion:
    """Store the colleague's own diagnosis; from now on they see what others said. The same answer twice is one.

    Raises `OpinionRefused` (ended where it was withdrawn or answered otherwise), `PermissionDenied`,
    `SecondOpinion.DoesNotExist`.
    """
    require(actor, Action.GIVE_OPINION)
    diagnosis = _diagnosis(diagnosis, "Choose the diagnosis that you come to.")
    comment = _text(comment, "comment")
    with transaction.atomic():
        found = _locked_opinion(actor, opinion.pk)
        if found.asked_of_id != actor.user.pk:
            raise OpinionRefused("not_yours", f"{found.asked_of} is asked here, so only they can answer.")
        if (found.state, found.diagnosis, found.comment) == (State.ANSWERED, diagnosis, comment):
            return found
        _refuse_ended(found)
        found.differs = not same_diagnosis(found.first_diagnosis, diagnosis)
        _end(found, State.ANSWERED, diagnosis=diagnosis, comment=comment)
        _note(actor, found, "opinion.answered", diagnosis=diagnosis, differs=found.differs, comment=comment)
        _tell_asker(actor, found, "answered", differs=found.differs)
        if found.differs:
            others = notices.pathologists(found.case.laboratory_id).exclude(pk=actor.user.pk)
            notices.tell(event=Event.ADJUDICATION_NEEDED, case=found.case, users=others)
    return found


def decline(*, actor: Actor, opinion: SecondOpinion, reason: str) -> SecondOpinion:
    """The colleague gives no opinion, and says why. Raises as `answer`."""
    require(actor, Action.GIVE_OPINION)
    reason = _text(reason, "reason")
    if not reason:
        raise OpinionRefused("reason", "Say in a few words why, so that your colleague knows whom to ask.", "reason")
    with transaction.atomic():
        found = _locked_opinion(actor, opinion.pk)
        if found.asked_of_id != actor.user.pk:
            raise OpinionRefused("not_yours", f"{found.asked_of} is asked here, so only they can decline.")
        _refuse_ended(found)
        _end(found, State.DECLINED, comment=reason)
        _note(actor, found, "opinion.declined", reason=reason)
        _tell_asker(actor, found, "declined")
    return found


def withdraw(*, actor: Actor, opinion: SecondOpinion) -> SecondOpinion:
    """Whoever asked, or holds the case, needs the answer no longer. Raises as `answer`."""
    require(actor, Action.GIVE_OPINION)
    with transaction.atomic():
        found = _locked_opinion(actor, opinion.pk)
        if actor.user.pk not in (found.asked_by_id, found.case.held_by_id):
            raise OpinionRefused("not_yours", f"{found.asked_by} asked, so only they or the case's holder withdraw it.")
        if found.state == State.WITHDRAWN:
            return found
        _refuse_ended(found)
        _end(found, State.WITHDRAWN)
        _note(actor, found, "opinion.withdrawn", of=str(found.asked_of))
        detail = {"who": str(actor.user), "how": "withdrawn"}
        notices.tell(event=Event.OPINION_ENDED, case=found.case, users=[found.asked_of], detail=detail)
    return found


def adjudicate(
    *, actor: Actor, case: Case, diagnosis: str, reason: str, consensus: bool = False
) -> list[SecondOpinion]:
    """Settle every answer of the case that differs and is not settled yet with one diagnosis and why.

    A third pathologist may, who neither asked nor answered; or whoever asked or holds the case may, who says with
    `consensus` that the colleague who answered agrees. Raises `OpinionRefused` (nothing_differs where somebody else
    was faster), `PermissionDenied`, `Case.DoesNotExist`.
    """
    require(actor, Action.GIVE_OPINION)
    diagnosis = _diagnosis(diagnosis, "Choose the diagnosis that settles it.")
    reason = _text(reason, "reason")
    if not reason:
        raise OpinionRefused("reason", "Say why: the reason stands beside the diagnosis for good.", "reason")
    with transaction.atomic():
        case = _locked(actor, case.pk)
        _refuse_closed(case)
        pending = list(of_case(case).filter(state=State.ANSWERED, differs=True, adjudicated_at=None).order_by("id"))
        role = adjudicator_role(actor, case, pending)
        if not pending:
            raise OpinionRefused("nothing_differs", _settled_words(case))
        if not role:
            raise OpinionRefused(
                "party",
                "You are one of the two who differ. A third pathologist settles it, or whoever asked you, together "
                "with you.",
            )
        if is_blinded(actor=actor, case=case):
            raise OpinionRefused("blinded", "You are asked for an opinion on this case yourself. Answer first.")
        if role == "consensus" and not consensus:
            raise OpinionRefused(
                "consensus",
                "You are one of the two who differ. Settle it only together: say that your colleague agrees, or let a "
                "third pathologist adjudicate.",
                "consensus",
            )
        now = timezone.now()
        for opinion in pending:
            opinion.adjudicator, opinion.adjudicated_at = actor.user, now
            opinion.adjudicated_diagnosis, opinion.adjudication_comment = diagnosis, reason
            opinion.save(
                update_fields=["adjudicator", "adjudicated_at", "adjudicated_diagnosis", "adjudication_comment"]
            )
            together = role == "consensus"
            _note(actor, opinion, "opinion.adjudicated", diagnosis=diagnosis, reason=reason, consensus=together)
        involved = {user for opinion in pending for user in (opinion.asked_by, opinion.asked_of)}
        notices.tell(
            event=Event.OPINION_ENDED, case=case, users=({*involved, case.held_by} - {actor.user, None}),  # type: ignore[arg-type]
            detail={"who": str(actor.user), "how": "adjudicated"},
        )  # fmt: skip
    return pending


def adjudicator_role(actor: Actor, case: Case, pending: Collection[SecondOpinion]) -> str:
    """How the actor may settle `pending`: "third" on their own, "consensus" together, "" not at all."""
    if any(actor.user.pk == opinion.asked_of_id for opinion in pending):
        return ""
    return "consensus" if any(actor.user.pk == opinion.asked_by_id for opinion in pending) else "third"


def of_case(case: Case) -> QuerySet[SecondOpinion]:
    """Every second opinion of the case, the newest first, the people joined."""
    return SecondOpinion.objects.filter(case=case).select_related("asked_by", "asked_of", "adjudicator").order_by("-id")


def open_ones(case: Case) -> list[SecondOpinion]:
    """Those that keep the case from being signed: not answered yet, or differing and not settled. One query."""
    return [opinion for opinion in of_case(case) if opinion.state == State.ASKED or opinion.needs_adjudication]


def blocking(case: Case) -> list[str]:
    """Why the case cannot be signed yet, in words with what to do; empty where nothing of this stands in the way."""
    return [
        f"{opinion.asked_of} has not given the second opinion yet. Wait for it, or withdraw the question."
        if opinion.state == State.ASKED
        else f"{opinion.asked_of} comes to another diagnosis than {opinion.asked_by}. Have it adjudicated."
        for opinion in reversed(open_ones(case))
    ]


def askable(*, actor: Actor, case: Case) -> list[tuple[User, str]]:
    """The laboratory's other pathologists by name, each with why they cannot be asked ("": they can). Three queries."""
    opinions = {
        opinion.asked_of_id: opinion.state for opinion in of_case(case).filter(state__in=(State.ANSWERED, State.ASKED))
    }
    decided = set(Decision.objects.filter(image__case=case).order_by().values_list("decided_by", flat=True).distinct())
    settled = set(of_case(case).exclude(adjudicator=None).values_list("adjudicator", flat=True))

    def reason(user: User) -> str:
        if state := opinions.get(user.pk):
            return "is asked already" if state == State.ASKED else "has given an opinion on this case already"
        if user.pk == case.held_by_id:
            return "holds this case"
        if user.pk in decided or user.pk in settled:
            return "has decided in this case, so would not judge it blind"
        return ""

    return [(user, reason(user)) for user in notices.pathologists(case.laboratory_id) if user.pk != actor.user.pk]


def agreement(laboratory: Laboratory, since: date | datetime | None = None) -> Agreement:
    """Agreement of first diagnosis and second opinion, by group of diagnoses, over all answers (since then)."""
    return cohen([pair for _, pair in _pairs(laboratory, since)])


def agreement_by_quarter(laboratory: Laboratory, *, quarters: int = 8) -> list[tuple[date, Agreement]]:
    """The same for each of the last `quarters` of a year, by the first day of each, the oldest first."""
    today = timezone.localdate()
    first = [today.year * 4 + (today.month - 1) // 3 - back for back in range(quarters - 1, -1, -1)]
    begins = [date(number // 4, number % 4 * 3 + 1, 1) for number in first]
    pairs: dict[date, list[tuple[str, str]]] = {begin: [] for begin in begins}
    for at, pair in _pairs(laboratory, begins[0]):
        day = timezone.localdate(at)
        pairs[date(day.year, (day.month - 1) // 3 * 3 + 1, 1)].append(pair)
    return [(begin, cohen(found)) for begin, found in pairs.items()]


def _pairs(laboratory: Laboratory, since: date | datetime | None) -> list[tuple[datetime, tuple[str, str]]]:
    # A case counts once nobody is asked in it any more: whoever is must not read off a figure how a colleague answered.
    waiting = SecondOpinion.objects.filter(case=OuterRef("case"), state=State.ASKED)
    found = SecondOpinion.objects.filter(
        ~Exists(waiting), case__laboratory=laboratory, state=State.ANSWERED, ended_at__isnull=False
    )
    if since is not None:
        if not isinstance(since, datetime):
            since = timezone.make_aware(datetime(since.year, since.month, since.day))
        found = found.filter(ended_at__gte=since)
    return [
        (at, (DIAGNOSES[first].group, DIAGNOSES[second].group))
        for at, first, second in found.order_by("ended_at").values_list("ended_at", "first_diagnosis", "diagnosis")
        if at is not None
    ]


def _locked(actor: Actor, case_id: int) -> Case:
    # NO KEY, as in audit: see there.
    rows = Case.objects.select_related("held_by").select_for_update(no_key=True, of=("self",))
    return rows.get(pk=case_id, laboratory=actor.laboratory)


def _locked_opinion(actor: Actor, opinion_id: int) -> SecondOpinion:
    """The opinion as it stands, its case's row locked first, as in every other step, so that none waits for ever."""
    case_id = SecondOpinion.objects.values_list("case_id", flat=True).get(
        pk=opinion_id, case__laboratory=actor.laboratory
    )
    case = _locked(actor, case_id)
    opinion = SecondOpinion.objects.select_related("asked_by", "asked_of", "adjudicator").get(pk=opinion_id)
    opinion.case = case
    return opinion


def _refuse_closed(case: Case) -> None:
    if case.is_closed:
        raise OpinionRefused("signed", f"{case.accession_number} is signed. Reopen it for an amendment first.")


def _refuse_ended(opinion: SecondOpinion) -> None:
    if opinion.state == State.ASKED:
        return
    said = {
        State.ANSWERED: f"{opinion.asked_of} has answered already",
        State.DECLINED: f"{opinion.asked_of} has declined already",
        State.WITHDRAWN: "The question was withdrawn meanwhile",
    }[State(opinion.state)]
    raise OpinionRefused("ended", f"{said}. Look at the case again.")


def _settled_words(case: Case) -> str:
    last = of_case(case).exclude(adjudicator=None).order_by("-adjudicated_at").first()
    if last is None:
        return "No two opinions differ in this case: there is nothing to settle."
    name = DIAGNOSES[last.adjudicated_diagnosis].name
    return f"{last.adjudicator} has settled it already: {name}. Nothing of theirs was overwritten."


def _end(opinion: SecondOpinion, state: SecondOpinion.State, *, diagnosis: str = "", comment: str = "") -> None:
    opinion.state, opinion.diagnosis, opinion.comment, opinion.ended_at = state, diagnosis, comment, timezone.now()
    opinion.save(update_fields=["state", "diagnosis", "comment", "ended_at", "differs"])


def _tell_asker(actor: Actor, opinion: SecondOpinion, how: str, **detail: object) -> None:
    users = {opinion.asked_by} | ({opinion.case.held_by} if opinion.case.held_by else set())
    notices.tell(
        event=Event.OPINION_ENDED, case=opinion.case, users=users - {actor.user},
        detail={"who": str(actor.user), "how": how} | detail,
    )  # fmt: skip


def _note(actor: Actor, opinion: SecondOpinion, action: str, **detail: Any) -> None:
    audit.record(actor=actor, action=action, case=opinion.case, subject=f"opinion {opinion.pk}", **detail)


def _diagnosis(code: str, missing: str) -> str:
    if code not in DIAGNOSES:
        raise OpinionRefused("diagnosis", missing, "diagnosis")
    return code


def _text(text: str, field: str) -> str:
    text = unicodedata.normalize("NFC", text).replace("\r\n", "\n").strip()
    longest = SecondOpinion._meta.get_field("comment").max_length or 0
    if len(text) > longest:
        raise OpinionRefused(field, f"The {field} has {len(text)} characters; {longest} fit. Shorten it.", field)
    if any(unicodedata.category(character) in ("Cc", "Cs") and character not in "\n\t" for character in text):
        raise OpinionRefused(field, f"The {field} contains a character that is no text. Type it again.", field)
    return text
