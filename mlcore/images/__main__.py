"""``python -m mlcore.images measure``: how often the quality warnings are right."""

from __future__ import annotations

import argparse
import csv
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter

from .decoding import decode
from .quality import measure_quality

Change = Callable[[np.ndarray], np.ndarray]


def _blurred(radius: float) -> Change:
    return lambda pixels: np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def _exposed(factor: float) -> Change:
    return lambda pixels: np.clip(pixels.astype(np.float32) * factor, 0, 255).astype(np.uint8)


def _washed_out(share: float) -> Change:
    return lambda pixels: (pixels * share + pixels.mean() * (1 - share)).astype(np.uint8)


def _grey(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(pixels).convert("L").convert("RGB"))


def _cut_off(pixels: np.ndarray) -> np.ndarray:
    cut = pixels.copy()
    cut[len(cut) * 2 // 3 :] = 128
    return cut


CHANGES: dict[str, Change] = {
    "as it is": lambda pixels: pixels,
    "blurred, radius 1 px": _blurred(1),
    "blurred, radius 1.5 px": _blurred(1.5),
    "blurred, radius 2 px": _blurred(2),
    "blurred, radius 3 px": _blurred(3),
    "exposed × 1.4": _exposed(1.4),
    "exposed × 1.8": _exposed(1.8),
    "exposed × 0.4": _exposed(0.4),
    "exposed × 0.25": _exposed(0.25),
    "contrast × 0.3": _washed_out(0.3),
    "grey": _grey,
    "lower third missing": _cut_off,
}


def measure(manifest: Path, sample: int, seed: int) -> dict[str, dict[str, object]]:
    """For every change of a manifest's pictures: the share with any warning, and with each of them."""
    with manifest.open(newline="") as lines:
        paths = [row["path"] for row in csv.DictReader(lines)]
    random.Random(seed).shuffle(paths)
    warned: dict[str, Counter[str]] = {name: Counter() for name in CHANGES}
    seconds = 0.0
    for path in paths[:sample]:
        pixels = decode((manifest.parent / path).read_bytes())
        for name, change in CHANGES.items():
            changed = change(pixels)
            start = time.perf_counter()
            warnings = measure_quality(changed).warnings
            seconds += time.perf_counter() - start
            warned[name].update({"any": bool(warnings), **{sentence.split(":")[0]: 1 for sentence in warnings}})
    number = len(paths[:sample])
    report: dict[str, dict[str, object]] = {
        name: {warning: round(count / number, 4) for warning, count in counts.most_common() if count}
        for name, counts in warned.items()
    }
    report["cost"] = {
        "pictures": number,
        "milliseconds each": round(seconds / number / len(CHANGES) * 1e3, 2),
    }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m mlcore.images", description=__doc__)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("measure", help="how often quality warnings are right, on pictures with a manifest")
    command.add_argument("manifest", type=Path, nargs="+", help="CSV with a column path, relative to the file")
    command.add_argument("--sample", type=int, default=1000, help="pictures taken from each manifest (default 1000)")
    command.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    for manifest in arguments.manifest:
        print(json.dumps({str(manifest): measure(manifest, arguments.sample, arguments.seed)}, indent=1))


if __name__ == "__main__":
    main()
