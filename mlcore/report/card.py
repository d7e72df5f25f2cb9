"""Identity of what was evaluated, and the facts of its model card in sentences."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import mlcore
from mlcore.bundle import Bundle
from mlcore.preprocessing import Preprocessing

_INTENDED = {
    "cell": "Research on typing single nucleated cells of stained blood smears and on counting blasts, beside a person "
    "who decides.",
    "field": "Research on microscope fields of stained blood smears where acute lymphoblastic leukaemia is in "
    "question, beside a person who decides.",
}
_NOT_FOR = (
    "Diagnosis, screening of people without a known blood disease, follow-up of treatment, or any decision about a "
    "patient."
)
_LIMITS = {
    "cell": [
        "The patients it learnt from all had acute leukaemia: it types cells and finds blasts, it cannot tell healthy "
        "from ill.",
        "Basophils, eosinophils, plasma cells, platelets and immature granulocytes are rare in its training.",
        "It learnt from one hospital; another stain, microscope or camera may cost more than this report shows.",
        "It expects one cell in the middle of the picture.",
    ],
    "field": [
        "No patient is named in its training data: its own figures may be too good for new patients.",
        "Colour alone tells most of its training classes apart, so figures say little of another laboratory's slides.",
        "“Benign” means haematogones, not healthy blood.",
        "The bottom right corner is blanked, because the scale bar there betrays the class.",
    ],
}


def identity(
    bundle: Bundle, *, manifest: str, group: str | None, data_digest: str, command: str, seed: int
) -> dict[str, Any]:
    """Part 0. `manifest` is a file's name without its folder, `data_digest` over the evaluated files and labels."""
    card, training = bundle.card, bundle.card.training
    return {
        "bundle": bundle.name,
        "task": card.task,
        "network": card.network,
        "version": card.version,
        "digest": card.digest,
        "classes": list(card.classes),
        "malignant_classes": list(card.malignant_classes),
        "code": code_digest(),
        "data_digest": data_digest,
        "training_data_digest": training.get("data_digest"),
        "seed": seed,
        "settings": training.get("settings", {}),
        "starting_weights": training.get("start", "not stated"),
        "parameters": training.get("parameters"),
        "manifest": manifest,
        "group_column": group,
        "command": command,
        "made": datetime.now(UTC).date().isoformat(),
    }


def code_digest() -> str:
    """SHA-256 (hex) over the names and contents of this package's own modules."""
    root = Path(mlcore.__file__).parent
    content = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        content.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return content.hexdigest()


def _sees(steps: Preprocessing) -> str:
    turned = " in all four quarter turns, and answers with their mean" if steps.turns > 1 else ""
    return f"The middle square of the picture at {steps.size} × {steps.size} pixels{turned}."


def card_facts(bundle: Bundle) -> dict[str, Any]:
    """Part 14: intended use, what it is not for, what it sees of a picture, data and terms, limits."""
    card, training = bundle.card, bundle.card.training
    learnt = training.get("split", {}).get("train", {})
    images, groups = learnt.get("images"), learnt.get("groups")
    column = training.get("group")
    return {
        "intended_use": _INTENDED[card.task],
        "not_for": _NOT_FOR,
        "sees": _sees(card.preprocessing),
        "training_data": f"{images:,} pictures of {groups} groups ({column or 'single pictures'})"
        if images
        else "not stated",
        "terms": training.get("terms") or "not stated",
        "limits": list(_LIMITS[card.task]),
    }
