"""A file becomes a checked, stored, deduplicated `SmearImage` with its analyses queued; the only writer of images.

Every file ends as exactly one `Outcome`: accepted, duplicate, or rejected with a reason that a person understands,
each of them in the audit. Whatever a file is, it never raises and so never takes its neighbours down.
"""

from __future__ import annotations

import hashlib
import logging
import math
import unicodedata
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import PurePosixPath
from typing import Literal, Protocol

from django.conf import settings
from django.core.exceptions import PermissionDenied
from django.core.files.base import ContentFile
from django.db import IntegrityError, transaction

from accounts.permissions import Action, Actor, require
from diagnosis import assessment, audit, queue
from diagnosis.models import Case, SmearImage
from mlcore.codes import Code, read_codes
from mlcore.images import (
    Header,
    ImageRefused,
    Limits,
    Quality,
    decode,
    look_alike,
    measure_likeness,
    measure_quality,
    read_header,
    strip_metadata,
)
from mlcore.kind import guess_kind

logger = logging.getLogger(__name__)

SEEN_ELSEWHERE = "The same file stands in another case of this laboratory too. Check that it belongs to this patient."
_LONGEST_NAME = 255
_ALIKE_AMONG = 500  # the newest images of a case that a new one is compared with


class Readable(Protocol):
    """An open file, an upload, a stream."""

    def read(self, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one file.

    `image`: the one that was made, or for a duplicate the one that stood there already. `code` and `reason` (a
    sentence) say why it was not accepted; `flags` are sentences that a technician should see although it was.
    """

    status: Literal["accepted", "duplicate", "rejected"]
    image: SmearImage | None = None
    code: str = ""
    reason: str = ""
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Picture:
    """A file that was read and found fit: what is stored of it and what is known of it."""

    received_sha256: str
    header: Header
    stored: bytes
    stored_header: Header
    width: int
    height: int
    quality: Quality
    likeness: str
    guessed: tuple[str, float]
    codes: tuple[Code, ...]


def limits() -> Limits:
    """The bounds of one file, from the settings."""
    return Limits(
        max_bytes=settings.INTAKE_MAX_BYTES,
        max_pixels=settings.INTAKE_MAX_PIXELS,
        max_side=settings.INTAKE_MAX_SIDE,
        min_side=settings.INTAKE_MIN_SIDE,
    )


def receive_image(
    *,
    actor: Actor,
    case: Case,
    data: bytes | Readable,
    name: str,
    via: str,
    kind: str | None = None,
    um_per_pixel: float | None = None,
    written: Callable[[SmearImage, tuple[str, ...]], None] | None = None,
) -> Outcome:
    """Take one file into a case.

    `data`: the bytes, or something to read them from, which is never read further than one byte beyond the limit.
    `name`: what the person's computer calls the file; kept for people to recognise it, never trusted. `kind`:
    `field` or `cell`, told from the picture where None. `via`: a `SmearImage.Via`. `written`: called with the new image
    and its flags in the transaction that writes it, for who keeps books of files. Raises `PermissionDenied` for an
    actor who may not upload to this case, `ValueError` for a kind or scale that no door should let through.
    """
    require(actor, Action.UPLOAD_IMAGE)
    if case.laboratory_id != actor.laboratory.pk:
        raise PermissionDenied("This case belongs to another laboratory.")
    if kind is not None and kind not in SmearImage.Kind.values:
        raise ValueError(f"no such kind of image: {kind}")
    if um_per_pixel is not None and not (math.isfinite(um_per_pixel) and um_per_pixel > 0):
        raise ValueError("micrometres per pixel must be a number above 0")
    name = _plain_name(name)
    try:
        content = _read(data)
        sha256 = hashlib.sha256(content).hexdigest()
        # Asked first because it is cheap; the database's own constraint decides below.
        if known := SmearImage.objects.filter(case=case, received_sha256=sha256).first():
            return _duplicate(actor, case, known, name)
        picture = _examine(content, sha256)
        file = _store(picture)
    except ImageRefused as refusal:
        return _rejected(actor, case, name, refusal)
    return _write(actor, case, picture, file, name=name, via=via, kind=kind, um_per_pixel=um_per_pixel, written=written)


def look_at(data: bytes, *, for_codes: bool = False) -> tuple[Quality, tuple[Code, ...]]:
    """How good a picture is that has no case yet, and `for_codes` the codes in it; nothing is stored.

    Raises `ImageRefused`, as it would be refused.
    """
    limits().check_bytes(len(data))
    picture = _examine(data, hashlib.sha256(data).hexdigest(), for_codes=for_codes)
    return picture.quality, picture.codes


def correct_kind(*, actor: Actor, image: SmearImage, kind: str) -> SmearImage:
    """A person says what an image is; the networks for that kind are asked. Answers the image as it stands now.

    Raises `PermissionDenied`, `ValueError` for an unknown kind.
    """
    require(actor, Action.CORRECT_KIND)
    if kind not in SmearImage.Kind.values:
        raise ValueError(f"no such kind of image: {kind}")
    with transaction.atomic():
        row = SmearImage.objects.select_for_update(no_key=True, of=("self",)).select_related("case").get(pk=image.pk)
        if row.case.laboratory_id != actor.laboratory.pk:
            raise PermissionDenied("This image belongs to another laboratory.")
        previous = row.kind
        if kind == previous:
            return row
        row.kind, row.kind_source, row.kind_confidence = kind, SmearImage.KindSource.CORRECTED, None
        row.save(update_fields=["kind", "kind_source", "kind_confidence"])
        queue.enqueue(row)
        audit.record(
            actor=actor,
            action="image.kind_corrected",
            case=row.case,
            subject=f"image {row.pk}",
            name=row.original_name,
            kind=kind,
            previous_kind=previous,
        )
        assessment.refresh(row.case_id)
    return row


#: Micrometres per pixel outside of which no microscope picture lies: from a fifth of the resolving power of light to
#: a slide scanned as a whole.
SCALE_BOUNDS = (0.005, 20.0)


class ScaleError(ValueError):
    """A scale that is not stored; `str(error)` says why. `code`: invalid, or changed (somebody set one meanwhile)."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def set_scale(
    *, actor: Actor, image: SmearImage, um_per_pixel: float, seen: float | None, whole_case: bool = False
) -> int:
    """A person says how large a pixel of `image` is on the slide; how many images have that scale now because of it.

    `seen`: the scale that the person's page showed (None: not known); where another stands now, it is refused.
    `whole_case`: those images of the case too whose scale is not known. Raises `ScaleError`, `PermissionDenied`.
    """
    require(actor, Action.UPLOAD_IMAGE)
    low, high = SCALE_BOUNDS
    if not (math.isfinite(um_per_pixel) and low <= um_per_pixel <= high):
        raise ScaleError(
            "invalid",
            f"Give a number of µm per pixel from {low:g} to {high:g}. A 100× oil objective has about 0.05 to 0.15.",
        )
    with transaction.atomic():
        row = SmearImage.objects.select_for_update(no_key=True, of=("self",)).select_related("case").get(pk=image.pk)
        if row.case.laboratory_id != actor.laboratory.pk:
            raise PermissionDenied("This image belongs to another laboratory.")
        if row.um_per_pixel != seen and row.um_per_pixel != um_per_pixel:
            stands = f"{row.um_per_pixel:g} µm per pixel" if row.um_per_pixel else "not known"
            raise ScaleError(
                "changed", f"Somebody set the scale meanwhile: it is {stands} now. Save again if yours is right."
            )
        others = SmearImage.objects.filter(case=row.case, um_per_pixel=None).exclude(pk=row.pk)
        ids = sorted(others.values_list("pk", flat=True)) if whole_case else []
        if row.um_per_pixel != um_per_pixel:
            ids = [row.pk, *ids]
        count = SmearImage.objects.filter(pk__in=ids).update(um_per_pixel=um_per_pixel)
        if count:
            audit.record(
                actor=actor,
                action="image.scaled",
                case=row.case,
                subject=f"image {row.pk}",
                name=row.original_name,
                um_per_pixel=um_per_pixel,
                previous=row.um_per_pixel,
                count=count,
                images=ids,
            )
    return count


def _read(data: bytes | Readable) -> bytes:
    """At most one byte more than the limit; that one tells that there is more."""
    bounds = limits()
    if isinstance(data, bytes):
        bounds.check_bytes(len(data))
        return data
    parts, left = [], bounds.max_bytes + 1
    while left > 0 and (part := data.read(left)):
        parts.append(part)
        left -= len(part)
    content = b"".join(parts)
    bounds.check_bytes(len(content))
    return content


def _examine(content: bytes, sha256: str, *, for_codes: bool = False) -> _Picture:
    """Everything there is to know of a file, from its bytes alone. Raises `ImageRefused`."""
    bounds = limits()
    try:
        header = read_header(content, bounds)
        pixels = decode(content, limits=bounds)
        stored = strip_metadata(content, header)
        return _Picture(
            received_sha256=sha256,
            header=header,
            stored=stored,
            stored_header=read_header(stored, bounds),
            width=pixels.shape[1],
            height=pixels.shape[0],
            quality=measure_quality(pixels),
            likeness=measure_likeness(pixels),
            guessed=guess_kind(pixels),
            codes=read_codes(pixels) if for_codes else (),
        )
    except MemoryError:
        logger.exception("A picture of %d bytes needs more memory than there is", len(content))
        raise ImageRefused(
            "too_many_pixels",
            "This picture needs more memory than the server has just now. Try again later, or export a smaller region.",
        ) from None


def _store(picture: _Picture) -> str:
    """Write the stored bytes under their own hash and answer the name; a file that is there already is left alone.

    It is written before any row speaks of it: if the row then fails, the file waits for the next try.
    """
    storage = SmearImage._meta.get_field("file").storage
    sha256 = hashlib.sha256(picture.stored).hexdigest()
    wanted = f"smears/{sha256[:2]}/{sha256[2:4]}/{sha256}{picture.stored_header.extension}"
    try:
        return wanted if storage.exists(wanted) else str(storage.save(wanted, ContentFile(picture.stored)))
    except Exception as error:  # each storage has failures of its own: a full disk, a bucket out of reach
        logger.exception("The storage did not take a picture of %d bytes", len(picture.stored))
        raise ImageRefused(
            "not_stored", "The file could not be stored just now, nothing else is wrong with it. Upload it again."
        ) from error


def _write(
    actor: Actor,
    case: Case,
    picture: _Picture,
    file: str,
    *,
    name: str,
    via: str,
    kind: str | None,
    um_per_pixel: float | None,
    written: Callable[[SmearImage, tuple[str, ...]], None] | None,
) -> Outcome:
    """The image, its analyses and the audit's event in one transaction; or the one that came first."""
    guess, confidence = picture.guessed
    image = SmearImage(
        case=case,
        kind=kind or guess,
        kind_source=SmearImage.KindSource.GIVEN if kind else SmearImage.KindSource.TOLD,
        kind_confidence=None if kind else confidence,
        original_name=name,
        received_sha256=picture.received_sha256,
        stored_sha256=hashlib.sha256(picture.stored).hexdigest(),
        file=file,
        format=picture.stored_header.format,
        received_format=picture.header.format,
        byte_size=len(picture.stored),
        width=picture.width,
        height=picture.height,
        um_per_pixel=um_per_pixel,
        quality=asdict(picture.quality) | {"likeness": picture.likeness},
        via=via,
        uploaded_by=actor.user,
    )
    with transaction.atomic():
        elsewhere = SmearImage.objects.filter(
            received_sha256=picture.received_sha256, case__laboratory=case.laboratory_id
        ).exclude(case=case)
        image.seen_in_other_case = elsewhere.exists()
        try:
            with transaction.atomic():
                image.save(force_insert=True)
        except IntegrityError:
            known = SmearImage.objects.filter(case=case, received_sha256=picture.received_sha256).first()
            if known is None:
                raise
            return _duplicate(actor, case, known, name)
        # A mix-up concerns both cases, so the one that came first is marked as well.
        if image.seen_in_other_case:
            elsewhere.filter(seen_in_other_case=False).update(seen_in_other_case=True)
        queue.enqueue_new(image)
        audit.record(
            actor=actor,
            action="image.accepted",
            case=case,
            subject=f"image {image.pk}",
            name=name,
            sha256=picture.received_sha256,
            kind=image.kind,
            kind_source=image.kind_source,
            via=via,
            seen_in_other_case=image.seen_in_other_case,
        )
        assessment.image_added(case.pk)
        flags = (*((SEEN_ELSEWHERE,) if image.seen_in_other_case else ()), *_alike(image), *picture.quality.warnings)
        if written is not None:
            written(image, flags)
    return Outcome("accepted", image, flags=flags)


def _alike(image: SmearImage) -> tuple[str, ...]:
    """A sentence where another image of the case shows almost the same."""
    others = SmearImage.objects.filter(case=image.case_id).exclude(pk=image.pk).order_by("-id")
    known = others.values_list("original_name", "quality__likeness")[:_ALIKE_AMONG]
    for name, likeness in known:
        if likeness and look_alike(image.quality["likeness"], likeness):
            return (f"It looks almost the same as {name} of this case. Another place on the slide tells more.",)
    return ()


def _duplicate(actor: Actor, case: Case, known: SmearImage, name: str) -> Outcome:
    audit.record(actor=actor, action="image.duplicate", case=case, subject=f"image {known.pk}", name=name)
    called = "" if known.original_name == name else f" as {known.original_name}"
    return Outcome(
        "duplicate", known, "duplicate", f"This file stands in the case already{called}. It is not read a second time."
    )


def _rejected(actor: Actor, case: Case, name: str, refusal: ImageRefused) -> Outcome:
    reason = str(refusal)
    audit.record(actor=actor, action="image.rejected", case=case, name=name, code=refusal.code, reason=reason)
    return Outcome("rejected", None, refusal.code, reason)


def _plain_name(name: str) -> str:
    """The last part of a path, without characters that nobody sees or that turn text round, and not too long."""
    last = name.replace("\\", "/").rsplit("/", 1)[-1]
    seen = "".join(c for c in unicodedata.normalize("NFC", last) if unicodedata.category(c)[0] != "C").strip()
    if not seen.strip("."):
        return "unnamed"
    if len(seen) <= _LONGEST_NAME:
        return seen
    ending = PurePosixPath(seen).suffix[:16]
    return seen[: _LONGEST_NAME - len(ending)] + ending
