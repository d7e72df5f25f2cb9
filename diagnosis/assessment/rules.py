"""From evidence to assessment: pure, no database, the same whatever the order of the images.

The probability of blood cancer has two parts, of which the higher stands (missing a leukaemia is worse than one
review too many) and both are shown.

*Fields.* Each field says p = P(malignant). The fields of one smear share patient, stain and camera, so their errors
are not independent and multiplying their odds would claim certainty that is not there: the part is the **average of
the log-odds**, an opinion bounded to 1–99 %, a person's "benign" standing for 0.1 %. One field in which a person saw
malignant cells settles the part at 99.9 %: benign fields beside it do not make it unseen. Interval: ±1.96 standard
errors on the log-odds scale, with the fields' spread (drawn towards 1.5 by four pseudo-observations, so that one
field has an interval too) and the effective number n/(1+(n−1)·0.5) of equally correlated fields (Kish, 1965).

*Cells.* P(share of malignant-pattern cells ≥ 10 %), from where ICC 2022 calls it MDS/AML in blood and marrow alike
(Arber, Blood 2022; 140: 1200), under a Beta posterior: opinions count with their probability, decisions with 1 or 0,
and the prior is worth two cells on the line. The same for 20 %, the line of acute leukaemia in WHO 5th edition and
ICC, stands beside it. The sampling of the smear is inside this probability; its interval is what misreading could
do: the expected count shifted by ±1.96·√Σp(1−p), where nobody, network or person, errs in less than 2 %.

So raising any image's probability, or a person calling it malignant, never lowers the result. `docs/assessment.md`
says the assumptions in full.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from diagnosis.assessment.evidence import Assessment, Evidence, ImageEvidence, Interval, Part, Progress
from diagnosis.assessment.flags import ACUTE_LEUKAEMIA_LINE, flags_of
from diagnosis.assessment.statistics import Z95, beta_above, logistic, logit, wilson
from diagnosis.assessment.words import percent, plural, span
from mlcore.bundle import MALIGNANT, TASKS

OPINION_BOUND = 0.99  # no opinion counts for more than 99 : 1
DECISION_BOUND = 0.999
CORRELATION = 0.5  # between the fields of one smear
SPREAD, PSEUDO_FIELDS = 1.5, 4  # log-odds
BLOOD_CANCER_LINE = 0.10
PRIOR_CELLS = 2.0
LEAST_ERROR = 0.02  # of one cell's class, whoever names it

#: Never among the cells of a differential: fragments, and cells broken by the smearing.
NEVER_COUNTED = frozenset({"platelet", "smudge_cell"})


def not_counted(specimen: str) -> frozenset[str]:
    """Classes outside the denominator. In blood erythroblasts are told per 100 white cells, not among them (ICSH
    2015); in marrow WHO counts blasts against all nucleated marrow cells, erythroblasts included."""
    return NEVER_COUNTED if specimen == "bone_marrow" else NEVER_COUNTED | {"erythroblast"}


def assess(evidence: Evidence) -> Assessment:
    """What `evidence` says. No image read or decided: `malignant` is None, not 0."""
    images = sorted(evidence.images, key=lambda image: image.id)
    outside = not_counted(evidence.specimen)
    seen = [image for image in images if image.final in TASKS[image.kind]]
    fields = [image for image in seen if image.kind == "field"]
    all_cells = [image for image in seen if image.kind == "cell"]
    cells = [image for image in all_cells if image.final not in outside]

    field_part = _part(fields, field_probability(fields))
    cell_part = _part(cells, cell_probability(all_cells, outside, BLOOD_CANCER_LINE) if cells else None)
    parts = [part.probability for part in (field_part, cell_part) if part.probability]
    malignant = max(parts, key=lambda interval: interval.value, default=None)
    counts = Counter(str(cell.final) for cell in cells)
    blasts = _share(counts["blast"], len(cells))
    progress = Progress(
        images=len(images),
        done=sum(image.status == "done" for image in images),
        failed=sum(image.status == "failed" for image in images),
        waiting=sum(image.status in ("queued", "running") for image in images),
        decided=sum(not image.undecided for image in images),
    )
    return Assessment(
        status=case_status(images),
        malignant=malignant,
        fields=field_part,
        cells=cell_part,
        acute_leukaemia=cell_probability(all_cells, outside, ACUTE_LEUKAEMIA_LINE) if cells else None,
        blasts=blasts,
        differential=_ranked(counts),
        not_counted=_ranked(Counter(str(cell.final) for cell in all_cells if cell.final in outside)),
        flags=flags_of(evidence.specimen, images, fields, cells, field_part, cell_part),
        progress=progress,
        statement=_statement(malignant, field_part, cell_part, progress),
    )


def case_status(images: Sequence[ImageEvidence]) -> str:
    """A `Case.Status`. What a person has decided needs no reading any more, so it neither waits nor fails."""
    undecided = [image for image in images if image.undecided]
    if not images:
        return "received"
    if not undecided:
        return "reviewed"
    if any(image.status in ("queued", "running") for image in undecided):
        return "reading"
    if any(image.status == "failed" for image in undecided):
        return "attention"
    return "in_review" if len(undecided) < len(images) else "ready"


def field_probability(fields: Sequence[ImageEvidence]) -> Interval | None:
    """Probability of blood cancer from microscope fields (see the module's docstring); None without any."""
    seen_by_person = [field for field in fields if not field.undecided and field.is_malignant]
    odds = [_log_odds(field) for field in seen_by_person or fields]
    if not odds:
        return None
    n = len(odds)
    mean = math.fsum(odds) / n
    variance = (math.fsum((value - mean) ** 2 for value in odds) + PSEUDO_FIELDS * SPREAD**2) / (n - 1 + PSEUDO_FIELDS)
    error = math.sqrt(variance * (1 + (n - 1) * CORRELATION) / n)
    return Interval(logistic(mean), logistic(mean - Z95 * error), logistic(mean + Z95 * error))


def cell_probability(cells: Sequence[ImageEvidence], outside: frozenset[str], line: float) -> Interval | None:
    """P(malignant-pattern share ≥ `line`) from single cells (see the module's docstring); None without any.

    A cell that may be one of the classes `outside` the denominator counts for the rest of its probability only.
    """
    malignant, other, variance = [], [], []
    for cell in cells:
        if cell.decision:
            if cell.decision in outside:
                continue
            pattern, inside = float(cell.is_malignant), 1.0
        else:
            pattern = math.fsum(cell.probabilities.get(label, 0.0) for label in MALIGNANT["cell"])
            inside = max(pattern, 1.0 - math.fsum(cell.probabilities.get(label, 0.0) for label in outside))
        malignant.append(pattern)
        other.append(inside - pattern)
        variance.append(max(pattern * (1.0 - pattern), LEAST_ERROR * (1.0 - LEAST_ERROR)))
    if not malignant:
        return None
    a, b = math.fsum(malignant), math.fsum(other)
    shift = Z95 * math.sqrt(math.fsum(variance))
    return Interval(
        _above(line, a, b),
        _above(line, a - min(shift, a), b + min(shift, a)),
        _above(line, a + min(shift, b), b - min(shift, b)),
    )


def _above(line: float, malignant: float, other: float) -> float:
    a, b = max(0.0, malignant) + PRIOR_CELLS * line, max(0.0, other) + PRIOR_CELLS * (1 - line)
    return beta_above(line, a, b)


def _log_odds(field: ImageEvidence) -> float:
    if field.decision:
        return logit(DECISION_BOUND if field.is_malignant else 1 - DECISION_BOUND)
    opinion = field.malignant if field.malignant is not None else 0.5
    return logit(min(OPINION_BOUND, max(1 - OPINION_BOUND, opinion)))


def _part(images: Sequence[ImageEvidence], probability: Interval | None) -> Part:
    malignant = sum(image.is_malignant for image in images)
    return Part(
        count=len(images),
        malignant=malignant,
        share=_share(malignant, len(images)),
        probability=probability,
        decided=sum(not image.undecided for image in images),
    )


def _share(part: int, whole: int) -> Interval | None:
    return Interval(part / whole, *wilson(part, whole)) if whole else None


def _ranked(counts: Counter[str]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(((k, n) for k, n in counts.items() if n), key=lambda item: (-item[1], item[0])))


def _statement(malignant: Interval | None, fields: Part, cells: Part, progress: Progress) -> str:
    if not progress.images:
        return "No image yet."
    waits = f" Still reading: {progress.waiting} of {progress.images}." if progress.waiting else ""
    if malignant is None:
        if progress.waiting:
            return f"Nothing read yet.{waits}"
        if cells.count == fields.count == 0 and (progress.done or progress.decided):
            return "No field and no nucleated cell of the differential among the images: nothing can be said."
        return "No image could be read: nothing can be said."
    rests = []
    if fields.count:
        rests.append(f"{plural(fields.count, 'field')}, {fields.malignant} of malignant pattern")
    if cells.count:
        rests.append(f"{plural(cells.count, 'nucleated cell')}, {cells.malignant} of malignant pattern")
    decided = fields.decided + cells.decided
    by_whom = f" A person decided {decided} of these {fields.count + cells.count}." if decided else ""
    return (
        f"Probability of blood cancer {percent(malignant.value)} (95 % interval "
        f"{span(malignant.low, malignant.high)}). It rests on {' and on '.join(rests)}.{by_whom}{waits}"
    )
