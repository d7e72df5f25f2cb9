"""What the networks of a cross-validation say of pictures that went wrong, and of pictures that are no blood.

Every fold's network is asked about pictures of its own held-out groups, so that nothing measured here was learnt.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from mlcore import novelty, outliers
from mlcore.corruptions import CORRUPTIONS, SEVERITIES, corrupt
from mlcore.experiment import Material, rendered_samples
from mlcore.networks import PooledNetwork
from mlcore.preprocessing import Preprocessing
from mlcore.training import Samples, Settings, load_checkpoint, network_of, predict
from mlcore.validation import HELD_OUT, fold_folder, read_summary, save_arrays, shared_out

KNOWN = 1600  # training pictures that a novelty score is fitted on
CORRUPTED = 120  # held-out pictures of every fold that each corruption is tried on
OUTLIERS = 20  # pictures of every kind that is no blood, for every fold
MEASURED = "measured.npz"


@dataclass(frozen=True, slots=True)
class Measured:
    """All folds together; N pictures in the manifest's order.

    `residuals` (N,) novelty residuals of ordinary pictures, each from the network that did not learn it;
    `unlike` kind -> (K,) residuals of pictures that are unlike the training; `rows` (M,) of the pictures that were
    corrupted, `corrupted` (corruption, severity) -> logits (M, C).
    """

    residuals: np.ndarray
    unlike: dict[str, np.ndarray]
    rows: np.ndarray
    corrupted: dict[tuple[str, str], np.ndarray]

    @classmethod
    def load(cls, run: Path) -> Measured:
        """Raises ValueError when the validation in `run` is not finished."""
        numbers = [fold["fold"] for fold in read_summary(run)["folds"]]
        folds = []
        for number in numbers:
            path = fold_folder(run, number) / MEASURED
            if not path.is_file():
                raise ValueError(f"{run} is not measured yet; run its `python -m mlcore validate` again")
            with np.load(path) as arrays:
                folds.append({name: arrays[name] for name in arrays.files})
        residuals = np.empty(sum(len(fold["held_out"]) for fold in folds))
        for fold in folds:
            residuals[fold["held_out"]] = fold["residuals"]

        def together(prefix: str) -> dict[str, np.ndarray]:
            names = [name.removeprefix(prefix) for name in folds[0] if name.startswith(prefix)]
            return {name: np.concatenate([fold[prefix + name] for fold in folds]) for name in names}

        corrupted = {
            (name.partition(".")[0], name.partition(".")[2]): logits for name, logits in together("corrupted.").items()
        }
        return cls(residuals, together("unlike."), np.concatenate([fold["rows"] for fold in folds]), corrupted)


def measure(material: Material, run: Path, *, foreign: Path | None = None) -> Measured:
    """Measure every fold of a finished validation that is not measured yet, shared like its training.

    `foreign`: a CSV of boxes on fields of another microscope (outliers.foreign), for the novelty score.
    """
    summary = read_summary(run)
    settings = Settings.of(summary["settings"])
    task, preprocessing = settings.task, settings.preprocessing
    numbers = [fold["fold"] for fold in summary["folds"]]
    if all((fold_folder(run, number) / MEASURED).exists() for number in numbers):
        return Measured.load(run)
    everything = material.samples(material.rows, task, preprocessing)
    rendered = rendered_samples(task, preprocessing) if settings.rendered_share else None
    others = np.empty((0,)) if foreign is None else outliers.foreign(foreign, preprocessing.size, task)
    for number in shared_out(run, numbers, MEASURED):
        folder = fold_folder(run, number)
        print(f"measuring fold {number} of {len(summary['folds'])}", flush=True)
        network = network_of(load_checkpoint(folder / "checkpoint.pt"))
        with np.load(folder / HELD_OUT) as kept:
            held_out, embeddings = kept["rows"], kept["embeddings"]
        rng = np.random.default_rng([settings.seed, number])
        train = np.setdiff1d(np.arange(len(everything.labels)), held_out)
        chosen = np.sort(rng.permutation(train)[:KNOWN])
        unusual = fit_novelty(network, preprocessing, everything.squares[chosen], rendered)
        rows = np.sort(rng.permutation(held_out)[:CORRUPTED])
        squares = preprocessing.masked(everything.squares[rows])
        arrays = {
            "held_out": held_out,
            "residuals": unusual.residual(embeddings, preprocessing.masked(everything.squares[held_out])),
            "rows": rows,
        }
        for kind, pictures in _unlike(task, squares, others, seed=number):
            arrays[f"unlike.{kind}"] = unusual.residual(
                predict(network, pictures, preprocessing)[1].numpy(), preprocessing.masked(pictures)
            )
        for name in CORRUPTIONS:
            for severity in SEVERITIES:
                logits, _ = predict(network, corrupt(squares, name, severity, seed=number), preprocessing)
                arrays[f"corrupted.{name}.{severity}"] = logits.numpy()
        save_arrays(folder / MEASURED, arrays)
    return Measured.load(run)


def fit_novelty(
    network: PooledNetwork, preprocessing: Preprocessing, known: np.ndarray, rendered: Samples | None
) -> novelty.NoveltyScore:
    """Fitted on squares (N, S, S, 3) of the training, and on the rendered ones, a kind of their own, if learnt too."""
    kinds = [preprocessing.masked(squares) for squares in [known] + ([rendered.squares] if rendered else [])]
    return novelty.fit(predict(network, np.concatenate(kinds), preprocessing)[1].numpy(), kinds)


def _unlike(task: str, blood: np.ndarray, others: np.ndarray, *, seed: int) -> Iterator[tuple[str, np.ndarray]]:
    """(kind, squares) of everything that a novelty score should find."""
    size = blood.shape[1]
    for kind, pictures in outliers.non_blood(OUTLIERS, size, seed).items():
        yield f"not blood: {kind}", pictures
    yield "other task", outliers.other_task(task, OUTLIERS, size, seed)
    for instrument, pictures in outliers.other_microscopes(blood, seed).items():
        yield f"other microscope: {instrument}", pictures
    if len(others):
        yield "other laboratory", others
