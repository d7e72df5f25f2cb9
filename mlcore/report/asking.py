"""Reading a manifest's pictures with every network at once: each is decoded once, and only a sample is kept.

However long the list, what stays in memory are a picture's probabilities, fifteen colour statistics and its hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from PIL import Image
from tqdm import tqdm

from mlcore import images
from mlcore.bundle import Bundle
from mlcore.colour import statistics
from mlcore.datasets import NEAR, Row
from mlcore.engines import MICRO_BATCH, Opinion, Predictor, Prepared
from mlcore.predict import ahead
from mlcore.report.evidence import Evidence
from mlcore.report.listing import Listed
from mlcore.report.stress import Reader

# Smaller than the portal takes: what so small a picture is worth is for the figures to say.
LIMITS = images.Limits(min_side=16)
COMPARED = 40_000  # pictures among which nearly equal ones are looked for; the work grows with the square


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of the pictures that could be read, N of them in the manifest's order.

    `numbers` of the pictures that were asked about, and their `rows` with hashes; by network, in the order asked,
    `probabilities` (N, C) and `novelty` (N,); `colours` (N, 15). `sample` (M,) are the rows whose `squares`
    (M, S, S, 3) were kept, as the first network sees them; `unreadable` path and why; `small` how many pictures are
    less than half as wide as what it sees.
    """

    numbers: np.ndarray
    rows: list[Row]
    probabilities: list[np.ndarray]
    novelty: list[np.ndarray]
    colours: np.ndarray
    sample: np.ndarray
    squares: np.ndarray
    unreadable: list[dict[str, str]]
    small: int

    def evidence(self, network: int, bundle: Bundle, pictures: Sequence[Listed]) -> Evidence:
        """What the network with that number said; `pictures` are those that were asked about."""
        card, probabilities = bundle.card, self.probabilities[network]
        return Evidence(
            task=card.task,
            network=card.network,
            classes=card.classes,
            malignant=frozenset(card.malignant_classes),
            probabilities=probabilities,
            # Up to a constant in each row, on which no figure depends.
            logits=np.log(np.maximum(probabilities, np.finfo(np.float64).tiny)) * card.temperature,
            labels=np.array([card.classes.index(row.label) for row in self.rows]),
            groups=np.array([row.group for row in self.rows], dtype=str),
            paths=[pictures[number].written for number in self.numbers],
            threshold=card.thresholds["malignant"],
            temperature=card.temperature,
            novelty=self.novelty[network],
            novelty_threshold=card.thresholds["novelty"],
        )


@dataclass(frozen=True, slots=True)
class _Opened:
    prepared: Prepared
    square: np.ndarray
    row: Row
    colours: np.ndarray
    small: bool


def ask(predictor: Predictor, pictures: Sequence[Listed], keep: Collection[int]) -> Asked:
    """Every picture read by all of the predictor's bundles; the squares of those numbered in `keep` are kept.

    Raises ValueError when not one can be read.
    """
    cards = [bundle.card for bundle in predictor.bundles]
    task, steps = cards[0].task, cards[0].preprocessing
    most = max(card.preprocessing.size for card in cards)

    def opened(number: int) -> _Opened | str:
        picture = pictures[number]
        try:
            data = picture.path.read_bytes()
            pixels = images.decode(data, limits=LIMITS, at_least=2 * most)
        except images.ImageRefused as refused:
            return str(refused)
        except OSError as error:
            return f"This file cannot be opened: {error.strerror or error}."
        prepared = predictor.prepare(pixels, task)
        square = prepared[steps]
        sha256 = hashlib.sha256(data).hexdigest()
        row = Row(picture.path, picture.label, picture.group, sha256=sha256, fingerprint=_signs(square))
        return _Opened(
            prepared, square, row, statistics(square[None], steps)[0], min(pixels.shape[:2]) < steps.size / 2
        )

    numbers, rows, colours, small = list[int](), list[Row](), list[np.ndarray](), 0
    sample, squares, unreadable = list[int](), list[np.ndarray](), list[dict[str, str]]()
    answers = [np.empty((len(pictures), len(card.classes) + 1)) for card in cards]
    with ThreadPoolExecutor() as pool, tqdm(total=len(pictures), desc="read", unit="picture") as bar:
        for batch in ahead(pool, ((number, number) for number in range(len(pictures))), opened):
            found = [(number, future.result()) for number, future in batch]
            whole = [(number, one) for number, one in found if isinstance(one, _Opened)]
            read = predictor.read_prepared([one.prepared for _, one in whole], task)
            for (number, one), opinions in zip(whole, read, strict=True):
                if number in keep:
                    sample.append(len(rows))
                    squares.append(one.square)
                for answer, opinion in zip(answers, opinions, strict=True):
                    answer[len(rows)] = [*opinion.probabilities.values(), opinion.novelty]
                numbers.append(number)
                rows.append(one.row)
                colours.append(one.colours)
                small += one.small
            unreadable += [
                {"path": pictures[number].written, "why": one} for number, one in found if isinstance(one, str)
            ]
            bar.update(len(batch))
    if not rows:
        raise ValueError(f"not one of {len(pictures)} pictures can be read; the first: {unreadable[0]['why']}")
    return Asked(
        np.array(numbers),
        rows,
        [answer[: len(rows), :-1] for answer in answers],
        [answer[: len(rows), -1] for answer in answers],
        np.stack(colours),
        np.array(sample, dtype=np.int64),
        steps.masked(np.stack(squares)) if squares else np.empty((0, steps.size, steps.size, 3), np.uint8),
        unreadable,
        small,
    )


def reader(predictor: Predictor) -> Reader:
    """Asks a predictor of one bundle about squares as it sees them."""
    (bundle,) = predictor.bundles
    task, steps = bundle.card.task, bundle.card.preprocessing

    def read(squares: np.ndarray) -> list[Opinion]:
        opinions: list[Opinion] = []
        for start in range(0, len(squares), MICRO_BATCH):
            prepared: list[Prepared] = [{steps: square} for square in squares[start : start + MICRO_BATCH]]
            opinions += [one for (one,) in predictor.read_prepared(prepared, task)]
        return opinions

    return read


def _signs(square: np.ndarray) -> bytes:
    """The difference hash of `datasets.fingerprint`, of what the network sees."""
    grey = np.asarray(Image.fromarray(square).convert("L").resize((17, 16), Image.Resampling.BOX), dtype=np.int16)
    return np.packbits(grey[:, 1:] > grey[:, :-1]).tobytes()


def copies(rows: Sequence[Row]) -> dict[str, int | None]:
    """How many pictures equal an earlier one to the byte, and how many nearly do; None where there are too many."""
    exact = len(rows) - len({row.sha256 for row in rows})
    if len(rows) > COMPARED:
        return {"exact": exact, "near": None, "set_aside": 0}
    words = np.frombuffer(b"".join(row.fingerprint for row in rows), dtype=np.uint64).reshape(len(rows), -1)
    names = np.array([row.sha256 for row in rows])
    near = 0
    for number in range(1, len(rows)):
        distance = np.bitwise_count(words[:number] ^ words[number]).sum(axis=1, dtype=np.int32)
        close = np.flatnonzero(distance <= NEAR)
        # A byte-for-byte copy is counted above, and only there.
        near += bool(len(close)) and not (names[close] == names[number]).any()
    return {"exact": exact, "near": near, "set_aside": 0}
