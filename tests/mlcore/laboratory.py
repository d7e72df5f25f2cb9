"""A small laboratory: ten patients, four classes of fields, three noisy pictures of each, and its manifest."""

import csv
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcore.bundle import TASKS
from mlcore.experiment import Experiment, Material
from mlcore.training import Settings

Lines = list[dict[str, str]]


def picture(path: Path, seed: int, size: int = 64) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((size, size)).save(path)


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten patients, four classes, three pictures of each: 120 small noisy pictures, drawn once."""
    folder = tmp_path_factory.mktemp("drawn")
    for number in range(120):
        picture(folder / TASKS["field"][number % 4] / f"{number:03}.png", seed=number)
    return folder


@pytest.fixture
def laboratory(drawn: Path, tmp_path: Path) -> Path:
    shutil.copytree(drawn, tmp_path, dirs_exist_ok=True)
    return tmp_path


def lines() -> Lines:
    return [
        {"path": f"{(label := TASKS['field'][n % 4])}/{n:03}.png", "label": label, "patient_id": f"P{n // 12}"}
        for n in range(120)
    ]


def written(folder: Path, rows: Lines, *, separator: str = ",", encoding: str = "utf-8") -> Path:
    path = folder / "manifest.csv"
    with path.open("w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return path


def given() -> Lines:
    sides = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    return [{**row, "split": sides[n // 12]} for n, row in enumerate(lines())]


def material(
    folder: Path, *, group: str | None = "patient_id", mapping: dict[str, str | None] | None = None
) -> Material:
    """What training reads of the manifest that was written last."""
    settings = Settings(task="field", network="cnn", epochs=1)
    return Material.gather(Experiment(settings, str(folder / "manifest.csv"), group, mapping or {}), folder / "cache")
