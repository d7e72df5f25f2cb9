"""One Predictor, two engines: onnxruntime for CPUs, torch for GPUs and as the reference.

Both read the same half-precision weights, widened to float32, and the same preprocessing, so their probabilities
agree within 1e-4. torch is imported only when its engine is chosen.
"""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Protocol

import numpy as np
from safetensors.numpy import load_file

from mlcore.bundle import Bundle
from mlcore.explain import activation_maps
from mlcore.images import ImageRefused, Limits, decode
from mlcore.novelty import NoveltyScore
from mlcore.preprocessing import Preprocessing

ENGINES = ("auto", "torch", "onnxruntime")
MICRO_BATCH = 32  # pictures in one forward pass: bounds memory, and larger ones are no faster on a CPU

Prepared = dict[Preprocessing, np.ndarray]  # one image as uint8 (S, S, 3), for each way its readers want it


@dataclass(frozen=True, slots=True)
class Opinion:
    """What one model says of one image.

    `probabilities` by class, calibrated, sum 1; `malignant` their sum over the malignant classes; `novelty` the share
    of held-out blood pictures that are less unusual (0..1), `novel` from the card's threshold on; `activation` uint8
    (C, h, w), one class-activation map for each class in the card's order, all on one scale with zero as 0.
    """

    task: str
    network: str
    version: str
    digest: str
    probabilities: dict[str, float]
    malignant: float
    novelty: float
    novel: bool
    activation: np.ndarray


class _Session(Protocol):
    device: str

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """float32 (N, 3, S, S) -> logits (N, C), maps (N, C, h, w), embeddings (N, D)."""


class _OnnxSession:
    device = "cpu"

    def __init__(self, bundle: Bundle, threads: int | None) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 3
        if threads:
            options.intra_op_num_threads = threads
        self.session = onnxruntime.InferenceSession(str(bundle.graph_path), options, ["CPUExecutionProvider"])

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        logits, maps, embeddings = self.session.run(["logits", "maps", "embedding"], {"images": images})
        return logits, maps, embeddings


class _TorchSession:
    def __init__(self, bundle: Bundle, threads: int | None) -> None:
        import torch
        from safetensors.torch import load_file as load_tensors

        from mlcore.networks import build, fold

        if threads:
            torch.set_num_threads(threads)
        self.torch = torch
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        # Convolutions in TensorFloat-32, the default on recent GPUs, would differ from the CPU by more than 1e-4.
        torch.backends.cudnn.allow_tf32 = False
        card = bundle.card
        network = fold(build(card.network, len(card.classes), turns=card.preprocessing.turns))
        state = {
            k: v.float() for k, v in load_tensors(str(bundle.weights_path)).items() if not k.startswith("novelty.")
        }
        network.load_state_dict(state)
        self.network = network.to(self.device).to(memory_format=torch.channels_last).eval()

    def run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        with self.torch.inference_mode():
            tensor = self.torch.from_numpy(images).to(self.device, memory_format=self.torch.channels_last)
            logits, maps, embeddings = (part.float().cpu().numpy() for part in self.network(tensor))
        return logits, maps, embeddings


class _Model:
    """One bundle, loaded."""

    def __init__(self, bundle: Bundle, engine: str, threads: int | None) -> None:
        self.card = bundle.card
        self.session: _Session = (_TorchSession if engine == "torch" else _OnnxSession)(bundle, threads)
        self.novelty = NoveltyScore.from_tensors(load_file(str(bundle.weights_path)))
        self.malignant = np.array([name in bundle.card.malignant_classes for name in bundle.card.classes])

    def read(self, squares: np.ndarray) -> list[Opinion]:
        """uint8 (N, S, S, 3) -> an opinion of each."""
        card, steps = self.card, self.card.preprocessing
        images = np.stack([steps.normalise(square) for square in squares])
        at_once = MICRO_BATCH // steps.turns
        parts = [self.session.run(images[start : start + at_once]) for start in range(0, len(images), at_once)]
        logits, maps, embeddings = map(np.concatenate, zip(*parts, strict=True))
        probabilities = _softmax(logits / card.temperature)
        malignant = probabilities[:, self.malignant].sum(axis=1)
        novelty = self.novelty.score(embeddings, steps.masked(squares))
        return [
            Opinion(
                task=card.task,
                network=card.network,
                version=card.version,
                digest=card.digest,
                probabilities=dict(zip(card.classes, map(float, probabilities[i]), strict=True)),
                malignant=float(min(malignant[i], 1.0)),
                novelty=float(novelty[i]),
                novel=bool(novelty[i] >= card.thresholds["novelty"]),
                activation=activation_maps(maps[i]),
            )
            for i in range(len(squares))
        ]


class Predictor:
    """Reads images with every bundle given. Build it once in a process; `read` may be called from several threads.

    `engine`: "auto" takes torch where it is installed and CUDA answers, else onnxruntime. `threads`: of one forward
    pass; None leaves it to the engine (all cores). `limits`: on files to decode.
    `engine` and `device` then tell what was chosen.
    Raises ValueError for an unknown engine and RuntimeError when the one asked for is not installed.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        *,
        engine: str = "auto",
        threads: int | None = None,
        limits: Limits | None = None,
    ) -> None:
        if engine not in ENGINES:
            raise ValueError(f"there is no engine {engine!r}; choose from {', '.join(ENGINES)}")
        self.engine = _choose() if engine == "auto" else engine
        if importlib.util.find_spec(self.engine) is None:
            raise RuntimeError(
                f"the engine {self.engine} is not installed here; install it or set INFERENCE_ENGINE=auto"
            )
        self.bundles = tuple(bundles)
        self._limits = limits or Limits()
        self._models = [_Model(bundle, self.engine, threads) for bundle in bundles]
        self.device: str = self._models[0].session.device if self._models else "cpu"
        self._pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="decode")
        self._lock = threading.Lock()  # one forward pass at a time: two would only fight for the cores

    def read(self, images: Sequence[bytes | np.ndarray], task: str) -> list[list[Opinion]]:
        """For each image, the opinion of every bundle of `task`, in the order in which the bundles were given.

        `images`: files as bytes, or RGB pixels, uint8 (H, W, 3). Raises ImageRefused for the first image that cannot
        be read, with its place in `images` as the attribute `index`.
        """
        opinions: list[list[Opinion]] = []
        for start in range(0, len(images), MICRO_BATCH):
            part = images[start : start + MICRO_BATCH]
            prepared = self._pool.map(self._prepare, range(start, start + len(part)), part, repeat(task))
            opinions += self.read_prepared(list(prepared), task)
        return opinions

    def prepare(self, image: bytes | np.ndarray, task: str) -> Prepared:
        """Decode one image for `read_prepared`, in the caller's own thread and time. Raises ImageRefused."""
        steps = {model.card.preprocessing for model in self._models if model.card.task == task}
        if isinstance(image, bytes) and steps:
            # Twice the size leaves the resampling enough to average over.
            image = decode(image, limits=self._limits, at_least=2 * max(step.size for step in steps))
        return {step: step.square(image) for step in steps if isinstance(image, np.ndarray)}

    def read_prepared(self, images: Sequence[Prepared], task: str) -> list[list[Opinion]]:
        """`read` for at most MICRO_BATCH images that `prepare` has decoded."""
        models = [model for model in self._models if model.card.task == task]
        if not models or not images:
            return [[] for _ in images]
        by_model = []
        with self._lock:
            for model in models:
                steps = model.card.preprocessing
                by_model.append(model.read(np.stack([image[steps] for image in images])))
        return [list(row) for row in zip(*by_model, strict=True)]

    def _prepare(self, index: int, image: bytes | np.ndarray, task: str) -> Prepared:
        try:
            return self.prepare(image, task)
        except ImageRefused as refused:
            refused.index = index
            raise


def _choose() -> str:
    """torch where it is installed and an NVIDIA device is there, without importing torch to find out."""
    if importlib.util.find_spec("torch") is None or not any(Path("/dev").glob("nvidia[0-9]*")):
        return "onnxruntime"
    import torch

    return "torch" if torch.cuda.is_available() else "onnxruntime"


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp((logits - logits.max(axis=1, keepdims=True)).astype(np.float64))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))
