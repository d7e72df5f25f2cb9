"""Fit one network on one split: a plain loop that can be stopped at any moment and resumed to the same result."""

from __future__ import annotations

import csv
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn
from tqdm import tqdm

from mlcore.augment import augment
from mlcore.metrics import macro
from mlcore.networks import PooledNetwork, build
from mlcore.preprocessing import Preprocessing

CURVES = ("loss", "accuracy", "precision", "recall", "specificity")
History = list[dict[str, dict[str, float]]]


class TrainingStopped(Exception):  # noqa: N818 - it was asked to, nothing went wrong
    """Training was asked to stop; the checkpoint holds every finished epoch."""


class ResumeError(ValueError):
    """The checkpoint belongs to a run with other settings or other data."""


class StartError(ValueError):
    """The run to start from may have been taught what is held out here."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that, with the data, decides the result. `rendered_share` of the samples are rendered pictures."""

    task: str
    network: str
    epochs: int
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    tempering: float = 0.5
    rendered_share: float = 0.06
    seed: int = 0
    pretrained: bool = True
    start: str = ""  # checkpoint of an earlier run on the same split, whose last weights are the beginning
    bfloat16: bool = False


@dataclass(frozen=True, slots=True)
class Samples:
    """Squares uint8 (N, S, S, 3) and class numbers (N,)."""

    squares: np.ndarray
    labels: np.ndarray


def fit(
    settings: Settings,
    classes: tuple[str, ...],
    preprocessing: Preprocessing,
    train: Samples,
    validation: Samples,
    rendered: Samples | None,
    out: Path,
    *,
    data_digest: str,
    resume: bool = False,
) -> Path:
    """Train and return the checkpoint's path, `out/checkpoint.pt`; its `best` state has the lowest validation loss.

    Each epoch draws all of its random numbers from (seed, epoch), so an epoch that was cut off is run again alike.
    Raises TrainingStopped on SIGINT or SIGTERM and ResumeError when `resume` meets a checkpoint of another run.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(settings.seed)
    network = build(settings.network, len(classes), pretrained=settings.pretrained and not settings.start)
    if settings.start:
        earlier = load_checkpoint(Path(settings.start))
        if earlier["data"] != data_digest or earlier["settings"]["seed"] != settings.seed:
            raise StartError(f"{settings.start} was trained on other data or another split; start from one on the same")
        network.load_state_dict(earlier["network"])
    network.to(device).to(memory_format=torch.channels_last)
    # A fresh head learns three times as fast as the layers under it, which start from ImageNet or from nothing.
    optimizer = torch.optim.AdamW(
        [
            {"params": network.features.parameters(), "lr": settings.learning_rate},
            {"params": network.head.parameters(), "lr": 3 * settings.learning_rate},
        ],
        weight_decay=settings.weight_decay,
    )
    steps = max(len(train.labels) // settings.batch, 1)
    rates = [settings.learning_rate, 3 * settings.learning_rate]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps * settings.epochs, pct_start=0.2)
    checkpoint = out / "checkpoint.pt"
    identity = {"settings": asdict(settings), "classes": list(classes), "data": data_digest}
    history: History = []
    best: dict[str, Any] = {"loss": float("inf")}
    if resume and checkpoint.exists():
        saved = load_checkpoint(checkpoint)
        saved["settings"] = asdict(Settings(**saved["settings"]))
        for key, value in identity.items():
            if saved[key] != value:
                raise ResumeError(f"{checkpoint} was made with other {key}; use another --out or the same options")
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        history, best = saved["history"], saved["best"]
    out.mkdir(parents=True, exist_ok=True)
    with _asked_to_stop() as asked:
        for epoch in range(len(history), settings.epochs):
            bar = tqdm(total=steps, desc=f"epoch {epoch + 1}/{settings.epochs}", unit="batch", mininterval=5)
            figures = _epoch(
                epoch, settings, network, optimizer, schedule, preprocessing, train, rendered, steps, asked, bar
            )
            logits, _ = predict(network, validation.squares, preprocessing)
            held_out = _curve_figures(logits, validation.labels, len(classes))
            history.append({"train": figures, "validation": held_out})
            if held_out["loss"] < best["loss"]:
                state = {key: value.detach().cpu().clone() for key, value in network.state_dict().items()}
                best = {"loss": held_out["loss"], "epoch": epoch + 1, "state": state}
            bar.set_postfix({"validation loss": f"{held_out['loss']:.3f}", "recall": f"{held_out['recall']:.3f}"})
            bar.close()
            _save_checkpoint(
                checkpoint,
                {
                    **identity,
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "history": history,
                    "best": best,
                },
            )
            write_curves(history, out)
    return checkpoint


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `fit` saved; only tensors and plain values are unpickled."""
    return dict(torch.load(path, map_location="cpu", weights_only=True))


@torch.inference_mode()
def predict(network: PooledNetwork, squares: np.ndarray, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and embeddings (N, D), float32 on the CPU, in evaluation mode and full precision."""
    network.eval()
    device = network.head.weight.device
    logits, embeddings = [], []
    for start in range(0, len(squares), 128):
        batch = _normalise(_unit(squares[start : start + 128]), preprocessing)
        answer = network(batch.to(device, memory_format=torch.channels_last))
        logits.append(answer.logits.float().cpu())
        embeddings.append(answer.embedding.float().cpu())
    return torch.cat(logits), torch.cat(embeddings)


def sampling_weights(labels: np.ndarray, classes: int, tempering: float) -> np.ndarray:
    """(N,) weights that draw class c in proportion to n_c ** tempering: 1 as they come, 0 all classes alike."""
    counts = np.bincount(labels, minlength=classes).astype(np.float64)
    weights = counts[labels] ** (tempering - 1)
    return np.asarray(weights / weights.sum())


def _epoch(
    epoch: int,
    settings: Settings,
    network: PooledNetwork,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.OneCycleLR,
    preprocessing: Preprocessing,
    train: Samples,
    rendered: Samples | None,
    steps: int,
    asked: list[int],
    bar: Any,
) -> dict[str, float]:
    torch.manual_seed(settings.seed * 100_003 + epoch)
    generator = torch.Generator().manual_seed(settings.seed * 100_003 + epoch)
    classes = network.head.out_features
    device = network.head.weight.device
    weights = sampling_weights(train.labels, classes, settings.tempering)
    squares, labels = [train.squares], train.labels
    if rendered is not None and settings.rendered_share:
        squares.append(rendered.squares)
        labels = np.concatenate([labels, rendered.labels])
        share = np.full(len(rendered.labels), settings.rendered_share / len(rendered.labels))
        weights = np.concatenate([weights * (1 - settings.rendered_share), share])
    order = torch.multinomial(torch.from_numpy(weights), steps * settings.batch, replacement=True, generator=generator)
    network.train()
    loss_of = nn.CrossEntropyLoss(label_smoothing=settings.label_smoothing)
    total, confusion = 0.0, np.zeros((classes, classes), dtype=np.int64)
    for rows in order.view(steps, settings.batch).numpy():
        pixels = np.stack([squares[0][i] if i < len(train.labels) else squares[1][i - len(train.labels)] for i in rows])
        truth = torch.from_numpy(labels[rows]).long()
        batch = _normalise(augment(_masked(_unit(pixels), preprocessing), generator), preprocessing)
        batch = batch.to(device, memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.bfloat16):
            logits = network(batch).logits
        loss = loss_of(logits.float(), truth.to(device))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        total += loss.item()
        confusion += confusion_matrix(truth.numpy(), logits.argmax(1).cpu().numpy(), labels=range(classes))
        bar.update()
        if asked:
            raise TrainingStopped(f"stopped in epoch {epoch + 1}; --resume goes on from its beginning")
    return {"loss": total / steps, **{name: macro(confusion)[name] for name in CURVES[1:]}}


def _curve_figures(logits: Tensor, truth: np.ndarray, classes: int) -> dict[str, float]:
    confusion = confusion_matrix(truth, logits.argmax(1).numpy(), labels=range(classes))
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(truth).long()).item()
    return {"loss": loss, **{name: macro(confusion)[name] for name in CURVES[1:]}}


def _unit(squares: np.ndarray) -> Tensor:
    return torch.from_numpy(squares).permute(0, 3, 1, 2).float().div_(255)


def _masked(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The scale bar's corner painted over before a picture is turned, or turning would bring it back into view."""
    width, height = preprocessing.mask_pixels()
    if width and height:
        images[:, :, -height:, -width:] = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
    return images


def _normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Preprocessing.normalise for a batch of tensors in 0..1."""
    mean = torch.tensor(preprocessing.mean).view(1, 3, 1, 1)
    std = torch.tensor(preprocessing.std).view(1, 3, 1, 1)
    return _masked(images, preprocessing).sub(mean).div_(std)


@contextmanager
def _asked_to_stop() -> Iterator[list[int]]:
    """A list that becomes non-empty when SIGINT or SIGTERM arrives, so that a step is never cut in half."""
    asked: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _save_checkpoint(path: Path, values: dict[str, Any]) -> None:
    """Written beside and moved over, so that a kill leaves the last whole checkpoint."""
    beside = path.with_suffix(".tmp")
    torch.save(values, beside)
    os.replace(beside, path)


def write_curves(history: History, out: Path) -> None:
    """`curves.csv` and `curves.png`: what training and validation did per epoch. Neither is a result."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with (out / "curves.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", *(f"{side}_{name}" for side in ("train", "validation") for name in CURVES)])
        for epoch, sides in enumerate(history, start=1):
            writer.writerow([epoch, *(f"{sides[side][n]:.6f}" for side in ("train", "validation") for n in CURVES)])
    figure, axes = pyplot.subplots(1, len(CURVES), figsize=(4 * len(CURVES), 3.4), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axis, name in zip(axes, CURVES, strict=True):
        for side in ("train", "validation"):
            axis.plot(epochs, [sides[side][name] for sides in history], label=side)
        axis.set(title=name, xlabel="epoch")
    axes[0].legend()
    figure.savefig(out / "curves.png", dpi=110)
    pyplot.close(figure)
