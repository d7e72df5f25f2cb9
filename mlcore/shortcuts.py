"""Can the class be told without looking at a cell? By colour alone, and by each edge of the picture alone."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np

from mlcore import colour
from mlcore.preprocessing import FIELD, Preprocessing

COMMONEST, COLOUR, BLANKED = "always the commonest class", "colour of the whole picture", "bottom right corner"
PLACES = ("top left corner", "top right corner", "bottom left corner", BLANKED, "border")


def measure(
    squares: np.ndarray, labels: Sequence[str], groups: Sequence[str], preprocessing: Preprocessing
) -> dict[str, float]:
    """Accuracy (0..1), out of folds by group, of a forest on the colours of the whole picture and of each of PLACES.

    `squares` uint8 (N, S, S, 3). COMMONEST is the figure to compare with. The whole picture leaves out the corner that
    `preprocessing` blanks; BLANKED is that corner. Raises ValueError with one group or fewer than five pictures of
    every class.
    """
    names, numbers = np.unique(np.asarray(labels), return_inverse=True)
    told = {COMMONEST: float(np.bincount(numbers).max() / len(numbers))}
    features = {COLOUR: colour.statistics(squares, preprocessing), **_edges(squares)}
    with warnings.catch_warnings():
        # A rare class with fewer groups than folds is missing from some of them: its pictures count as told wrong.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        for place, values in features.items():
            guessed = colour.out_of_fold(values, numbers, groups, classes=len(names)).argmax(axis=1)
            told[place] = float((guessed == numbers).mean())
    return told


def _edges(squares: np.ndarray) -> dict[str, np.ndarray]:
    """Mean and deviation of each channel, float32 (N, 6), in each of PLACES; a corner is as large as a scale bar's."""
    side = squares.shape[1]
    width, height = int(np.ceil(FIELD.mask_width * side)), int(np.ceil(FIELD.mask_height * side))
    masks = {place: np.zeros((side, side), dtype=bool) for place in PLACES}
    masks["top left corner"][:height, :width] = True
    masks["top right corner"][:height, -width:] = True
    masks["bottom left corner"][-height:, :width] = True
    masks[BLANKED][-height:, -width:] = True
    rim = max(1, side // 32)
    masks["border"][:] = True
    masks["border"][rim:-rim, rim:-rim] = False
    found = {}
    for place, mask in masks.items():
        pixels = squares[:, mask].astype(np.float32)
        found[place] = np.concatenate([pixels.mean(axis=1), pixels.std(axis=1)], axis=1)
    return found
