"""One training run from manifest to bundle: what was asked, the material it needs, and the release of what came out."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
import torch

from mlcore import export, novelty
from mlcore.bundle import MALIGNANT, TASKS, Bundle, Card, load_bundle, write_card
from mlcore.datasets import (
    Row,
    Split,
    fingerprint,
    load_squares,
    read_manifest,
    refuse_leaks,
    render_squares,
    split_rows,
)
from mlcore.metrics import held_out_report, operating_threshold
from mlcore.networks import build, fold, parameter_count
from mlcore.preprocessing import BY_TASK
from mlcore.training import Samples, Settings, fit, load_checkpoint, predict

# Seeds of rendered pictures: training has its own range below phantom.FIRST_UNTRAINED_SEED, the check lies above it.
TRAINING_SEED, CHECK_SEED = 500_000, 2_000_000
RENDERED = {"cell": 50, "field": 150}  # rendered training pictures of each class
FALSE_ALARMS = 0.02  # share of ordinary validation pictures that may be called novel


@dataclass(frozen=True, slots=True)
class Experiment:
    """What a person asked for; kept as `run.json` beside the checkpoint. `terms` says where the data come from."""

    settings: Settings
    manifest: str
    group: str | None
    rename: dict[str, str] = field(default_factory=dict)
    terms: str = ""

    def save(self, out: Path) -> None:
        out.mkdir(parents=True, exist_ok=True)
        (out / "run.json").write_text(json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, out: Path) -> Experiment:
        values = json.loads((out / "run.json").read_text())
        return cls(**{**values, "settings": Settings(**values["settings"])})


class RunHeldError(RuntimeError):
    """Another process is training in the same folder."""


@contextmanager
def hold(out: Path) -> Iterator[None]:
    """The folder of a run for one process alone: two would overwrite each other's checkpoints. Raises RunHeldError."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as busy:
            raise RunHeldError(f"another process is training in {out}; wait for it or choose another --out") from busy
        yield


@dataclass(frozen=True, slots=True)
class Material:
    """The split of a manifest that passed the leakage gate, and `digest` (SHA-256, hex) over its files and labels."""

    split: Split
    digest: str
    cache: Path

    @classmethod
    def gather(cls, experiment: Experiment, cache: Path) -> Material:
        """Raises ManifestError or LeakError."""
        settings = experiment.settings
        rows = read_manifest(
            Path(experiment.manifest), TASKS[settings.task], group=experiment.group, rename=experiment.rename
        )
        with ThreadPoolExecutor() as pool:
            rows = list(pool.map(fingerprint, rows))
        split = split_rows(rows, group=experiment.group, seed=settings.seed)
        refuse_leaks(split)
        content = json.dumps([[row.sha256, row.label, row.group] for row in rows]).encode()
        return cls(split, hashlib.sha256(content).hexdigest(), cache)

    def samples(self, rows: list[Row], task: str) -> Samples:
        labels = np.array([TASKS[task].index(row.label) for row in rows])
        return Samples(load_squares(rows, BY_TASK[task], self.cache), labels)


def train(experiment: Experiment, material: Material, out: Path, *, resume: bool) -> None:
    """Fit and leave `checkpoint.pt`, `curves.csv`, `curves.png` and `run.json` in `out`."""
    settings = experiment.settings
    experiment.save(out)
    fit(
        settings,
        TASKS[settings.task],
        BY_TASK[settings.task],
        material.samples(material.split.train, settings.task),
        material.samples(material.split.validation, settings.task),
        _rendered(settings.task, RENDERED[settings.task], TRAINING_SEED) if settings.rendered_share else None,
        out,
        data_digest=material.digest,
        resume=resume,
    )


def release(experiment: Experiment, material: Material, out: Path, to: Path, *, version: str) -> Bundle:
    """Write the bundle `to` from the best checkpoint in `out`; the test groups are read here, once, for the card."""
    settings, task = experiment.settings, experiment.settings.task
    classes, malignant, preprocessing = TASKS[task], MALIGNANT[task], BY_TASK[task]
    saved = load_checkpoint(out / "checkpoint.pt")
    network = build(settings.network, len(classes))
    network.load_state_dict(saved["best"]["state"])
    state = export.halve(fold(network))

    train, held_out = (material.samples(rows, task) for rows in (material.split.train, material.split.validation))
    logits, embeddings = predict(network, held_out.squares, preprocessing)
    temperature = export.best_temperature(logits, torch.from_numpy(held_out.labels))
    mask = np.array([name in malignant for name in classes])
    positive = mask[held_out.labels]
    score = _probabilities(logits, temperature)[:, mask].sum(axis=1)
    threshold = operating_threshold(positive, score, 0.95)
    check = _rendered(task, 20, CHECK_SEED)
    known = [train.squares]
    if settings.rendered_share:
        known.append(_rendered(task, RENDERED[task], TRAINING_SEED).squares)
    seen = np.concatenate([predict(network, squares, preprocessing)[1].numpy() for squares in known])
    unusual = novelty.fit(seen, embeddings.numpy())

    to.mkdir(parents=True, exist_ok=True)
    export.write_weights(to, state, unusual)
    export.write_graph(to, network, preprocessing.size)

    test = material.samples(material.split.test, task)
    logits, embeddings = predict(network, test.squares, preprocessing)
    groups = [row.group for row in material.split.test]
    told = held_out_report(_probabilities(logits, temperature), test.labels, groups, classes, malignant, threshold)
    told["novelty_false_alarms"] = round(float((unusual.score(embeddings.numpy()) >= 1 - FALSE_ALARMS).mean()), 4)
    rendered_logits, _ = predict(network, check.squares, preprocessing)
    right = rendered_logits.argmax(1).numpy() == check.labels
    card = Card(
        task=task,
        network=settings.network,
        version=version,
        classes=classes,
        malignant_classes=tuple(name for name in classes if name in malignant),
        preprocessing=preprocessing,
        temperature=temperature,
        thresholds={"malignant": threshold, "novelty": 1 - FALSE_ALARMS},
        training={
            "manifest": Path(experiment.manifest).name,
            "data_digest": material.digest,
            "terms": experiment.terms,
            "group": experiment.group,
            "split_grade": material.split.grade,
            "split": material.split.summary(),
            "set_aside": len(material.split.set_aside),
            "settings": {**asdict(settings), "start": Path(settings.start).parent.name},
            "best_epoch": saved["best"]["epoch"],
            "start": _start(settings),
            "parameters": parameter_count(network),
        },
        metrics={
            "held_out": told,
            "rendered_check": {"images": len(right), "right": int(right.sum()), "seed": CHECK_SEED},
        },
    )
    write_card(to, card)
    return load_bundle(to)


def _start(settings: Settings) -> str:
    """Where the weights came from before this run, an earlier run's included, for the card."""
    if settings.start:
        earlier = Settings(**load_checkpoint(Path(settings.start))["settings"])
        return f"{_start(earlier)}, then {earlier.epochs} epochs with {earlier.rendered_share:.0%} rendered"
    pretrained = settings.network == "mobilenet" and settings.pretrained
    return "ImageNet (torchvision IMAGENET1K_V1)" if pretrained else "random"


def _rendered(task: str, each: int, seed: int) -> Samples:
    labels = np.repeat(np.arange(len(TASKS[task])), each)
    return Samples(render_squares(task, TASKS[task], BY_TASK[task], each, seed), labels)


def _probabilities(logits: torch.Tensor, temperature: float) -> np.ndarray:
    return torch.softmax(logits / temperature, dim=1).numpy()
