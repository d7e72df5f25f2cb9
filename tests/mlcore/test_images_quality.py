"""Quality warnings: silent on good pictures, right on spoilt ones, and cheap."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcore import phantom
from mlcore.images import __main__ as command
from mlcore.images import decode, measure_quality
from tests.hostile import encoded, smear


def rendered(seed: int) -> np.ndarray:
    return phantom.render_field("pre_b", seed=seed) if seed % 2 else phantom.render_cell("blast", seed=seed)


@pytest.mark.parametrize("seed", range(6))
def test_good_pictures_raise_no_warning(seed: int) -> None:
    quality = measure_quality(rendered(seed))
    assert quality.warnings == ()
    assert quality.focus > 0.3
    for share in (quality.brightness, quality.contrast, quality.saturation, quality.stained):
        assert 0 < share < 1


@pytest.mark.parametrize(
    ("change", "first_words"),
    [
        ("blurred, radius 2 px", "Out of focus: refocus and take it again."),
        ("exposed × 1.8", "Over-exposed: lower the light"),
        ("exposed × 0.4", "Too dark: raise the light"),
        ("grey", "No stain colour: "),
        ("lower third missing", "The lowest 33% of the picture are one flat colour"),
    ],
)
@pytest.mark.parametrize("seed", range(4))
def test_spoilt_pictures_are_told(change: str, first_words: str, seed: int) -> None:
    warnings = measure_quality(command.CHANGES[change](smear(224, 224, seed))).warnings
    assert any(warning.startswith(first_words) for warning in warnings), warnings


def test_a_blank_picture_has_one_warning() -> None:
    for value in (0, 128, 255):
        warnings = measure_quality(np.full((224, 224, 3), value, dtype=np.uint8)).warnings
        assert len(warnings) == 1
        assert warnings[0].startswith("Nothing can be seen")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_cut_jpeg_that_a_program_closed_again_is_told(share: float) -> None:
    """It is a whole file by its structure, and decoders fill what is missing with one colour."""
    data = encoded(rendered(3), "JPEG", quality=90)
    warnings = measure_quality(decode(data[: int(len(data) * share)] + b"\xff\xd9")).warnings
    assert any("the file may be incomplete" in warning for warning in warnings), warnings


def test_focus_is_judged_at_the_scale_of_reading() -> None:
    """A camera's 12 megapixels may be soft pixel by pixel and sharp where the networks look."""
    sharp = Image.fromarray(smear(400, 300))
    large = np.asarray(sharp.resize((4000, 3000), Image.Resampling.BICUBIC))
    assert measure_quality(large).warnings == ()
    blurred = np.asarray(sharp.resize((100, 75), Image.Resampling.BOX).resize((4000, 3000), Image.Resampling.BICUBIC))
    assert any(warning.startswith("Out of focus") for warning in measure_quality(blurred).warnings)


def test_extreme_shapes_are_judged() -> None:
    for shape in ((32, 20_000), (20_000, 32), (32, 32)):
        assert measure_quality(np.full((*shape, 3), 200, dtype=np.uint8)).warnings


def test_the_measuring_command_reports_each_change(tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / f"{seed}.png").write_bytes(encoded(rendered(seed), "PNG"))
    with (tmp_path / "manifest.csv").open("w", newline="") as out:
        csv.writer(out).writerows([["path"], *[[f"{seed}.png"] for seed in range(3)]])
    done = subprocess.run(
        [sys.executable, "-m", "mlcore.images", "measure", str(tmp_path / "manifest.csv")],
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    (report,) = json.loads(done.stdout).values()
    assert report["as it is"] == {}
    assert report["blurred, radius 3 px"]["Out of focus"] == 1.0
    assert report["cost"]["pictures"] == 3
