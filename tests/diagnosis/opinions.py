"""Finished and unfinished analyses as rows, for tests of what is made of them."""

from __future__ import annotations

from diagnosis.models import Analysis, Case, ModelRelease, SmearImage
from mlcore.bundle import MALIGNANT, TASKS
from tests.smears import make_image, make_release


def make_releases(task: str = "cell") -> list[ModelRelease]:
    """The two active releases of a task, `mobilenet` first, so that nothing rests on the order."""
    return [make_release(task, network) for network in ("mobilenet", "cnn")]


def opinion(
    image: SmearImage,
    release: ModelRelease,
    label: str = "",
    *,
    state: str = "done",
    sure: float = 0.9,
    **columns: object,
) -> Analysis:
    """An analysis of `image`; a finished one names `label` with probability `sure`."""
    if state == "done":
        rest = (1 - sure) / (len(TASKS[release.task]) - 1)
        probabilities = {name: sure if name == label else rest for name in TASKS[release.task]}
        columns = {
            "probabilities": probabilities,
            "malignant": sum(probabilities[name] for name in MALIGNANT[release.task]),
            "novelty": 0.4,
            "novel": False,
        } | columns
    return Analysis.objects.create(image=image, release=release, state=state, **columns)


def read_image(case: Case, releases: list[ModelRelease], label: str, **columns: object) -> SmearImage:
    """An image of `case` that every one of `releases` reads as `label`."""
    image = make_image(case, kind=releases[0].task)
    for release in releases:
        opinion(image, release, label, **columns)
    return image
