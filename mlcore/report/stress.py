"""Pictures changed on purpose: what faults cost, what the novelty score catches, whether the maps tell the truth.

`robustness` and `novelty` are of answers, whoever was asked: a bundle through `ask_*`, or the networks of a
cross-validation about pictures of their own held-out groups.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from PIL import Image
from tqdm import tqdm

from mlcore import outliers
from mlcore.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mlcore.engines import Opinion
from mlcore.metrics import auroc, figures

Reader = Callable[[np.ndarray], Sequence[Opinion]]  # squares uint8 (N, S, S, 3) -> an opinion of each

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5)  # of the picture that is removed
SHOWN = ("malignant_auroc", "accuracy", "macro_f1")
EACH = 30  # pictures of every kind that is no blood
THROUGH = 60  # blood pictures that are shown through every other microscope
POOLED = {  # what several kinds are together: the beginning of their names, and what they are
    "not blood": "Noise, text, drawn landscapes, plain colours, charts, patterns, photographs, a scan and a drawn "
    "tissue section together.",
    "other microscopes": "Blood as a telephone, an old or a sharpening camera, another stain and a halogen lamp would "
    "show it, made by computation from these pictures.",
}
KINDS = {
    "noise": "white noise, fine or coarse",
    "text": "a printed page",
    "landscape": "drawn hills, trees and sky",
    "plain": "one colour or a gradient",
    "chart": "bars, pies, lines and shapes",
    "pattern": "stripes, checks and dots",
    "photograph": "parts of photographs",
    "scan": "parts of a scan of a head",
    "tissue": "a drawn stained section",
    "telephone": "held to the eyepiece",
    "old camera": "blurred, pale in colour",
    "scanner": "sharpened, strong in colour",
    "eosin": "another stain",
    "halogen": "a yellow, dim lamp",
}
OTHER_LABORATORY = "Leukocytes or fields of a public detection set, through another laboratory's microscope."
OTHER_TASK = {
    "cell": "Rendered whole fields, for a network of single cells.",
    "field": "Rendered single cells, for a network of fields.",
}


def ask_corrupted(read: Reader, squares: np.ndarray, seed: int) -> dict[tuple[str, str], np.ndarray]:
    """(corruption, severity) -> probabilities (N, C) of the squares so changed, and ("", "") of the unchanged ones."""
    answers = {("", ""): probabilities(read(squares))}
    for name, severity in tqdm(list(product(CORRUPTIONS, SEVERITIES)), desc="robustness", unit="fault"):
        answers[name, severity] = probabilities(read(corrupt(squares, name, severity, seed)))
    return answers


def robustness(
    answers: Mapping[tuple[str, str], np.ndarray],
    labels: np.ndarray,
    classes: Sequence[str],
    malignant: Collection[str],
) -> dict[str, Any]:
    """What every corruption in every severity costs, from `answers` as `ask_corrupted` gives them.

    `loss_of_auroc` is against the unchanged pictures; a figure is None where the pictures are all of one kind.
    `mean_loss_medium`, and for each severity `mean_loss`, are means over the corruptions.
    """

    def measure(told: np.ndarray) -> dict[str, float | None]:
        values = figures(told, labels, classes, malignant, None)
        return {name: values.get(name) for name in SHOWN}

    clean = measure(answers["", ""])
    found: dict[str, dict[str, Any]] = {name: {} for name in CORRUPTIONS}
    for name, severity in product(CORRUPTIONS, SEVERITIES):
        values = measure(answers[name, severity])
        loss = _minus(clean["malignant_auroc"], values["malignant_auroc"])
        found[name][severity] = {**values, "loss_of_auroc": loss}
    mean_loss = {
        severity: None if None in losses else float(np.mean(losses))
        for severity in SEVERITIES
        for losses in ([of[severity]["loss_of_auroc"] for of in found.values()],)
    }
    return {
        "corruptions": found,
        "clean": clean,
        "images": len(labels),
        "mean_loss": mean_loss,
        "mean_loss_medium": mean_loss["medium"],
    }


def _minus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one - other


def ask_unlike(read: Reader, task: str, blood: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Kind -> novelty scores (K,) of pictures that a novelty score should find; kinds are named as in measuring."""
    size = blood.shape[1]
    shown = {f"not blood: {kind}": squares for kind, squares in outliers.non_blood(EACH, size, seed).items()}
    shown["other task"] = outliers.other_task(task, EACH, size, seed)
    through = outliers.other_microscopes(blood[:THROUGH], seed)
    shown |= {f"other microscope: {name}": squares for name, squares in through.items()}
    found = {}
    for kind, squares in tqdm(shown.items(), desc="novelty", unit="kind"):
        found[kind] = np.array([opinion.novelty for opinion in read(squares)])
    return found


def novelty(
    ordinary: np.ndarray, threshold: float, against: Mapping[str, np.ndarray], task: str, words: str
) -> dict[str, Any]:
    """How well the scores of `ordinary` pictures (N,) are told from those of each kind, and of kinds pooled.

    `against`: kind -> scores (K,). `caught` is the share that reaches the threshold, `false_alarms` that of the
    ordinary pictures; `words` say which pictures those are.
    """
    pooled = {
        "not blood": [scores for kind, scores in against.items() if kind.startswith("not blood: ")],
        "other microscopes": [scores for kind, scores in against.items() if kind.startswith("other microscope: ")],
    }
    said = {name: (np.concatenate(parts), POOLED[name]) for name, parts in pooled.items() if parts}
    for kind, scores in against.items():
        said[kind] = (scores, _kind(kind, task))
    found = {}
    for kind, (scores, what) in said.items():
        strange = np.repeat([False, True], [len(ordinary), len(scores)])
        found[kind] = {
            "auroc": auroc(strange, np.concatenate([ordinary, scores])),
            "caught": float((scores >= threshold).mean()),
            "images": len(scores),
            "words": what,
        }
    return {
        "threshold": threshold,
        "false_alarms": float((ordinary >= threshold).mean()),
        "ordinary": {"images": len(ordinary), "median": float(np.median(ordinary)), "words": words},
        "against": found,
    }


def _kind(kind: str, task: str) -> str:
    """What the pictures of a kind are."""
    if kind == "other task":
        return OTHER_TASK[task]
    return OTHER_LABORATORY if kind == "other laboratory" else KINDS.get(kind.partition(": ")[2], "")


def explanation(read: Reader, squares: np.ndarray, seed: int) -> dict[str, Any]:
    """Deletion test (Petsiuk et al. 2018, arXiv 1806.07421): the mean probability of the leading class as more of the
    picture is removed, first where the class-activation map is strongest, and for comparison where the same map with
    its cells shuffled is. What is removed takes the picture's mean colour.
    """
    rng = np.random.default_rng(seed)
    opinions = read(squares)
    before = probabilities(opinions)
    leading = before.argmax(axis=1)
    rows = np.arange(len(squares))
    maps = np.stack([opinion.activation[lead] for opinion, lead in zip(opinions, leading, strict=True)])
    shuffled = rng.permuted(maps.reshape(len(maps), -1), axis=1).reshape(maps.shape)
    found = {}
    for name, chosen in tqdm((("by_map", maps), ("by_chance", shuffled)), desc="explanation", unit="order"):
        # The grid is coarse; among equal pixels chance decides, not the place in the file.
        heat = np.stack([_enlarged(one, squares.shape[1]) for one in chosen]) + rng.random(squares.shape[:3]) / 4
        order = np.argsort(-heat.reshape(len(heat), -1), axis=1)
        found[name] = [
            float(before[rows, leading].mean()),
            *(float(probabilities(read(part))[rows, leading].mean()) for part in _removed(squares, order)),
        ]
    return {
        "deletion": {"shares": [0.0, *SHARES], **found},
        "images": len(squares),
        "words": "The share of the picture that the map marks most strongly is removed, and for comparison as much "
        "elsewhere: if the map shows what the network goes by, the leading class loses its probability faster.",
    }


def _removed(squares: np.ndarray, order: np.ndarray) -> Iterator[np.ndarray]:
    """The squares without the first tenth, fifth … of their pixels in `order` (N, S * S)."""
    mean = squares.mean(axis=(1, 2), keepdims=True).round().astype(np.uint8)
    for share in SHARES:
        out = squares.reshape(len(squares), -1, 3).copy()
        gone = order[:, : round(share * order.shape[1])]
        np.put_along_axis(out, gone[:, :, None], mean.reshape(-1, 1, 3), axis=1)
        yield out.reshape(squares.shape)


def _enlarged(heat: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(heat).resize((size, size), Image.Resampling.BILINEAR), dtype=np.float32)


def probabilities(opinions: Sequence[Opinion]) -> np.ndarray:
    """(N, C) in the order of the card's classes."""
    return np.array([list(opinion.probabilities.values()) for opinion in opinions])
