"""Each file of a batch with what became of it and, once it is a picture of a case, how far its reading is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from diagnosis.assessment import current_analyses, image_status
from diagnosis.models import Analysis, BatchFile


@dataclass(frozen=True, slots=True)
class Outcome:
    file: BatchFile
    reading: str | None  # queued, running, done, failed; None where there is no picture to read
    error: str  # why it could not be read, in words, or empty


def outcomes(files: Sequence[BatchFile]) -> list[Outcome]:
    """One for each of `files`, whose images are joined, in their order. One query."""
    images = {file.image.pk: file.image for file in files if file.image is not None}
    analyses = current_analyses(list(images.values()))
    return [_outcome(file, analyses[file.image_id] if file.image_id else None) for file in files]


def _outcome(file: BatchFile, analyses: list[Analysis] | None) -> Outcome:
    if analyses is None:
        return Outcome(file, None, "")
    failures = [analysis.error for analysis in analyses if analysis.state == Analysis.State.FAILED]
    return Outcome(file, image_status(analyses), failures[-1] if failures else "")
