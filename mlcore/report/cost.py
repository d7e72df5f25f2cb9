"""What reading costs on this machine, measured in a process of its own that does nothing else."""

from __future__ import annotations

import multiprocessing
import os
import platform
import re
import resource
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from mlcore.bundle import GRAPH, WEIGHTS, Bundle, load_bundle

ALONE = 12  # pictures one after the other, of which the median counts
TOGETHER = 64


def cost(bundle: Bundle) -> dict[str, Any]:
    """Milliseconds for one decoded picture by itself, pictures a second in batches, and the peak of resident memory.

    One thread of onnxruntime, as a worker on a CPU runs it; the times hold for this machine and what else it does.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        measured = pool.submit(_measure, str(bundle.path)).result()
    return {
        "parameters": bundle.card.training.get("parameters"),
        "bytes": sum((bundle.path / name).stat().st_size for name in (WEIGHTS, GRAPH)),
        **measured,
        "engine": "onnxruntime",
        "threads": 1,
        "machine": f"{platform.system()} on {platform.machine()}, {os.cpu_count()} processors",
    }


def _measure(path: str) -> dict[str, float]:
    from mlcore.engines import MICRO_BATCH, Predictor

    predictor = Predictor([load_bundle(Path(path))], engine="onnxruntime", threads=1)
    card = predictor.bundles[0].card
    size = card.preprocessing.size
    noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    picture = predictor.prepare(noise, card.task)
    predictor.read_prepared([picture], card.task)
    each = []
    for _ in range(ALONE):
        start = time.perf_counter()
        predictor.read_prepared([picture], card.task)
        each.append(time.perf_counter() - start)
    start = time.perf_counter()
    for _ in range(TOGETHER // MICRO_BATCH):
        predictor.read_prepared([picture] * MICRO_BATCH, card.task)
    together = time.perf_counter() - start
    return {
        "milliseconds_per_image": 1000 * float(np.median(each)),
        "images_per_s": TOGETHER / together,
        "peak_memory_mb": _peak_kilobytes() / 1024,
    }


def _peak_kilobytes() -> int:
    """Of resident memory. Linux tells getrusage the peak of the process that started this one, if that was higher."""
    status = Path("/proc/self/status")
    if status.is_file():
        peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        if peak:
            return int(peak[1])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
