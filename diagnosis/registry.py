"""Which models read: bundles become releases. One release of each task and network is active at a time."""

from __future__ import annotations

import logging

from django.db import transaction

from diagnosis import queue
from diagnosis.models import ModelRelease
from mlcore.bundle import SHIPPED, TASKS, Bundle, BundleError, load_bundle, shipped_bundles

logger = logging.getLogger(__name__)
Stage = ModelRelease.Stage


def register_shipped() -> list[ModelRelease]:
    """Make the bundles that come with this version the active releases. Run at every deployment; running it twice
    changes nothing. Raises BundleError where a bundle is not what was released."""
    releases = [register(bundle) for bundle in shipped_bundles()]
    for task in TASKS:
        queue.enqueue_unread(task)
    return releases


def register(bundle: Bundle, *, stage: Stage = Stage.ACTIVE) -> ModelRelease:
    """The release of `bundle` at `stage`. The one that was active before it retires; what it had not read yet, the
    new one reads. Raises BundleError for a network of split grade D: nobody knows what it does with a new patient."""
    card = bundle.card
    if card.training.get("split_grade") == "D":
        raise BundleError(
            f"the bundle {bundle.name} cannot be released: its figures are of a split by picture (grade D), with the "
            "same patients in training and in test; train it again with --group"
        )
    with transaction.atomic():
        siblings = list(ModelRelease.objects.select_for_update().filter(task=card.task, network=card.network))
        release = next((known for known in siblings if known.digest == card.digest), None)
        retiring = [
            known for known in siblings if known.stage == Stage.ACTIVE and known != release and stage == Stage.ACTIVE
        ]
        for old in retiring:
            ModelRelease.objects.filter(pk=old.pk).update(stage=Stage.RETIRED)
        # A shipped bundle goes by its name, for its folder may differ between machines.
        place = bundle.name if bundle.path == SHIPPED / bundle.name else str(bundle.path.resolve())
        release, _ = ModelRelease.objects.update_or_create(
            digest=card.digest,
            defaults={
                "task": card.task,
                "network": card.network,
                "version": card.version,
                "bundle": place,
                "stage": stage,
                "card": card.to_dict(),
            },
        )
        for old in retiring:
            moved = queue.hand_over(old=old, new=release)
            logger.info("%s retires; %s takes over its %d open readings.", old, release, moved)
    return release


def bundle_of(release: ModelRelease) -> Bundle:
    """The bundle that `release` was registered from. Raises BundleError where another one lies in its place."""
    bundle = load_bundle(release.bundle)
    if bundle.card.digest != release.digest:
        raise BundleError(f"the bundle {release.bundle} here is not the one that was registered as {release}")
    return bundle


def reading() -> list[ModelRelease]:
    """The releases that read new images: active ones and shadows."""
    return list(ModelRelease.objects.filter(stage__in=queue.READING_STAGES).order_by("task", "network", "id"))


def active(task: str) -> list[ModelRelease]:
    """The releases of `task` whose opinions are shown, the CNN first."""
    return list(ModelRelease.objects.filter(task=task, stage=Stage.ACTIVE).order_by("network"))
