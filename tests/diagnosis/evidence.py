"""Evidence made by hand and by hypothesis, for tests of what is said of it."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import settings
from hypothesis import strategies as st

from diagnosis.assessment import Evidence, ImageEvidence, assess
from diagnosis.assessment.evidence import Assessment
from mlcore.bundle import MALIGNANT, TASKS

searching = settings(max_examples=60, deadline=None)

BLOOD, MARROW = "peripheral_blood", "bone_marrow"
KINDS = tuple(TASKS)


def read(kind: str, label: str, sure: float = 0.95, *, id: int = 0, **more: object) -> ImageEvidence:
    """An image whose reading says `label` with probability `sure`, the rest spread evenly."""
    rest = (1 - sure) / (len(TASKS[kind]) - 1)
    probabilities = {name: sure if name == label else rest for name in TASKS[kind]}
    return ImageEvidence(
        id=id,
        kind=kind,
        status="done",
        label=max(probabilities, key=lambda name: probabilities[name]),
        malignant=sum(probabilities[name] for name in MALIGNANT[kind]),
        probabilities=probabilities,
        **more,  # type: ignore[arg-type]
    )


def case(*images: ImageEvidence, specimen: str = BLOOD) -> Evidence:
    return Evidence(specimen, tuple(replace(image, id=number) for number, image in enumerate(images, start=1)))


def cells(specimen: str = BLOOD, /, **counts: int) -> Evidence:
    return case(*(read("cell", label) for label, n in counts.items() for _ in range(n)), specimen=specimen)


def value(evidence: Evidence) -> float:
    malignant = assess(evidence).malignant
    assert malignant is not None
    return malignant.value


def flag_codes(assessment: Assessment) -> list[str]:
    return [flag.code for flag in assessment.flags]


@st.composite
def images(draw: st.DrawFn) -> ImageEvidence:
    kind = draw(st.sampled_from(KINDS))
    image = read(kind, draw(st.sampled_from(TASKS[kind])), draw(st.floats(0.15, 1.0)))
    decision = draw(st.none() | st.none() | st.sampled_from(TASKS[kind]))
    status = draw(st.sampled_from(["done", "done", "done", "failed", "queued", "running"]))
    if status != "done":
        image = replace(image, status=status, label=None, malignant=None, probabilities={})
    return replace(image, decision=decision, agree=draw(st.booleans()), novel=draw(st.booleans()))


cases = st.builds(
    lambda found, specimen: case(*found, specimen=specimen),
    st.lists(images(), max_size=12),
    st.sampled_from([BLOOD, MARROW]),
)
