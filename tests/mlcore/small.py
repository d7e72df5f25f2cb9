"""A set so small that a search or a cross-validation of it takes seconds; as a program, it is there to be killed."""

import csv
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from mlcore import training, tuning
from mlcore.bundle import TASKS
from mlcore.experiment import Experiment, Material
from mlcore.training import Settings
from mlcore.validation import validate

ROOT = Path(__file__).parents[2]
PATIENTS = 10
SETTINGS = Settings(
    task="field", network="cnn", epochs=2, batch=8, size=32, small_size=16, rendered_share=0.0, pretrained=False
)


def manifest(folder: Path) -> Path:
    """Four pictures of each patient, one of every class, which brightness tells."""
    rng = np.random.default_rng(0)
    with (folder / "manifest.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["path", "label", "patient_id"])
        for number in range(4 * PATIENTS):
            label = number % 4
            pixels = rng.integers(0, 90, (6, 6, 3)) + 50 * label
            Image.fromarray(pixels.astype(np.uint8)).resize((40, 40)).save(folder / f"{number:03}.png")
            writer.writerow([f"{number:03}.png", TASKS["field"][label], f"P{number // 4}"])
    return folder / "manifest.csv"


def asked(listed: Path, **settings: Any) -> tuple[Experiment, Material]:
    experiment = Experiment(replace(SETTINGS, **settings), str(listed), "patient_id")
    return experiment, Material.gather(experiment, listed.parent / "cache")


@pytest.fixture
def listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The manifest; pictures of 32 pixels, no drawn curves, one thread, as in the program."""
    monkeypatch.setattr(training, "write_curves", lambda history, out: None)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield manifest(tmp_path)
    torch.set_num_threads(threads)


def started(what: str, listed: Path, out: Path) -> subprocess.Popen[str]:
    """This program, at work by itself."""
    command = [sys.executable, "-m", "tests.mlcore.small", what, str(listed), str(out)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)


def killed(what: str, listed: Path, out: Path, *, at: str, times: int = 1) -> list[str]:
    """Start this program and kill it, as a power cut would, when it says `at` for that many times; what it had said."""
    said = []
    with started(what, listed, out) as program:
        assert program.stdout is not None
        for line in program.stdout:
            said.append(line.strip())
            if said[-1].startswith(at):
                times -= 1
            if not times:
                os.kill(program.pid, signal.SIGKILL)
                break
    assert program.returncode == -signal.SIGKILL, said
    return said


def _main(what: str, listed: Path, out: Path) -> None:
    training.write_curves = lambda history, out: None
    torch.set_num_threads(1)
    tuning.fit = _announced(tuning.fit)
    experiment, material = asked(listed)
    if what == "tune":
        tuning.tune(experiment, material, out, minutes=60, size=32, share=1.0)
    else:
        validate(experiment, material, out, count=3)


def _announced(fit: Callable[..., Path]) -> Callable[..., Path]:
    def announce(*arguments: Any, **options: Any) -> Path:
        print("a trial begins", flush=True)
        return fit(*arguments, **options)

    return announce


if __name__ == "__main__":
    _main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
