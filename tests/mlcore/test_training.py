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
from mlcore.curves import write_curves
from mlcore.pace import Pace, in_words
from mlcore.training import (
    ResumeError,
    Samples,
    Settings,
    TrainingStopped,
    fit,
    load_checkpoint,
    network_of,
    predict,
    prior_shift,
    sampling_weights,
)


@pytest.fixture(autouse=True)
def _no_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Curves are drawn in one test: they take longer than these epochs."""
    monkeypatch.setattr(training, "write_curves", lambda history, out: None)


CLASSES = ("benign", "early_pre_b", "pre_b", "pro_b")
SETTINGS = Settings(task="field", network="cnn", epochs=3, batch=8, size=32, small_size=16, rendered_share=0.2)
SMALL = SETTINGS.preprocessing


def samples(seed: int, count: int = 24) -> Samples:
    """Squares whose brightness tells the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % len(CLASSES)
    squares = rng.integers(0, 60, (count, 32, 32, 3)) + labels[:, None, None, None] * 60
    return Samples(squares.astype(np.uint8), labels)


def run(out: Path, settings: Settings = SETTINGS, *, resume: bool = False, data: str = "d") -> Path:
    parts = samples(1), samples(2), samples(3, count=8)
    return fit(settings, CLASSES, *parts, out, data_digest=data, resume=resume)


def interrupted(out: Path, monkeypatch: pytest.MonkeyPatch, *, epoch: int, number: int) -> None:
    """A run that a signal meets in the middle of an epoch."""
    real, steps = training.augment, []

    def augment_and_stop(*arguments: object, **options: object) -> torch.Tensor:
        steps.append(1)
        if len(steps) == 3 * epoch + 2:
            os.kill(os.getpid(), number)
        return real(*arguments, **options)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(training, "augment", augment_and_stop)
        with pytest.raises(TrainingStopped, match="the same command goes on"):
            run(out)


def weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    return dict(load_checkpoint(checkpoint)["network"])


def figures(checkpoint: Path) -> list[dict[str, dict[str, float]]]:
    """The history without the seconds, which no run repeats."""
    return [{side: sides[side] for side in ("train", "validation")} for sides in load_checkpoint(checkpoint)["history"]]


@pytest.mark.parametrize(("epoch", "number"), [(1, signal.SIGINT), (2, signal.SIGTERM)])
def test_a_stopped_run_resumes_to_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, epoch: int, number: int
) -> None:
    whole = run(tmp_path / "whole")
    cut = tmp_path / "cut"
    interrupted(cut, monkeypatch, epoch=epoch, number=number)
    assert len(load_checkpoint(cut / "checkpoint.pt")["history"]) == epoch
    resumed = run(cut, resume=True)
    assert figures(resumed) == figures(whole)
    for key, value in weights(whole).items():
        assert torch.equal(value, weights(resumed)[key]), key


def test_a_signal_between_two_epochs_stops_too(tmp_path: Path) -> None:
    heard = []

    def stop(epoch: int, logits: torch.Tensor) -> None:
        heard.append((epoch, tuple(logits.shape)))
        os.kill(os.getpid(), signal.SIGTERM)

    parts = samples(1), samples(2), None
    with pytest.raises(TrainingStopped):
        fit(SETTINGS, CLASSES, *parts, tmp_path, data_digest="d", after_epoch=stop)
    assert heard == [(0, (24, 4))]
    assert len(load_checkpoint(tmp_path / "checkpoint.pt")["history"]) == 1


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


def test_a_run_from_before_a_setting_was_there_goes_on(tmp_path: Path) -> None:
    checkpoint = run(tmp_path, replace(SETTINGS, bfloat16=False))
    saved = load_checkpoint(checkpoint)
    del saved["settings"]["bfloat16"]
    torch.save(saved, checkpoint)
    assert network_of(saved).head.out_features == len(CLASSES)
    assert run(tmp_path, resume=True) == checkpoint
    with pytest.raises(ResumeError, match="settings"):
        run(tmp_path, replace(SETTINGS, bfloat16=True), resume=True)
    with pytest.raises(ResumeError, match=r"another version.*'lookahead'"):
        Settings.of({**saved["settings"], "lookahead": True})


def test_it_learns_what_can_be_seen(tmp_path: Path) -> None:
    settings = replace(SETTINGS, epochs=12, rendered_share=0.0)
    history = figures(fit(settings, CLASSES, samples(1, 48), samples(2), None, tmp_path, data_digest="d"))
    assert history[-1]["train"]["loss"] < 0.8 * history[0]["train"]["loss"]
    assert history[-1]["validation"]["accuracy"] > 0.5


def test_every_picture_may_be_learnt_and_none_watched(tmp_path: Path) -> None:
    checkpoint = fit(replace(SETTINGS, epochs=1), CLASSES, samples(1), None, None, tmp_path, data_digest="d")
    (sides,) = load_checkpoint(checkpoint)["history"]
    assert set(sides) == {"train", "seconds"}
    assert sides["seconds"]["images"] == 24
    assert min(sides["seconds"].values()) > 0


def test_pictures_grow_with_the_epochs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(task="cell", network="cnn", epochs=8, small_size=64, growing=0.75)
    assert [settings.size_in(epoch) for epoch in range(8)] == [64, 80, 80, 96, 112, 112, 128, 128]
    assert [replace(settings, size=160).size_in(epoch) for epoch in range(8)] == [64, 80, 96, 112, 128, 144, 160, 160]
    assert [replace(settings, size=48).size_in(epoch) for epoch in range(8)] == [48] * 8
    seen = []
    real = training.augment

    def look(images: torch.Tensor, generator: torch.Generator, **options: float) -> torch.Tensor:
        seen.append(options)
        return real(images, generator, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(training, "augment", look)
    run(tmp_path, replace(SETTINGS, augmentation=0.5))
    assert [options["size"] for options in seen[::3]] == [SETTINGS.size_in(epoch) for epoch in range(3)]
    assert {options["strength"] for options in seen} == {0.5}


def test_what_is_left_is_told_from_epochs_that_were_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    settings = Settings(task="cell", network="cnn", epochs=4, small_size=64, growing=0.5)
    assert settings.costs() == [64**2, 96**2, 128**2, 128**2]
    clock = iter([0.0, 100.0, 100.0, 160.0])
    monkeypatch.setattr("mlcore.pace.time.monotonic", lambda: next(clock))
    pace = Pace([1.0, 2.0, 3.0], runs=2)
    assert (pace.left(-1), pace.words(-1)) == (None, "")
    pace.start()
    pace.note(0)
    pace.note(1)
    assert pace.left(1, 1) == (3 + 6) * 60 / 3
    assert pace.words(2, 2) == ", about 0 s left"
    assert [in_words(seconds) for seconds in (40, 700, 11_100)] == ["40 s", "12 min", "3 h 05 min"]


def test_curves_are_written_for_both_sides(tmp_path: Path) -> None:
    write_curves(load_checkpoint(run(tmp_path))["history"], tmp_path)
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


@pytest.mark.parametrize("tempering", [0.0, 0.6, 1.0])
def test_the_shift_takes_the_sampling_back(tempering: float) -> None:
    """A reader that is right about the pictures as they were drawn is made right about them as they are."""
    labels = np.repeat([0, 1, 2], [700, 240, 60])
    likelihood = torch.tensor([[0.2, 0.7, 0.4], [0.5, 0.1, 0.3]])  # of two pictures under each class
    drawn = torch.from_numpy(
        np.array([sampling_weights(labels, 3, tempering)[labels == kind].sum() for kind in range(3)])
    ).float()
    logits = (likelihood * drawn).log() + 5
    true = likelihood * torch.tensor([0.7, 0.24, 0.06])
    shifted = (logits + prior_shift(np.array([700, 240, 60]), tempering)).softmax(1)
    torch.testing.assert_close(shifted, true / true.sum(1, keepdim=True))


def test_a_class_that_is_missing_keeps_its_place() -> None:
    assert prior_shift(np.array([0, 1, 100]), 0.5).tolist() == pytest.approx([0, 0, np.log(10)])


def test_held_out_logits_are_those_of_the_network_that_is_kept(tmp_path: Path) -> None:
    """What the search judges and the curves show expects the classes as the finished network does."""
    rng = np.random.default_rng(7)
    labels = np.array([0] * 16 + [1] * 4 + [2] * 3 + [3])
    uneven = Samples(rng.integers(0, 255, (24, 32, 32, 3)).astype(np.uint8), labels)
    heard: list[torch.Tensor] = []
    settings = replace(SETTINGS, epochs=1, tempering=0.0)
    checkpoint = load_checkpoint(
        fit(
            settings, CLASSES, uneven, samples(2), None, tmp_path,
            data_digest="d", after_epoch=lambda epoch, logits: heard.append(logits),
        )
    )  # fmt: skip
    network = network_of(checkpoint)
    logits, _ = predict(network, samples(2).squares, SMALL)
    torch.testing.assert_close(heard[-1], logits)
    lifted = network.head.bias - checkpoint["network"]["head.bias"]
    torch.testing.assert_close(lifted, torch.tensor([16.0, 4.0, 3.0, 1.0]).log())


def test_rendered_pictures_have_their_share(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[np.ndarray] = []
    real = training._unit
    monkeypatch.setattr(training, "_unit", lambda squares: drawn.append(squares) or real(squares))  # type: ignore[func-returns-value]
    black = Samples(np.zeros((8, 32, 32, 3), np.uint8), np.arange(8) % 4)
    ours = Samples(np.full((400, 32, 32, 3), 255, np.uint8), np.arange(400) % 4)
    fit(replace(SETTINGS, epochs=1), CLASSES, ours, None, black, tmp_path, data_digest="d")
    share = np.mean([not picture.any() for batch in drawn for picture in batch])
    assert 0.12 < share < 0.28


def test_training_and_service_normalise_alike() -> None:
    squares = samples(5).squares
    seen: list[torch.Tensor] = []

    class Spy(torch.nn.Module):
        head = torch.nn.Linear(1, 1)
        turns = 1

        def forward(self, images: torch.Tensor) -> object:
            seen.append(images)
            return type("Answer", (), {"logits": images[:, 0, 0], "embedding": images[:, 0, 0]})

    predict(Spy(), squares, SMALL)  # type: ignore[arg-type]
    served = np.stack([SMALL.normalise(square) for square in squares])
    np.testing.assert_allclose(seen[0].numpy(), served, atol=1e-6)
    assert not served[:, :, -4:, -7:].any()
    assert served[:, :, -5, :].any()
