"""Finding cases by words, fast at a hundred thousand of them.

On PostgreSQL the trigram indexes of migration 0005 find a word in the middle of a number or a name. A word that is
rare is looked up first, and the cases are found by their keys; a common one is looked for in the list's own order,
where enough of it turns up soon.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.db.models import Exists, OuterRef, Q

from accounts.permissions import visible
from diagnosis.assessment.words import FLAG_WORDS
from diagnosis.blinding import open_questions
from diagnosis.models import Case, CaseFlag, Patient

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from accounts.permissions import Actor

RARE = 1_000  # at most so many patients, and so many numbers, hold a rare word
WHOLE = 3  # letters from which on a word is looked for anywhere, not only at beginnings: a trigram's length


def matching(found: QuerySet[Case], *, actor: Actor, search: str) -> QuerySet[Case]:
    """Those of `found` in which every word of `search` occurs, upper and lower case alike.

    A word may stand in the accession number, the patient's name or record number, or in the words of a flag; one of
    fewer than three letters has to begin a number or a part of a name. Two small queries for each word.
    """
    for word in words(search):
        found = found.filter(_holds(actor, word))
    return found


def words(search: str) -> list[str]:
    """At most eight words, without NUL and lone surrogates, which no database takes in a text."""
    return search.replace("\x00", " ").encode("utf-8", "ignore").decode().split()[:8]


def _holds(actor: Actor, word: str) -> Q:
    in_number = _in("accession_number", word)
    in_record = _in("mrn", word) | _in("name", word)
    cases = list(visible(Case.objects.filter(in_number), actor).order_by().values_list("pk", flat=True)[: RARE + 1])
    people = list(visible(Patient.objects.filter(in_record), actor).order_by().values_list("pk", flat=True)[: RARE + 1])
    if len(cases) > RARE or len(people) > RARE:
        holds = in_number | _in("patient__mrn", word) | _in("patient__name", word)
    else:
        holds = Q(pk__in=cases) | Q(patient__in=people)
    flags = [code for code, said in FLAG_WORDS.items() if len(word) >= WHOLE and word.casefold() in said.casefold()]
    if flags:
        blind = open_questions(actor).values("case")
        holds |= Q(Exists(CaseFlag.objects.filter(case=OuterRef("pk"), code__in=flags).exclude(case__in=blind)))
    return holds


def _in(field: str, word: str) -> Q:
    if len(word) >= WHOLE:
        return Q(**{f"{field}__icontains": word})
    begins = Q(**{f"{field}__istartswith": word})
    return begins | Q(**{f"{field}__icontains": f" {word}"}) | Q(**{f"{field}__icontains": f"-{word}"})
