"""What training and held-out pictures did per epoch, as a table and as a picture. Neither is a result."""

from __future__ import annotations

import csv
from pathlib import Path

CURVES = ("loss", "accuracy", "precision", "recall", "specificity")
History = list[dict[str, dict[str, float]]]


def write_curves(history: History, out: Path) -> None:
    """`curves.csv` and `curves.png` in `out`; `history` holds one entry an epoch: side -> figure -> value."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [side for side in ("train", "validation") if side in history[0]]
    with (out / "curves.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["epoch", *(f"{side}_{name}" for side in shown for name in CURVES)])
        for epoch, sides in enumerate(history, start=1):
            writer.writerow([epoch, *(f"{sides[side][n]:.6f}" for side in shown for n in CURVES)])
    figure, axes = pyplot.subplots(1, len(CURVES), figsize=(4 * len(CURVES), 3.4), layout="constrained")
    epochs = range(1, len(history) + 1)
    for axis, name in zip(axes, CURVES, strict=True):
        for side in shown:
            axis.plot(epochs, [sides[side][name] for sides in history], label=side)
        axis.set(title=name, xlabel="epoch")
    axes[0].legend()
    figure.savefig(out / "curves.png", dpi=110)
    pyplot.close(figure)
