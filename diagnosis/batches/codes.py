"""Codes in pictures lead to cases where neither a list nor a name does: `settling` asks here."""

from __future__ import annotations

from collections.abc import Sequence

from diagnosis.batches import matching
from diagnosis.batches.opening import rules_of
from diagnosis.models import BatchFile
from mlcore.codes import Code
from mlcore.images import Quality

#: `BatchFile.code` of a picture that shows a label and no smear.
LABEL = "label"
#: A label's code covers at least this share of its picture, and less of it than this looks like stained cells.
_CODE_SHARE = 0.02
_STAINED = 0.005


def unnamed(named: matching.Match) -> bool:
    """Whether nothing in name and folders looks like a number; one without a case is not overruled by a code."""
    return named.case is None and named.reason == matching.NOTHING_FOUND


def wanted(file: BatchFile, match: matching.Match) -> bool:
    """Whether a picture that found `match` is searched for codes."""
    return unnamed(match) and rules_of(file.batch.laboratory).read_codes


def keep(file: BatchFile, seen: Sequence[Code], quality: Quality) -> None:
    """Note what stands in the codes of a picture, and whether it is one of a label alone."""
    if not seen:
        return
    file.codes = [code.text for code in seen]
    label = quality.stained < _STAINED and sum(code.share for code in seen) >= _CODE_SHARE
    file.code = LABEL if label else ""
    BatchFile.objects.filter(pk=file.pk).update(codes=file.codes)


def lead(file: BatchFile, masks: Sequence[matching.Mask]) -> matching.Match:
    """The case that the codes of a picture name; none, with a sentence that says so, where it shows a label alone."""
    match = matching.by_codes(laboratory=file.batch.laboratory, texts=file.codes, masks=masks)
    if match.case is None or file.code != LABEL:
        return match
    reason = f"This is a picture of the label of {match.case} and shows no stained cell, so it is not read."
    return matching.Match(None, match.accession, f"{reason} Assign it if it is more, or discard it.")
