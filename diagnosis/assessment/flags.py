"""Remarks in words, each with the images it rests on. What a person has decided raises no doubt any more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from diagnosis.assessment.evidence import Flag, ImageEvidence, Part
from diagnosis.assessment.statistics import wilson
from diagnosis.assessment.words import percent, plural, span
from mlcore.reading import words

ACUTE_LEUKAEMIA_LINE = 0.20
ENOUGH_TO_SAY = 100  # counted cells below which every share is called preliminary
FULL_COUNT = {"peripheral_blood": 200, "bone_marrow": 500}  # CLSI H20-A2; ICSH 2008 for marrow
#: Marrow: WHO 5th edition. Blood: the line of plasma cell leukaemia, IMWG 2021.
PLASMA_CELL_LINE = {"peripheral_blood": 0.05, "bone_marrow": 0.10}
NORMAL_MARROW_BLASTS = 0.05
LEVELS = ("alarm", "doubt", "info")


def flags_of(
    specimen: str,
    images: Sequence[ImageEvidence],
    fields: Sequence[ImageEvidence],
    cells: Sequence[ImageEvidence],
    field_part: Part,
    cell_part: Part,
) -> tuple[Flag, ...]:
    """All flags of a case, alarms first. `fields` and `cells` are those read or decided, `cells` the counted ones."""
    found = [
        *_cell_flags(specimen, cells),
        *_field_flags(fields, field_part),
        *_parts_differ(field_part, cell_part, fields, cells),
        *_reading_flags(images),
        *_count_flags(specimen, images, cells),
    ]
    return tuple(sorted(found, key=lambda flag: LEVELS.index(flag.level)))


def _cell_flags(specimen: str, cells: Sequence[ImageEvidence]) -> Iterator[Flag]:
    n = len(cells)
    if not n:
        return
    ids = {label: tuple(cell.id for cell in cells if cell.final == label) for label in {c.final for c in cells}}
    blasts, promyelocytes = ids.get("blast", ()), ids.get("promyelocyte", ())
    pattern = tuple(sorted(blasts + promyelocytes))
    predominate = len(promyelocytes) >= max(len(blasts), ACUTE_LEUKAEMIA_LINE * n) and promyelocytes
    preliminary = " Preliminary: fewer than 100 cells." if n < ENOUGH_TO_SAY else ""
    if predominate:
        yield Flag(
            "promyelocytes",
            "alarm",
            "Promyelocytes predominate: think of acute promyelocytic leukaemia",
            f"{_of(len(promyelocytes), n)}. Urgent: coagulation status and a test for PML::RARA today; treatment "
            f"does not wait for the molecular result.{preliminary}",
            promyelocytes,
        )
    if len(blasts) >= ACUTE_LEUKAEMIA_LINE * n:
        yield Flag(
            "blasts_20",
            "alarm",
            f"Blasts are {percent(len(blasts) / n)} of the counted cells",
            f"{_of(len(blasts), n)}. From 20 % on, WHO and ICC speak of acute leukaemia.{preliminary}",
            blasts,
        )
    elif len(pattern) >= ACUTE_LEUKAEMIA_LINE * n and not predominate:
        yield Flag(
            "malignant_pattern_20",
            "alarm",
            f"Blasts and promyelocytes together are {percent(len(pattern) / n)} of the counted cells",
            f"{_of(len(pattern), n)}. Where promyelocytes count as blast equivalents this passes the 20 % line."
            f"{preliminary}",
            pattern,
        )
    elif pattern and not predominate and (specimen != "bone_marrow" or len(blasts) > NORMAL_MARROW_BLASTS * n):
        where = (
            "Above the 5 % of a normal marrow, below the 20 % line"
            if specimen == "bone_marrow"
            else "None belongs into peripheral blood; the share is below the 20 % line"
        )
        yield Flag(
            "immature_cells",
            "doubt",
            f"{plural(len(blasts), 'blast')} and {plural(len(promyelocytes), 'promyelocyte')} among the counted cells",
            f"{_of(len(pattern), n)}. {where}: confirm each of them.",
            pattern,
        )
    plasma_cells = ids.get("plasma_cell", ())
    line = PLASMA_CELL_LINE.get(specimen, PLASMA_CELL_LINE["peripheral_blood"])
    if plasma_cells and len(plasma_cells) >= line * n:
        yield Flag(
            "plasma_cells",
            "doubt",
            f"Plasma cells are {percent(len(plasma_cells) / n)} of the counted cells",
            f"{_of(len(plasma_cells), n)}; the line is {percent(line)}. Think of plasma cell neoplasia. The "
            f"probability of blood cancer does not include it.{preliminary}",
            plasma_cells,
        )


def _field_flags(fields: Sequence[ImageEvidence], part: Part) -> Iterator[Flag]:
    malignant = [field for field in fields if field.is_malignant]
    if not malignant:
        return
    stages = Counter(words(str(field.final)) for field in malignant)
    named = ", ".join(f"{stage} {count}" for stage, count in sorted(stages.items(), key=lambda i: (-i[1], i[0])))
    likely = part.probability is not None and part.probability.value >= 0.5
    yield Flag(
        "malignant_fields",
        "alarm" if likely else "doubt",
        f"{len(malignant)} of {plural(len(fields), 'field')} look like acute lymphoblastic leukaemia"
        if len(malignant) > 1
        else f"1 of {plural(len(fields), 'field')} looks like acute lymphoblastic leukaemia",
        f"By stage: {named}. The networks know B-lineage stages only; lineage needs immunophenotyping.",
        tuple(field.id for field in malignant),
    )


def _parts_differ(
    fields: Part, cells: Part, field_images: Sequence[ImageEvidence], cell_images: Sequence[ImageEvidence]
) -> Iterator[Flag]:
    if fields.probability is None or cells.probability is None:
        return
    low, high = sorted((fields.probability.value, cells.probability.value))
    if low < 0.2 and high >= 0.5:
        higher = field_images if fields.probability.value > cells.probability.value else cell_images
        yield Flag(
            "parts_differ",
            "doubt",
            "Fields and single cells point different ways",
            f"Fields alone: {percent(fields.probability.value)}; cells alone: {percent(cells.probability.value)}. "
            f"The higher one stands until you have looked.",
            # A part may be likely malignant though no image of it leads with a malignant class: then all of it counts.
            tuple(image.id for image in higher if image.is_malignant) or tuple(image.id for image in higher),
        )


def _reading_flags(images: Sequence[ImageEvidence]) -> Iterator[Flag]:
    open_ones = [image for image in images if image.undecided]
    done = [image for image in open_ones if image.status == "done"]
    failed = tuple(image.id for image in open_ones if image.status == "failed")
    if failed:
        yield Flag(
            "reading_failed",
            "doubt",
            f"Reading failed on {plural(len(failed), 'image')}",
            "At least one network could not read them. Retry them, or decide on them yourself.",
            failed,
        )
    disagree = tuple(image.id for image in done if not image.agree)
    if disagree:
        yield Flag(
            "networks_disagree",
            "doubt",
            f"The two networks disagree on {plural(len(disagree), 'image')}",
            "They name different classes. Look at these first.",
            disagree,
        )
    novel = tuple(image.id for image in done if image.novel)
    if novel:
        yield Flag(
            "unlike_training",
            "doubt",
            f"{plural(len(novel), 'image')} unlike the training data",
            "The networks have not learned from pictures like these; their opinion may mean nothing here.",
            novel,
        )
    poor = tuple(image.id for image in open_ones if image.poor_quality)
    if poor:
        yield Flag(
            "poor_quality",
            "info",
            f"Poor picture quality in {plural(len(poor), 'image')}",
            "Blurred, too dark, too bright or hardly stained; each image says which. A new picture may help.",
            poor,
        )


def _count_flags(specimen: str, images: Sequence[ImageEvidence], cells: Sequence[ImageEvidence]) -> Iterator[Flag]:
    if any(image.kind == "cell" for image in images) and len(cells) < ENOUGH_TO_SAY:
        full = FULL_COUNT.get(specimen, FULL_COUNT["peripheral_blood"])
        yield Flag(
            "few_cells",
            "info",
            f"Preliminary: {plural(len(cells), 'cell')} counted",
            f"Below {ENOUGH_TO_SAY} cells the shares say little; a full differential counts {full}. Platelets and "
            f"smudge cells{'' if specimen == 'bone_marrow' else ' and erythroblasts'} are not counted.",
            (),
        )


def _of(part: int, whole: int) -> str:
    low, high = wilson(part, whole)
    return f"{part} of {plural(whole, 'counted cell')} (95 % interval {span(low, high)})"
