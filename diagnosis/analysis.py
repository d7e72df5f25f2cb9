"""Read one claimed batch with mlcore and record what came back."""

from __future__ import annotations

import hashlib
import logging
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from celery.exceptions import SoftTimeLimitExceeded
from django.conf import settings
from django.db import Error as DatabaseError
from django.db import transaction

from diagnosis import audit, queue, registry
from diagnosis.models import Analysis, ModelRelease, SmearImage
from diagnosis.waking import wake_workers
from mlcore.bundle import BundleError
from mlcore.engines import Opinion, Predictor
from mlcore.images import ImageRefused, Limits

logger = logging.getLogger(__name__)

#: One forward pass takes at most so many images, and so many pixels as displayed: this bounds memory, and after each
#: pass results are recorded, so that a batch that dies loses little.
_PASS_IMAGES = 16
_PASS_PIXELS = 100_000_000


@dataclass(frozen=True, slots=True)
class Loaded:
    """The networks of this process. `digests`: of the bundles that could be loaded."""

    predictor: Predictor
    digests: frozenset[str]
    wanted: frozenset[str]


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a batch with its analyses of one task."""

    image: SmearImage
    task: str
    analyses: tuple[Analysis, ...]


class FileUnreadableError(Exception):
    """The stored file of an image cannot be read, or is not what was stored; the text says so to a person."""


_loaded: Loaded | None = None


def predictor(also: Collection[ModelRelease] = ()) -> Loaded:
    """The networks of all reading releases (and of `also`), loaded once for each process.

    They are loaded anew when releases change. A release whose bundle this machine lacks is left out.
    """
    global _loaded
    # What is loaded serves as long as it knows everything asked; no look at the database for each batch.
    if _loaded is not None and {release.digest for release in also} <= _loaded.wanted:
        return _loaded
    releases = {release.digest: release for release in [*registry.reading(), *also]}
    bundles = []
    for release in releases.values():
        try:
            bundles.append(registry.bundle_of(release))
        except BundleError as error:
            logger.error("This worker cannot read with %s: %s", release, error)
    reader = Predictor(
        bundles, engine=settings.INFERENCE_ENGINE, threads=settings.INFERENCE_THREADS, limits=_stored_limits()
    )
    _loaded = Loaded(reader, frozenset(bundle.card.digest for bundle in bundles), frozenset(releases))
    return _loaded


def _stored_limits() -> Limits:
    """What intake lets through. A file that intake stored losslessly may have grown: bound it by its pixels alone."""
    return Limits(
        max_bytes=8 * settings.INTAKE_MAX_PIXELS,
        max_pixels=settings.INTAKE_MAX_PIXELS,
        max_side=settings.INTAKE_MAX_SIDE,
        min_side=settings.INTAKE_MIN_SIDE,
    )


def preload() -> None:
    """Load the networks and let each look at a blank picture, so that the first real one does not wait for that."""
    ready = predictor()
    blank = np.full((224, 224, 3), 255, np.uint8)
    for task in sorted({release.task for release in registry.reading() if release.digest in ready.digests}):
        ready.predictor.read([blank], task)


def engine_name() -> str:
    """What this process reads with, e.g. "onnxruntime cpu"; empty until the networks are loaded."""
    return f"{_loaded.predictor.engine} {_loaded.predictor.device}" if _loaded else ""


def run_batch(*, worker: str) -> int:
    """Claim one batch, read it, record it; how many analyses were claimed (0: nothing waits).

    Whatever happens to one picture stays with it. A batch that takes long is cut short and the rest handed back.
    """
    batch = queue.claim(worker=worker)
    if not batch.analyses:
        return 0
    if len(batch.analyses) >= settings.ANALYSIS_BATCH_MAX:
        wake_workers()  # more may wait than this process takes: call another
    read_batch(batch)
    return len(batch.analyses)


def read_batch(batch: queue.Batch) -> None:
    """Read what was claimed and record it, as `run_batch` says."""
    enough = time.monotonic() + settings.ANALYSIS_SOFT_LIMIT / 3
    passes = list(_passes(_pictures(batch)))
    in_hand: Sequence[Picture] = ()
    try:
        passes = _readable(batch, passes)
        while passes and time.monotonic() < enough:
            queue.renew(batch_token=batch.token)
            in_hand = passes.pop(0)
            _read(batch, in_hand)
            in_hand = ()
    except SoftTimeLimitExceeded:
        logger.warning("Batch %s ran out of time with %d pictures in hand.", batch.token, len(in_hand))
        _fail(batch, in_hand, f"Reading took longer than {settings.ANALYSIS_SOFT_LIMIT} seconds.")
    if passes:
        rest = [analysis.pk for group in passes for picture in group for analysis in picture.analyses]
        queue.release(batch_token=batch.token, analysis_ids=rest)


def _pictures(batch: queue.Batch) -> list[Picture]:
    grouped: dict[tuple[int, str], list[Analysis]] = {}
    for analysis in batch.analyses:
        grouped.setdefault((analysis.image_id, analysis.release.task), []).append(analysis)
    return [Picture(rows[0].image, task, tuple(rows)) for (_, task), rows in grouped.items()]


def _passes(pictures: Iterable[Picture]) -> Iterator[list[Picture]]:
    """Pictures of one task, in order, in groups that fit one forward pass."""
    group: list[Picture] = []
    pixels = 0
    for picture in pictures:
        area = picture.image.width * picture.image.height
        if group and (picture.task != group[0].task or len(group) >= _PASS_IMAGES or pixels + area > _PASS_PIXELS):
            yield group
            group, pixels = [], 0
        group.append(picture)
        pixels += area
    if group:
        yield group


def _readable(batch: queue.Batch, passes: list[list[Picture]]) -> list[list[Picture]]:
    """The passes that this process has networks for; the rest goes back to the queue for a process that has."""
    releases = {analysis.release.digest: analysis.release for analysis in batch.analyses}
    try:
        known = predictor(releases.values()).digests
        lacking = "This worker does not have the model that is to read this picture."
    except SoftTimeLimitExceeded:
        raise
    except DatabaseError:
        raise
    except Exception as error:
        logger.exception("The networks could not be loaded.")
        known, lacking = frozenset(), f"This worker could not load the models: {error}"
    back = [analysis.pk for analysis in batch.analyses if analysis.release.digest not in known]
    if back:
        queue.release(batch_token=batch.token, analysis_ids=back, delay=settings.ANALYSIS_RETRY_DELAY, reason=lacking)
    kept = [
        Picture(picture.image, picture.task, analyses)
        for group in passes
        for picture in group
        if (analyses := tuple(a for a in picture.analyses if a.release.digest in known))
    ]
    return list(_passes(kept))


def _read(batch: queue.Batch, pictures: Sequence[Picture]) -> None:
    """One forward pass. A picture that cannot be read fails alone; trouble of the whole pass sends all of them back,
    to be read one by one."""
    started = time.perf_counter()
    good: list[Picture] = []
    contents: list[bytes] = []
    for picture in pictures:
        try:
            contents.append(stored_bytes(picture.image))
            good.append(picture)
        except FileUnreadableError as trouble:
            _fail(batch, [picture], str(trouble))
    try:
        opinions = _opinions(batch, good, contents)
    except (SoftTimeLimitExceeded, DatabaseError):
        raise
    except Exception as error:
        logger.exception("A pass of %d pictures went wrong.", len(good))
        _fail(batch, good, f"The reading stopped with an error: {error or type(error).__name__}")
    else:
        _record(batch, good, opinions, time.perf_counter() - started)


def stored_bytes(image: SmearImage) -> bytes:
    """The file of `image`, checked against its hash. Raises FileUnreadableError."""
    try:
        with image.file.open("rb") as file:
            data: bytes = file.read()
    except FileNotFoundError as error:
        raise FileUnreadableError("The stored file of this picture is missing. Upload the picture again.") from error
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # each storage raises its own
        logger.exception("Image %s could not be read from storage.", image.pk)
        raise FileUnreadableError(
            "The stored file of this picture could not be read. Retry, or tell the administrator."
        ) from error
    if hashlib.sha256(data).hexdigest() != image.stored_sha256:
        raise FileUnreadableError("The stored file of this picture is damaged. Upload the picture again.")
    return data


def _opinions(batch: queue.Batch, pictures: list[Picture], contents: list[bytes]) -> list[list[Opinion]]:
    """What the networks say of each picture. Refused ones fail and leave both lists."""
    while pictures:
        try:
            return predictor().predictor.read(contents, pictures[0].task)
        except ImageRefused as refusal:
            index = refusal.index
            if index is None:
                raise
            _fail(batch, [pictures[index]], str(refusal), final=True)
            del pictures[index], contents[index]
    return []


def _fail(batch: queue.Batch, pictures: Iterable[Picture], error: str, *, final: bool = False) -> None:
    ids = [analysis.pk for picture in pictures for analysis in picture.analyses]
    queue.fail(batch_token=batch.token, analysis_ids=ids, error=error, final=final)


def _record(
    batch: queue.Batch, pictures: Sequence[Picture], opinions: Sequence[Sequence[Opinion]], seconds: float
) -> None:
    """Write what one pass said, in one transaction; results that came too late are dropped."""
    share = seconds / max(1, sum(len(picture.analyses) for picture in pictures))
    with transaction.atomic():
        read: dict[int, list[tuple[SmearImage, list[Analysis]]]] = defaultdict(list)  # by case
        for picture, said in zip(pictures, opinions, strict=True):
            by_digest = {opinion.digest: opinion for opinion in said}
            recorded = [
                analysis
                for analysis in picture.analyses
                if queue.complete(
                    batch_token=batch.token,
                    analysis_id=analysis.pk,
                    result=_result(by_digest[analysis.release.digest], share),
                )
            ]
            if recorded:
                read[picture.image.case_id].append((picture.image, recorded))
        # Cases are locked after all analyses, and in one order, so that workers never wait for one another in a circle.
        for _, images in sorted(read.items()):
            told = [
                (f"image {image.pk}", {"name": image.original_name, "networks": [_network(a) for a in analyses]})
                for image, analyses in sorted(images, key=lambda entry: entry[0].pk)
            ]
            audit.record_all(told, actor=None, action="image.read", case=images[0][0].case)
        queue.reassess(read, while_reading=True)


def _network(analysis: Analysis) -> str:
    return f"{analysis.release.network} {analysis.release.version}"


def _result(opinion: Opinion, seconds: float) -> queue.Result:
    return queue.Result(
        probabilities=opinion.probabilities,
        malignant=opinion.malignant,
        novelty=opinion.novelty,
        novel=opinion.novel,
        activation=np.ascontiguousarray(opinion.activation, np.uint8).tobytes(),
        activation_shape=list(opinion.activation.shape),
        seconds=seconds,
        engine=engine_name(),
    )
