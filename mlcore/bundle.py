"""A model on disk: `weights.safetensors`, `graph.onnx` and `card.json`, sealed by a digest over all three.

The weights are stored once, in half precision. The graph holds none: its initialisers point into the weights file by
offset (ONNX external data) and are widened to float32 as the graph is loaded, so both engines compute with the same.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlcore.preprocessing import Preprocessing

TASKS: dict[str, tuple[str, ...]] = {
    "field": ("benign", "early_pre_b", "pre_b", "pro_b"),
    "cell": (
        "basophil",
        "blast",
        "eosinophil",
        "erythroblast",
        "immature_granulocyte",
        "lymphocyte",
        "monocyte",
        "neutrophil",
        "plasma_cell",
        "platelet",
        "promyelocyte",
        "smudge_cell",
    ),
}
MALIGNANT: dict[str, frozenset[str]] = {
    "field": frozenset({"early_pre_b", "pre_b", "pro_b"}),
    "cell": frozenset({"blast", "promyelocyte"}),
}
SHIPPED = Path(__file__).parent / "bundles"
WEIGHTS, GRAPH, CARD = "weights.safetensors", "graph.onnx", "card.json"


class BundleError(RuntimeError):
    """The bundle is missing, incomplete or not what its card says."""


@dataclass(frozen=True)
class Card:
    """What a model is, what it was trained on and what it achieved on groups that training never saw.

    `thresholds`: "malignant", the probability from which an image counts as malignant (specificity 0.95 on the
    validation groups); "novelty", the novelty from which an image counts as unlike the training data.
    `digest`: SHA-256 (hex) over the weights, the graph and this card without its digest.
    """

    task: str
    network: str
    version: str
    classes: tuple[str, ...]
    malignant_classes: tuple[str, ...]
    preprocessing: Preprocessing
    temperature: float
    thresholds: dict[str, float]
    training: dict[str, Any]
    metrics: dict[str, Any]
    digest: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "task": self.task,
            "network": self.network,
            "version": self.version,
            "classes": list(self.classes),
            "malignant_classes": list(self.malignant_classes),
            "preprocessing": self.preprocessing.to_dict(),
            "temperature": self.temperature,
            "thresholds": self.thresholds,
            "training": self.training,
            "metrics": self.metrics,
            "digest": self.digest,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Card:
        return cls(
            **{
                **values,
                "classes": tuple(values["classes"]),
                "malignant_classes": tuple(values["malignant_classes"]),
                "preprocessing": Preprocessing.from_dict(values["preprocessing"]),
            }
        )


@dataclass(frozen=True)
class Bundle:
    """A bundle whose digest has been verified."""

    name: str
    path: Path
    card: Card

    @property
    def weights_path(self) -> Path:
        return self.path / WEIGHTS

    @property
    def graph_path(self) -> Path:
        return self.path / GRAPH


def content_digest(path: Path, card: Card) -> str:
    """SHA-256 (hex) over the hashes of weights and graph and the card without its digest, keys sorted."""
    content = hashlib.sha256()
    for name in (WEIGHTS, GRAPH):
        content.update(hashlib.sha256((path / name).read_bytes()).digest())
    content.update(json.dumps(replace(card, digest="").to_dict(), sort_keys=True).encode())
    return content.hexdigest()


def write_card(path: Path, card: Card) -> Card:
    """Seal weights and graph that lie in `path` with the card; the card with its digest comes back."""
    sealed = replace(card, digest=content_digest(path, card))
    (path / CARD).write_text(json.dumps(sealed.to_dict(), indent=1) + "\n")
    return sealed


def load_bundle(path_or_name: str | Path) -> Bundle:
    """A bundle by its folder, or a shipped one by its name ("cell-cnn"). Raises BundleError unless the digest holds."""
    path = Path(path_or_name)
    if path.name == str(path_or_name) and (SHIPPED / path).is_dir():
        path = SHIPPED / path
    if not (path / CARD).is_file():
        shipped = ", ".join(sorted(folder.name for folder in SHIPPED.glob("*/") if (folder / CARD).is_file()))
        raise BundleError(f"there is no bundle at {path_or_name}; shipped ones are: {shipped}")
    try:
        card = Card.from_dict(json.loads((path / CARD).read_text()))
        digest = content_digest(path, card)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BundleError(f"the bundle {path.name} cannot be read: {error}") from error
    if digest != card.digest:
        raise BundleError(f"the bundle {path.name} is not what was released: its digest does not fit its content")
    return Bundle(path.name, path, card)


def shipped_bundles() -> list[Bundle]:
    """The bundles that come with this package, by name."""
    return [load_bundle(folder.name) for folder in sorted(SHIPPED.iterdir()) if (folder / CARD).is_file()]
