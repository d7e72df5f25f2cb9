"""A batch is opened; how a laboratory's files name their cases is said; the reads behind the pages."""

from __future__ import annotations

import math
import unicodedata

from django.db import transaction
from django.db.models import Count, Q, QuerySet
from django.utils import timezone

from accounts.models import Laboratory
from accounts.permissions import Action, Actor, require, visible
from diagnosis import audit
from diagnosis.batches import matching
from diagnosis.models import Batch, BatchFile, IntakeRules, SmearImage

State = BatchFile.State
#: What a person has to do something about, as long as no other file has taken its place.
NEEDS = (State.REJECTED, State.UNMATCHED, State.EXPIRED)


class BatchError(ValueError):
    """What a person asked cannot be done; the text says why and what to do. `field`: the argument it is about."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class RulesChanged(BatchError):  # noqa: N818 - what the person is told
    """Somebody changed the rules meanwhile; `current`: as they stand now."""

    def __init__(self, current: IntakeRules) -> None:
        super().__init__("Somebody changed these settings meanwhile. Compare both versions and save again.")
        self.current = current


def open_batch(
    *,
    actor: Actor,
    name: str = "",
    accession: str = "",
    kind: str = "",
    um_per_pixel: float | None = None,
    via: str = SmearImage.Via.PAGE,
) -> Batch:
    """Open a batch. `accession`: the case of all its files, where they are of one. Raises `BatchError`."""
    require(actor, Action.UPLOAD_IMAGE)
    if kind and kind not in SmearImage.Kind.values:
        raise BatchError("Choose one of the two kinds, or leave it to be told from the picture.", "kind")
    check_scale(um_per_pixel)
    case = None
    if accession.strip():
        match = matching.by_accession(laboratory=actor.laboratory, accession=accession)
        if match.case is None:
            raise BatchError(match.reason, "accession")
        case = match.case
    name = plain(name)[:120] or f"Pictures of {timezone.localtime():%d %B, %H:%M}"
    with transaction.atomic():
        batch = Batch.objects.create(
            laboratory=actor.laboratory,
            name=name,
            case=case,
            kind=kind,
            um_per_pixel=um_per_pixel,
            via=via,
            created_by=actor.user,
        )
        audit.record(
            actor=actor, action="batch.opened", subject=f"batch {batch.pk}", name=name, case=None,
            accession=case.accession_number if case else "",
        )  # fmt: skip
    return batch


def batch_of_day(*, actor: Actor) -> Batch:
    """Where a client's files go that names no batch: one a day for each sender, so that nothing arrives unseen."""
    name = f"{(actor.label or str(actor.user))[:80]}, {timezone.localdate():%d %B %Y}"
    known = visible(Batch.objects.all(), actor).filter(created_by=actor.user, via=SmearImage.Via.API, name=name)
    return known.order_by("id").first() or open_batch(actor=actor, name=name, via=SmearImage.Via.API)


def check_scale(um_per_pixel: float | None) -> None:
    if um_per_pixel is not None and not (math.isfinite(um_per_pixel) and 0.001 <= um_per_pixel <= 100):
        raise BatchError("µm per pixel has to be a number between 0.001 and 100.", "um_per_pixel")


def plain(text: str) -> str:
    """One line without characters that nobody sees or that turn text round."""
    seen = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in unicodedata.normalize("NFC", text))
    return " ".join(seen.split())


def batch_page(*, actor: Actor, batch_id: int) -> Batch:
    """One batch of the actor's laboratory. Raises `Batch.DoesNotExist`."""
    return visible(Batch.objects.all(), actor).select_related("created_by", "case", "laboratory").get(pk=batch_id)


def batches(*, actor: Actor) -> QuerySet[Batch]:
    """The laboratory's batches, the newest first; `total` files and how many `needs` somebody."""
    needs = Count("files", filter=Q(files__state__in=NEEDS, files__replaced_by=None), distinct=True)
    total = Count("files", filter=~Q(files__state__in=(State.OPENED, State.CANCELLED)), distinct=True)
    found = visible(Batch.objects.all(), actor).select_related("created_by", "case")
    return found.annotate(total=total, needs=needs).order_by("-id")


def file_of(*, actor: Actor, file_id: int) -> BatchFile:
    """One file of a batch of the actor's laboratory. Raises `BatchFile.DoesNotExist`."""
    found = visible(BatchFile.objects.all(), actor, "batch__laboratory")
    return found.select_related("batch", "image__case", "container").get(pk=file_id)


def files(batch: Batch, *, show: str = "") -> QuerySet[BatchFile]:
    """The files of a batch, the newest first; `show` as in `narrowed`."""
    found = BatchFile.objects.filter(batch=batch).select_related("image", "case", "container")
    return narrowed(found, show).order_by("-id")


def narrowed(found: QuerySet[BatchFile], show: str) -> QuerySet[BatchFile]:
    """Those that somebody has to look after (`needs`), with a doubtful quality (`flagged`), or of a state."""
    if show == "needs":
        found = found.filter(state__in=NEEDS, replaced_by=None)
    elif show == "flagged":
        found = found.filter(state__in=(State.ACCEPTED, State.UNMATCHED)).exclude(flags=[])
    elif show in State.values:
        found = found.filter(state=show)
    return found


def rules_of(laboratory: Laboratory) -> IntakeRules:
    """The laboratory's rules; an unsaved row (revision 0) where it has set none."""
    return IntakeRules.objects.filter(laboratory=laboratory).first() or IntakeRules(laboratory=laboratory, revision=0)


def save_rules(
    *, actor: Actor, seen: int, masks: str, camera_pixel_um: float | None, read_codes: bool | None = None
) -> IntakeRules:
    """Say how file names, codes and scales are read from now on. `seen`: the revision that the person's page showed;
    `read_codes`: whether pictures are searched for codes, as it stands where None.

    Raises `BatchError`, `RulesChanged`, `PermissionDenied`.
    """
    require(actor, Action.UPLOAD_IMAGE)
    try:
        kept = "\n".join(mask.text for mask in matching.read_masks(masks))
    except matching.MaskError as error:
        raise BatchError(str(error), "masks") from error
    if camera_pixel_um is not None and not 0.5 <= camera_pixel_um <= 50:
        raise BatchError("A camera's pixel is 0.5 to 50 µm wide, often 3.45; its data sheet says.", "camera_pixel_um")
    with transaction.atomic():
        Laboratory.objects.select_for_update(no_key=True).only("pk").get(pk=actor.laboratory.pk)
        rules = rules_of(actor.laboratory)
        if rules.revision != seen:
            raise RulesChanged(rules)
        read_codes = rules.read_codes if read_codes is None else read_codes
        changes = {
            name: [getattr(rules, name), value]
            for name, value in (("masks", kept), ("camera_pixel_um", camera_pixel_um), ("read_codes", read_codes))
            if getattr(rules, name) != value
        }
        if not changes:
            return rules
        rules.masks, rules.camera_pixel_um, rules.read_codes = kept, camera_pixel_um, read_codes
        rules.revision, rules.updated_by, rules.updated_at = seen + 1, actor.user, timezone.now()
        rules.save()
        audit.record(actor=actor, action="batch.rules_changed", changes=changes)
    return rules
