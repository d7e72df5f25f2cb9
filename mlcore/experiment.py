"""What a person asked to be trained, the material it needs, and the locks that keep two processes apart."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

from mlcore.bundle import TASKS
from mlcore.datasets import Row, decoded, fingerprint, load_squares, read_manifest, render_squares
from mlcore.preprocessing import Preprocessing
from mlcore.training import ResumeError, Samples, Settings
from mlcore.whole import save_text

# Seeds of rendered pictures: training has its own range below phantom.FIRST_UNTRAINED_SEED, the check lies above it.
TRAINING_SEED, CHECK_SEED = 500_000, 2_000_000
RENDERED = {"cell": 50, "field": 150}  # rendered training pictures of each class


@dataclass(frozen=True, slots=True)
class Experiment:
    """What was asked; kept as `run.json` beside the checkpoint. `terms` says where the data come from.

    `rename`: another house's label -> our class, or None for pictures to leave out, as of manifest.read_map.
    """

    settings: Settings
    manifest: str
    group: str | None
    rename: dict[str, str | None] = field(default_factory=dict)
    terms: str = ""

    def save(self, out: Path) -> None:
        """Raises ResumeError when `out` holds a run with other settings."""
        if (out / "run.json").exists() and Experiment.load(out).settings != self.settings:
            raise ResumeError(f"{out} holds a run with other settings; use another --out or the same options")
        save_text(out / "run.json", json.dumps(asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, out: Path) -> Experiment:
        """Raises FileNotFoundError when nothing was run in `out`, ResumeError when another version ran there."""
        values = json.loads((out / "run.json").read_text())
        try:
            return cls(**{**values, "settings": Settings.of(values["settings"])})
        except (KeyError, TypeError) as error:
            raise ResumeError(f"{out} holds a run of another version of this program; use another --out") from error


class RunHeldError(RuntimeError):
    """Another process is training in the same folder."""


@contextmanager
def hold(out: Path, *, alone: bool = True, wait: bool = False) -> Iterator[None]:
    """The folder of a run for this process: two would overwrite each other's checkpoints.

    Not `alone`, it is shared with others that ask for it so. Raises RunHeldError, or waits for the others with `wait`.
    """
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, (fcntl.LOCK_EX if alone else fcntl.LOCK_SH) | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError as busy:
            raise RunHeldError(f"another process is training in {out}; wait for it or choose another --out") from busy
        yield


@dataclass(frozen=True, slots=True)
class Material:
    """The rows of a manifest, each with its hashes, and `digest` (SHA-256, hex) over their files, labels and groups."""

    rows: list[Row]
    digest: str
    cache: Path

    @classmethod
    def gather(cls, experiment: Experiment, cache: Path) -> Material:
        """Every picture is decoded once, so that a broken one is found before training. Raises ManifestError."""
        task = experiment.settings.task
        rows = read_manifest(Path(experiment.manifest), task, group=experiment.group, mapping=experiment.rename)
        with ThreadPoolExecutor() as pool:
            rows = list(tqdm(pool.map(_looked_at, rows), total=len(rows), desc="look", unit="image", disable=None))
        return cls(rows, data_digest(rows), cache)

    def samples(self, rows: Sequence[Row], task: str, preprocessing: Preprocessing) -> Samples:
        """The rows' squares and class numbers."""
        labels = np.array([TASKS[task].index(row.label) for row in rows])
        return Samples(load_squares(rows, preprocessing, self.cache), labels)


def _looked_at(row: Row) -> Row:
    decoded(row)
    return fingerprint(row)


def data_digest(rows: Sequence[Row]) -> str:
    """SHA-256 (hex) over every row's file hash, label and group, in the manifest's order."""
    return hashlib.sha256(json.dumps([[row.sha256, row.label, row.group] for row in rows]).encode()).hexdigest()


def rendered_samples(
    task: str, preprocessing: Preprocessing, *, each: int | None = None, seed: int = TRAINING_SEED
) -> Samples:
    """`each` rendered pictures of every class (as many as training uses, if not given)."""
    each = each or RENDERED[task]
    labels = np.repeat(np.arange(len(TASKS[task])), each)
    return Samples(render_squares(task, TASKS[task], preprocessing, each, seed), labels)
