"""The pictures that the training of a bundle set aside for test, found again by its own split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlcore.bundle import Bundle
from mlcore.datasets import fingerprint, read_manifest, split_rows
from mlcore.experiment import Experiment, data_digest
from mlcore.report.listing import Listing
from mlcore.report.prose import group_noun
from mlcore.training import load_checkpoint
from mlcore.validation import mean_curves


@dataclass(frozen=True, slots=True)
class HeldOut:
    """`words`: what the figures rest on; `curves` of the training, epoch by epoch."""

    words: str
    curves: Sequence[Mapping[str, Any]]


def held_out(bundle: Bundle, run: Path, listing: Listing) -> HeldOut:
    """Leave in `listing` the test groups of the training in `run` alone.

    Raises ValueError when `run` is not the training of this bundle, or the pictures are not those that it split.
    """
    asked, training = Experiment.load(run), bundle.card.training
    checkpoint = load_checkpoint(run / "checkpoint.pt")
    if checkpoint["data"] != training.get("data_digest") or checkpoint["settings"] != training.get("settings"):
        raise ValueError(f"{run} is not the run that made {bundle.name}")
    manifest = Path(asked.manifest)
    rows = read_manifest(manifest, bundle.card.task, group=asked.group, mapping=asked.rename)
    with ThreadPoolExecutor() as pool:
        rows = list(pool.map(fingerprint, rows))
    if data_digest(rows) != training["data_digest"]:
        raise ValueError(f"{manifest} has changed since {run} was trained on it")
    test = {row.path.resolve() for row in split_rows(rows, group=asked.group, seed=asked.settings.seed).test}
    listing.pictures[:] = [picture for picture in listing.pictures if picture.path.resolve() in test]
    if not listing.pictures:
        raise ValueError(f"none of these pictures is among those that {run} set aside for test; name {manifest.name}")
    noun = group_noun({"identity": {"group_column": asked.group}, "data": {"grade": training["split_grade"]}})
    return HeldOut(
        f"Set aside before training: no picture of the same {noun} was learnt or calibrated on by this network.",
        mean_curves([checkpoint["history"]]),
    )
