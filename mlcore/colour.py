"""How far colour alone gets: fifteen statistics of a whole picture and a random forest, out of fold.

A network that does no better than this has learnt the stain, the lamp and the camera, not the cells. The baseline is
fitted on the evaluated pictures themselves, of other groups, so it is as strong as such a shortcut could be there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import StratifiedGroupKFold

from mlcore.preprocessing import Preprocessing

PERCENTILES = (10, 50, 90)
FOLDS = 5
TREES = 100
MOST = 20_000  # pictures that the forest of one fold learns from, drawn at random: it gains nothing from more


def statistics(squares: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """uint8 (N, S, S, 3) -> float32 (N, 15): mean, deviation and the 10th, 50th and 90th percentile of each channel.

    The corner that `preprocessing` blanks is left out, as it is for the networks.
    """
    width, height = preprocessing.mask_pixels()
    seen = np.ones(squares.shape[1:3], dtype=bool)
    if width and height:
        seen[-height:, -width:] = False
    found = np.empty((len(squares), 3 * (2 + len(PERCENTILES))), dtype=np.float32)
    for row, square in zip(found, squares, strict=True):
        pixels = square[seen].astype(np.float32)
        row[:] = np.concatenate([pixels.mean(axis=0), pixels.std(axis=0), *np.percentile(pixels, PERCENTILES, axis=0)])
    return found


def out_of_fold(
    features: np.ndarray, labels: np.ndarray, groups: Sequence[str] | np.ndarray, *, classes: int, seed: int = 0
) -> np.ndarray:
    """Class probabilities (N, C) for every row, from a forest that learnt without the row's fold and group.

    `features` (N, F); `labels` (N,) class numbers below `classes`; the folds are grouped and stratified. Raises
    ValueError when there is only one group: nothing could be held out.
    """
    count = min(FOLDS, len(set(np.asarray(groups).tolist())))
    if count < 2:
        raise ValueError("all pictures are of one group: a colour baseline would have nothing to learn from")
    probabilities = np.zeros((len(labels), classes))
    splitter = StratifiedGroupKFold(n_splits=count, shuffle=True, random_state=seed)
    rng = np.random.default_rng(seed)
    for rest, held_out in splitter.split(features, labels, groups):
        if len(rest) > MOST:
            rest = rng.choice(rest, MOST, replace=False)
        forest = RandomForestClassifier(TREES, min_samples_leaf=2, random_state=seed)
        forest.fit(features[rest], labels[rest])
        probabilities[np.ix_(held_out, forest.classes_)] = forest.predict_proba(features[held_out])
    return probabilities
