"""From the database to `Evidence`, in a number of queries that does not grow with the case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import OuterRef, Subquery

from diagnosis.assessment.evidence import Evidence, ImageEvidence
from diagnosis.models import Analysis, Case, Decision, ModelRelease, SmearImage
from mlcore.bundle import TASKS
from mlcore.reading import Reading, combine

#: What decides an image's status, in this order: a failure is final only when nothing is left to wait for.
_ORDER = (Analysis.State.RUNNING, Analysis.State.QUEUED, Analysis.State.FAILED)


def current_analyses(images: Sequence[SmearImage]) -> dict[int, list[Analysis]]:
    """Per image, the analyses that count: of its present kind, one for each network, `cnn` before `mobilenet`.

    That of the active release counts; where the active release has not been asked (it was registered after the
    image was read), the newest of a retired one does. Shadow releases never count. Releases are joined, activation
    maps and cards left in the database. One query.
    """
    kinds = {image.pk: image.kind for image in images}
    found = (
        Analysis.objects.filter(image__in=list(kinds))
        .exclude(release__stage=ModelRelease.Stage.SHADOW)
        .select_related("release")
        .defer("activation", "release__card")
        .order_by("release_id")
    )
    chosen: dict[tuple[int, str], Analysis] = {}
    for analysis in found:
        if analysis.release.task != kinds[analysis.image_id]:
            continue
        key = (analysis.image_id, analysis.release.network)
        if key not in chosen or chosen[key].release.stage != ModelRelease.Stage.ACTIVE:
            chosen[key] = analysis
    result: dict[int, list[Analysis]] = {pk: [] for pk in kinds}
    for (image_id, _), analysis in sorted(chosen.items()):
        result[image_id].append(analysis)
    return result


def current_decisions(images: Sequence[SmearImage]) -> dict[int, Decision]:
    """Per image, the newest decision, if it names a class of the image's present kind; one that withdraws names none.
    One query."""
    newest = Decision.objects.filter(image=OuterRef("image")).order_by("-id").values("id")[:1]
    found = Decision.objects.filter(image__in=[image.pk for image in images], id=Subquery(newest)).select_related(
        "decided_by"
    )
    kinds = {image.pk: image.kind for image in images}
    return {decision.image_id: decision for decision in found if decision.label in TASKS[kinds[decision.image_id]]}


def image_status(analyses: Iterable[Analysis]) -> str:
    """One word (queued, running, done, failed) from the analyses that count; without any, the image waits."""
    states = {analysis.state for analysis in analyses}
    return next((str(state) for state in _ORDER if state in states), "done" if states else "queued")


def image_reading(analyses: Iterable[Analysis]) -> Reading | None:
    """What the networks together say of one image; None until nothing waits, and where every network failed."""
    analyses = list(analyses)
    if image_status(analyses) in ("queued", "running"):
        return None
    opinions = [_said(analysis) for analysis in analyses if analysis.state == Analysis.State.DONE]
    return combine(opinions) if opinions else None


def gather(case: Case, *, decided: bool = True) -> Evidence:
    """The evidence of `case` as it stands in the database now, or (`decided` false) as if nobody had decided anything.
    Three queries."""
    images = list(SmearImage.objects.filter(case=case).only("id", "kind", "quality").order_by("id"))
    analyses, decisions = current_analyses(images), current_decisions(images) if decided else {}
    return Evidence(
        specimen=case.specimen,
        images=tuple(_evidence(image, analyses[image.pk], decisions.get(image.pk)) for image in images),
    )


def _evidence(image: SmearImage, analyses: Sequence[Analysis], decision: Decision | None) -> ImageEvidence:
    reading = image_reading(analyses)
    return ImageEvidence(
        id=image.pk,
        kind=image.kind,
        status=image_status(analyses),
        label=reading.label if reading else None,
        malignant=reading.malignant if reading else None,
        probabilities=reading.probabilities if reading else {},
        agree=reading.agree if reading else True,
        novel=reading is not None and any(analysis.novel for analysis in analyses),
        poor_quality=bool((image.quality or {}).get("warnings")),
        decision=decision.label if decision else None,
    )


@dataclass(frozen=True, slots=True)
class _Said:
    """A finished analysis as the opinion it holds (`mlcore.reading.OpinionLike`)."""

    network: str
    probabilities: dict[str, float]
    malignant: float
    novelty: float
    novel: bool


def _said(analysis: Analysis) -> _Said:
    return _Said(
        network=analysis.release.network,
        probabilities=analysis.probabilities or {},
        malignant=analysis.malignant or 0.0,
        novelty=analysis.novelty or 0.0,
        novel=bool(analysis.novel),
    )
