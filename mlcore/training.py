"""Fit one network on one split: a plain loop that can be stopped at any moment and resumed to the same result."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import torch
from sklearn.metrics import confusion_matrix
from torch import Tensor, nn
from tqdm import tqdm

from mlcore.augment import augment
from mlcore.curves import CURVES, History, write_curves
from mlcore.metrics import macro
from mlcore.networks import PooledNetwork, build
from mlcore.pace import Pace
from mlcore.preprocessing import BY_TASK, Preprocessing

CHUNK = 128  # pictures of one forward pass when predicting


class TrainingStopped(Exception):  # noqa: N818 - it was asked to, nothing went wrong
    """Training was asked to stop; the checkpoint holds every finished epoch."""


class ResumeError(ValueError):
    """The checkpoint belongs to a run with other settings or other data."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that, with the data, decides the result.

    `size` is the side of the network's own pictures in pixels, `turns` how many quarter turns of each it answers for
    once it has learnt. Pictures grow to their size from `small_size` over the first `growing` share of the epochs:
    small ones cost a quarter and teach nearly as much (progressive resizing, Tan and Le 2021, arXiv 2104.00298).
    `tempering` draws class c in proportion to n_c ** tempering, which `prior_shift` takes back afterwards;
    `augmentation` widens or narrows all random changes; `rendered_share` of the samples are rendered pictures.
    """

    task: str
    network: str
    epochs: int
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.02
    label_smoothing: float = 0.05
    tempering: float = 0.5
    augmentation: float = 1.0
    small_size: int = 96
    growing: float = 0.5
    rendered_share: float = 0.06
    seed: int = 0
    pretrained: bool = True
    bfloat16: bool = False
    size: int = 128
    turns: int = 1

    @classmethod
    def of(cls, values: dict[str, Any]) -> Settings:
        """What a run or a card holds. A setting that an older one does not name has the default here.

        Raises ResumeError when they are a later version's.
        """
        try:
            return cls(**values)
        except TypeError as error:
            raise ResumeError(f"these are settings of another version of this program: {error}") from error

    @property
    def preprocessing(self) -> Preprocessing:
        """How the network sees a picture, for its card."""
        return replace(BY_TASK[self.task], size=self.size, turns=self.turns)

    def costs(self) -> list[float]:
        """About what each epoch costs, in a unit of its own: the pixels of a picture."""
        return [float(self.size_in(epoch) ** 2) for epoch in range(self.epochs)]

    def size_in(self, epoch: int) -> int:
        """Side of the pictures, in pixels, that epoch number `epoch` (from 0) learns from."""
        full = self.preprocessing.size
        share = min(epoch / max(round(self.growing * self.epochs), 1), 1.0)
        return min(full, self.small_size + 16 * round((full - self.small_size) * share / 16))


@dataclass(frozen=True, slots=True)
class Samples:
    """Squares uint8 (N, S, S, 3) and class numbers (N,)."""

    squares: np.ndarray
    labels: np.ndarray


def fit(
    settings: Settings,
    classes: tuple[str, ...],
    train: Samples,
    watched: Samples | None,
    rendered: Samples | None,
    out: Path,
    *,
    data_digest: str,
    resume: bool = False,
    after_epoch: Callable[[int, Tensor], None] | None = None,
) -> Path:
    """Train and return the checkpoint's path, `out/checkpoint.pt`.

    The rate falls to nothing by the last epoch, whose weights are the result: no epoch is chosen by its figures.
    `watched` pictures are only looked at, for the curves; `after_epoch` hears their logits (N, C), with the classes as
    often as the data hold them, and may raise to give up.
    Each epoch draws all of its random numbers from (seed, epoch), so an epoch that was cut off is run again alike.
    Raises TrainingStopped on SIGINT or SIGTERM and ResumeError when `resume` meets a checkpoint of another run.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(settings.seed)
    network = build(settings.network, len(classes), pretrained=settings.pretrained)
    network.to(device).to(memory_format=torch.channels_last)
    # A fresh head learns three times as fast as the layers under it, which start from ImageNet or from nothing.
    rates = [settings.learning_rate, 3 * settings.learning_rate]
    optimizer = torch.optim.AdamW(
        [{"params": network.features.parameters()}, {"params": network.head.parameters()}],
        weight_decay=settings.weight_decay,
    )
    steps = max(len(train.labels) // settings.batch, 1)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps * settings.epochs, pct_start=0.2)
    checkpoint = out / "checkpoint.pt"
    counts = np.bincount(train.labels, minlength=len(classes))
    identity = {
        "settings": asdict(settings),
        "classes": list(classes),
        "data": data_digest,
        "counts": counts.tolist(),
    }
    history: History = []
    if resume and checkpoint.exists():
        saved = load_checkpoint(checkpoint)
        saved["settings"] = asdict(Settings.of(saved["settings"]))
        for key, value in identity.items():
            if saved.get(key) != value:
                raise ResumeError(f"{checkpoint} was made with other {key}; use another --out or the same options")
        network.load_state_dict(saved["network"])
        optimizer.load_state_dict(saved["optimizer"])
        schedule.load_state_dict(saved["schedule"])
        history = saved["history"]
    out.mkdir(parents=True, exist_ok=True)
    preprocessing = settings.preprocessing
    pace = Pace(settings.costs())
    with _asked_to_stop() as asked:
        for epoch in range(len(history), settings.epochs):
            told = f"epoch {epoch + 1}/{settings.epochs}{pace.words(epoch - 1)}"
            bar = tqdm(total=steps, desc=told, unit="batch", mininterval=5)
            sides = _epoch(epoch, settings, network, optimizer, schedule, train, rendered, steps, asked, bar)
            if watched is not None:
                logits = predict(network, watched.squares, preprocessing)[0] + prior_shift(counts, settings.tempering)
                sides["validation"] = _curve_figures(logits, watched.labels, len(classes))
                bar.set_postfix({f"held-out {name}": f"{sides['validation'][name]:.3f}" for name in ("loss", "recall")})
            bar.close()
            history.append(sides)
            _save_checkpoint(
                checkpoint,
                {
                    **identity,
                    "network": network.state_dict(),
                    "optimizer": optimizer.state_dict(),
                    "schedule": schedule.state_dict(),
                    "history": history,
                },
            )
            write_curves(history, out)
            pace.note(epoch)
            if watched is not None and after_epoch is not None:
                after_epoch(epoch, logits)
            if asked:
                raise TrainingStopped(f"stopped after epoch {epoch + 1}")
    return checkpoint


def load_checkpoint(path: Path) -> dict[str, Any]:
    """What `fit` saved; only tensors and plain values are unpickled."""
    return dict(torch.load(path, map_location="cpu", weights_only=True))


def network_of(checkpoint: dict[str, Any]) -> PooledNetwork:
    """The network of a checkpoint, on the machine's device, with the classes as often as the data hold them."""
    settings = Settings.of(checkpoint["settings"])
    network = build(settings.network, len(checkpoint["classes"]), turns=settings.turns)
    network.load_state_dict(checkpoint["network"])
    with torch.no_grad():
        network.head.bias.add_(prior_shift(np.array(checkpoint["counts"]), settings.tempering))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return network.to(device).to(memory_format=torch.channels_last)


@torch.inference_mode()
def predict(network: PooledNetwork, squares: np.ndarray, preprocessing: Preprocessing) -> tuple[Tensor, Tensor]:
    """Logits (N, C) and embeddings (N, D), float32 on the CPU, in evaluation mode and full precision."""
    network.eval()
    device = network.head.weight.device
    logits, embeddings = [], []
    chunk = CHUNK // network.turns
    for start in range(0, len(squares), chunk):
        batch = _unit(squares[start : start + chunk]).to(device)
        answer = network(_normalise(batch, preprocessing).to(memory_format=torch.channels_last))
        logits.append(answer.logits.float().cpu())
        embeddings.append(answer.embedding.float().cpu())
    return torch.cat(logits), torch.cat(embeddings)


def prior_shift(counts: np.ndarray, tempering: float) -> Tensor:
    """(C,) to add to the logits of a network that was shown class c as often as n_c ** tempering, `counts` being n.

    By Bayes' rule its probabilities are those of a world with that many; n_c / n_c ** tempering times them, as shares,
    are those of the world that the data come from (Saerens, Latinne and Decaestecker 2002, doi
    10.1162/089976602753284446). A class that is not there was never learnt and is left where it is.
    """
    return torch.from_numpy((1 - tempering) * np.log(np.maximum(counts, 1))).float()


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
    train: Samples,
    rendered: Samples | None,
    steps: int,
    asked: list[int],
    bar: Any,
) -> dict[str, dict[str, float]]:
    """One pass: what training did, and the seconds that preparing pictures and the network's own steps took."""
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
    preprocessing, size = settings.preprocessing, settings.size_in(epoch)
    total, confusion = 0.0, np.zeros((classes, classes), dtype=np.int64)
    seconds = {"preparing": 0.0, "network": 0.0}
    for rows in order.view(steps, settings.batch).numpy():
        pixels = np.stack([squares[0][i] if i < len(train.labels) else squares[1][i - len(train.labels)] for i in rows])
        truth = torch.from_numpy(labels[rows]).long()
        began = time.perf_counter()
        batch = augment(
            _masked(_unit(pixels).to(device), preprocessing), generator, size=size, strength=settings.augmentation
        )
        batch = _normalise(batch, preprocessing).to(memory_format=torch.channels_last)
        prepared = time.perf_counter()
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
        seconds["preparing"] += prepared - began
        seconds["network"] += time.perf_counter() - prepared
        bar.update()
        if asked:
            raise TrainingStopped(f"stopped in epoch {epoch + 1}; the same command goes on from its beginning")
    figures = {"loss": total / steps, **{name: macro(confusion)[name] for name in CURVES[1:]}}
    return {"train": figures, "seconds": {**seconds, "images": float(steps * settings.batch)}}


def _curve_figures(logits: Tensor, truth: np.ndarray, classes: int) -> dict[str, float]:
    confusion = confusion_matrix(truth, logits.argmax(1).numpy(), labels=range(classes))
    loss = nn.functional.cross_entropy(logits, torch.from_numpy(truth).long()).item()
    return {"loss": loss, **{name: macro(confusion)[name] for name in CURVES[1:]}}


def _unit(squares: np.ndarray) -> Tensor:
    return torch.from_numpy(squares).permute(0, 3, 1, 2).float().div_(255)


def _masked(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The scale bar's corner painted over before a picture is turned, or turning would bring it back into view."""
    side = images.shape[-1]
    width, height = (-(-pixels * side // preprocessing.size) for pixels in preprocessing.mask_pixels())
    if width and height:
        images[:, :, -height:, -width:] = _channels(preprocessing.mean, images)
    return images


def _normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Preprocessing.normalise for a batch of tensors in 0..1, of any size."""
    mean, std = _channels(preprocessing.mean, images), _channels(preprocessing.std, images)
    return _masked(images, preprocessing).sub(mean).div_(std)


def _channels(values: tuple[float, float, float], like: Tensor) -> Tensor:
    return torch.tensor(values, device=like.device).view(1, 3, 1, 1)


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
