"""The cases whose labels are offered, in a few queries."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models import Q

from accounts.permissions import Actor, visible
from diagnosis.batches.opening import batch_page
from diagnosis.models import Batch, BatchFile, Case, ManifestRow

AT_MOST = 500  # cases on one page


def named(*, actor: Actor, ids: Iterable[int]) -> list[Case]:
    """Cases of the actor's laboratory in the order of `ids`, patients joined; those of others are left out."""
    wanted = list(dict.fromkeys(ids))[:AT_MOST]
    found = visible(Case.objects.select_related("patient"), actor).in_bulk([pk for pk in wanted if pk < 2**63])
    return [found[pk] for pk in wanted if pk in found]


def of_batch(*, actor: Actor, batch_id: int) -> tuple[Batch, list[Case]]:
    """A batch and the cases of its files, its list and itself, by number. Raises `Batch.DoesNotExist`."""
    batch = batch_page(actor=actor, batch_id=batch_id)
    files = BatchFile.objects.filter(batch=batch).exclude(case=None).values("case")
    rows = ManifestRow.objects.filter(batch=batch).values("case")
    cases = visible(Case.objects.select_related("patient"), actor)
    found = cases.filter(Q(pk__in=files) | Q(pk__in=rows) | Q(pk=batch.case_id))
    return batch, list(found.order_by("accession_number")[:AT_MOST])
