"""The loop: resumed runs end alike, a stop loses nothing that was finished."""

import csv
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlcore import training
from mlcore.augment import augment
from mlcore.preprocessing import Preprocessing
from mlcore.training import (
    ResumeError,
    Samples,
    Settings,
    TrainingStopped,
    fit,
    load_checkpoint,
    predict,
    sampling_weights,
)

CLASSES = ("benign", "early_pre_b", "pre_b", "pro_b")
SMALL = Preprocessing(size=32, mask_width=0.2, mask_height=0.1)
SETTINGS = Settings(task="field", network="cnn", epochs=3, batch=8, rendered_share=0.2)


def samples(seed: int, count: int = 24) -> Samples:
    """Squares whose brightness tells the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    squares = rng.integers(0, 60, (count, 32, 32, 3)) + labels[:, None, None, None] * 60
    return Samples(squares.astype(np.uint8), labels)


def run(out: Path, settings: Settings = SETTINGS, *, resume: bool = False, data: str = "d") -> Path:
    parts = samples(1), samples(2), samples(3, count=8)
    return fit(settings, CLASSES, SMALL, *parts, out, data_digest=data, resume=resume)


def interrupted(out: Path, monkeypatch: pytest.MonkeyPatch, *, epoch: int, number: int) -> None:
    """A run that a signal meets in the middle of an epoch."""
    real, steps = training.augment, []

    def augment_and_stop(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        steps.append(1)
        if len(steps) == 3 * epoch + 2:
            os.kill(os.getpid(), number)
        return real(images, generator)

    with monkeypatch.context() as patch:
        patch.setattr(training, "augment", augment_and_stop)
        with pytest.raises(TrainingStopped, match="--resume"):
            run(out)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    whole = load_checkpoint(run(tmp_path / "whole"))
    interrupted(tmp_path / "cut", monkeypatch, epoch=1, number=number)
    assert len(load_checkpoint(tmp_path / "cut" / "checkpoint.pt")["history"]) == 1
    resumed = load_checkpoint(run(tmp_path / "cut", resume=True))
    assert resumed["history"] == whole["history"]
    for key, value in whole["network"].items():
        assert torch.equal(value, resumed["network"][key]), key


def test_the_handlers_of_signals_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(tmp_path)
    assert signal.getsignal(signal.SIGTERM) is before


def test_resuming_with_other_settings_or_data_is_refused(tmp_path: Path) -> None:
    run(tmp_path)
    with pytest.raises(ResumeError, match="settings"):
        run(tmp_path, replace(SETTINGS, epochs=4), resume=True)
    with pytest.raises(ResumeError, match="data"):
        run(tmp_path, resume=True, data="other")


def test_it_learns_what_can_be_seen(tmp_path: Path) -> None:
    checkpoint = load_checkpoint(run(tmp_path, replace(SETTINGS, epochs=12, rendered_share=0.0)))
    losses = [sides["train"]["loss"] for sides in checkpoint["history"]]
    assert losses[-1] < 0.9 * losses[0]
    assert checkpoint["best"]["loss"] == min(sides["validation"]["loss"] for sides in checkpoint["history"])


def test_curves_are_written_for_both_sides(tmp_path: Path) -> None:
    run(tmp_path)
    rows = list(csv.DictReader((tmp_path / "curves.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for side in ("train", "validation"):
        assert {f"{side}_{name}" for name in ("loss", "accuracy", "precision", "recall", "specificity")} <= set(rows[0])
    assert (tmp_path / "curves.png").stat().st_size > 5000


def test_tempering_goes_from_as_they_come_to_all_alike() -> None:
    labels = np.array([0] * 90 + [1] * 10)
    share = {t: sampling_weights(labels, 2, t)[labels == 1].sum() for t in (1.0, 0.5, 0.0)}
    assert share[1.0] == pytest.approx(0.1)
    assert share[0.5] == pytest.approx(0.25)
    assert share[0.0] == pytest.approx(0.5)


def test_training_and_service_normalise_alike() -> None:
    squares = samples(5).squares
    seen: list[torch.Tensor] = []

    class Spy(torch.nn.Module):
        head = torch.nn.Linear(1, 1)

        def forward(self, images: torch.Tensor) -> object:
            seen.append(images)
            return type("Answer", (), {"logits": images[:, 0, 0], "embedding": images[:, 0, 0]})

    predict(Spy(), squares, SMALL)  # type: ignore[arg-type]
    served = np.stack([SMALL.normalise(square) for square in squares])
    np.testing.assert_allclose(seen[0].numpy(), served, atol=1e-6)
    assert not served[:, :, -4:, -7:].any()
    assert served[:, :, -5, :].any()


def test_augmenting_repeats_with_its_generator_and_stays_a_picture() -> None:
    images = torch.rand(6, 3, 48, 48)
    one, two, other = (augment(images, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(one, two)
    assert not torch.equal(one, other)
    assert one.shape == images.shape
    assert 0 <= one.min() <= one.max() <= 1
