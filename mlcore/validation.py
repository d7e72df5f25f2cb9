"""Cross-validation by group: every picture is read once by a network that never saw its group.

`RUN/fold-1 … fold-5` each hold a checkpoint, its curves and `held-out.npz`; `RUN/out-of-fold.npz` holds all together.
A run that was killed goes on from the last whole epoch of the fold at hand. Started twice, it shares the folds.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mlcore import datasets
from mlcore.bundle import TASKS
from mlcore.calibration import Crossed, cross_calibrate
from mlcore.datasets import Split
from mlcore.experiment import Experiment, Material, RunHeldError, hold, rendered_samples
from mlcore.pace import Pace
from mlcore.training import Samples, fit, load_checkpoint, network_of, predict
from mlcore.whole import save_text

OUT_OF_FOLD, SUMMARY, HELD_OUT = "out-of-fold.npz", "validation.json", "held-out.npz"
WATCHED = 800  # held-out pictures that a fold's curves are drawn from; its figures use all of them


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """What five networks said of pictures they never saw, in the manifest's order.

    `logits` (N, C) float32; `labels`, `folds` (N,) class and fold numbers, folds from 1; `groups` (N,) names.
    """

    logits: np.ndarray
    labels: np.ndarray
    folds: np.ndarray
    groups: np.ndarray

    def crossed(self, task: str) -> Crossed:
        """Probabilities and thresholds, each fold's from the other folds."""
        return cross_calibrate(self.logits, self.labels, self.folds, task)

    def save(self, path: Path) -> None:
        save_arrays(path, {name: getattr(self, name) for name in self.__slots__})

    @classmethod
    def load(cls, run: Path) -> OutOfFold:
        """Raises ValueError when the validation in `run` is not finished."""
        path = run / OUT_OF_FOLD
        if not path.is_file():
            raise ValueError(f"{run} holds no finished cross-validation; run `python -m mlcore validate` to its end")
        with np.load(path) as arrays:
            return cls(**{name: arrays[name] for name in cls.__slots__})


def validate(experiment: Experiment, material: Material, out: Path, *, count: int) -> OutOfFold:
    """Train `count` networks, each without one fold of the groups, and keep what each says of that fold.

    The seed of the settings decides the folds and the weights, so both networks see the same folds under the same seed.
    A second seed is a second `out`. A column `split` is not looked at. Processes that are asked the same at the same
    time take a fold each; all come back when the last fold is done. Raises LeakError, TrainingStopped, and ResumeError
    when `out` holds a run with other settings or data.
    """
    settings, task, steps = experiment.settings, experiment.settings.task, experiment.settings.preprocessing
    experiment.save(out)
    splits = datasets.folds(material.rows, group=experiment.group, count=count, seed=settings.seed)
    everything = material.samples(material.rows, task, steps)
    rendered = rendered_samples(task, steps) if settings.rendered_share else None
    place = {row.path: index for index, row in enumerate(material.rows)}
    pace = Pace(settings.costs(), count)
    for number in shared_out(out, _numbers(splits), HELD_OUT):
        split, folder = splits[number - 1], fold_folder(out, number)
        held_out = np.array([place[row.path] for row in split.test])
        print(f"fold {number} of {count}{pace.words(-1, number)}", flush=True)
        pace.start()

        def tell(epoch: int, logits: torch.Tensor, fold: int = number) -> None:
            pace.note(epoch)
            words = f"fold {fold} of {count}, epoch {epoch + 1} of {settings.epochs}{pace.words(epoch, fold)}"
            print(words, flush=True)

        train = np.array([place[row.path] for row in split.train])
        watched = np.random.default_rng(settings.seed).permutation(held_out)[:WATCHED]
        checkpoint = fit(
            settings,
            TASKS[task],
            part(everything, train),
            part(everything, watched),
            rendered,
            folder,
            data_digest=material.digest,
            resume=True,
            after_epoch=tell,
        )
        network = network_of(load_checkpoint(checkpoint))
        logits, embeddings = predict(network, everything.squares[held_out], steps)
        answers = {"rows": held_out, "logits": logits.numpy(), "embeddings": embeddings.numpy()}
        save_arrays(folder / HELD_OUT, answers)
    result = _gathered(out, material, splits, task)
    result.save(out / OUT_OF_FOLD)
    save_text(out / SUMMARY, json.dumps(_summary(experiment, material, splits, out), indent=1) + "\n")
    return result


def shared_out(run: Path, numbers: Iterable[int], product: str) -> Iterator[int]:
    """The folds whose folder lacks the file `product`, each this process's alone while it is at it.

    Those that another process is at come last, when it lets go of them: with nothing left to do, or to be gone on with
    if it was stopped.
    """
    others = []
    for number in numbers:
        try:
            with hold(fold_folder(run, number)):
                if not (fold_folder(run, number) / product).exists():
                    yield number
        except RunHeldError:
            others.append(number)
    for number in others:
        print(f"fold {number} is another process's; waiting for it", flush=True)
        with hold(fold_folder(run, number), wait=True):
            if not (fold_folder(run, number) / product).exists():
                yield number


def fold_folder(run: Path, number: int) -> Path:
    return run / f"fold-{number}"


def part(samples: Samples, index: np.ndarray) -> Samples:
    return Samples(samples.squares[index], samples.labels[index])


def read_summary(run: Path) -> dict[str, Any]:
    """`validation.json` of a finished run: settings, data, folds and curves. Raises ValueError when it is not there."""
    if not (run / SUMMARY).is_file():
        raise ValueError(f"{run} holds no finished cross-validation; run `python -m mlcore validate` to its end")
    return dict(json.loads((run / SUMMARY).read_text()))


def _gathered(out: Path, material: Material, splits: list[Split], task: str) -> OutOfFold:
    classes = TASKS[task]
    logits = np.full((len(material.rows), len(classes)), np.nan, dtype=np.float32)
    number_of = np.zeros(len(material.rows), dtype=np.int8)
    for number in range(1, len(splits) + 1):
        with np.load(fold_folder(out, number) / HELD_OUT) as kept:
            logits[kept["rows"]] = kept["logits"]
            number_of[kept["rows"]] = number
    return OutOfFold(
        logits,
        np.array([classes.index(row.label) for row in material.rows]),
        number_of,
        np.array([row.group for row in material.rows]),
    )


def _summary(experiment: Experiment, material: Material, splits: list[Split], out: Path) -> dict[str, Any]:
    histories = [load_checkpoint(fold_folder(out, number) / "checkpoint.pt")["history"] for number in _numbers(splits)]
    seconds = [entry["seconds"] for history in histories for entry in history]
    images = sum(entry["images"] for entry in seconds)
    return {
        "settings": asdict(experiment.settings),
        "manifest": Path(experiment.manifest).name,
        "group": experiment.group,
        "terms": experiment.terms,
        "data_digest": material.digest,
        "split_grade": splits[0].grade,
        "device": "cuda" if torch.cuda.is_available() else "cpu",
        "folds": [
            {
                "fold": number,
                "images": len(split.test),
                "groups": sorted({row.group for row in split.test}),
                "train_images": len(split.train),
                "set_aside": len(split.set_aside),
            }
            for number, split in zip(_numbers(splits), splits, strict=True)
        ],
        "curves": mean_curves(histories),
        "images_per_s": {
            what: round(images / sum(entry[what] for entry in seconds), 1) for what in ("preparing", "network")
        },
    }


def _numbers(splits: list[Split]) -> range:
    return range(1, len(splits) + 1)


def mean_curves(histories: list[Any]) -> list[dict[str, Any]]:
    """Per epoch and side the mean over folds of every figure, as the report shows them."""
    return [
        {
            "epoch": epoch,
            **{
                side: {
                    name: round(float(np.mean([entry[side][name] for entry in entries])), 5)
                    for name in entries[0][side]
                }
                for side in ("train", "validation")
            },
        }
        for epoch, entries in enumerate(zip(*histories, strict=True), start=1)
    ]


def save_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An npz file, written beside and moved over, as whole.save_text does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(f".{os.getpid()}.npz")
    np.savez(beside, allow_pickle=False, **dict(arrays))
    os.replace(beside, path)
