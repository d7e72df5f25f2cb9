"""Field or cell: told from the picture, and how well that was measured."""

import csv
import io
import json
import time

import numpy as np
import pytest
from PIL import Image

from mlcore import kind, kindfit
from mlcore.bundle import TASKS
from mlcore.phantom import render_cell, render_field, save_rendered

SEEDS = range(1_000_000, 1_000_005)


def test_rendered_pictures_are_told_apart():
    cells = [kind.guess_kind(render_cell(label, seed=seed))[0] for label in TASKS["cell"] for seed in SEEDS]
    fields = [kind.guess_kind(render_field(label, seed=seed))[0] for label in TASKS["field"] for seed in SEEDS]
    assert cells.count("cell") >= 0.97 * len(cells)
    assert fields.count("field") == len(fields)


@pytest.mark.parametrize("side", [96, 192, 700])
def test_the_number_of_pixels_does_not_matter(side):
    assert kind.guess_kind(render_cell("blast", seed=1_000_001, size=side))[0] == "cell"
    assert kind.guess_kind(render_field("pre_b", seed=1_000_001, size=side))[0] == "field"


def test_a_camera_frame_is_a_field_also_after_jpeg():
    file = io.BytesIO()
    save_rendered(render_field("benign", seed=1_000_002, size=(640, 480)), file, kind="field")
    guess, sure = kind.guess_kind(np.asarray(Image.open(file)))
    assert guess == "field"
    assert 0.9 < sure <= 1


@pytest.mark.parametrize("shape", [(32, 32), (32, 3000), (3000, 32), (301, 299)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_empty_pictures_of_any_shape_get_an_answer(shape, level):
    guess, sure = kind.guess_kind(np.full((*shape, 3), level, np.uint8))
    assert guess in ("field", "cell")
    assert 0.5 <= sure <= 1


def test_it_is_cheap():
    pixels = render_field("benign", seed=1, size=(1600, 1200))
    start = time.process_time()
    for _ in range(10):
        kind.guess_kind(pixels)
    assert (time.process_time() - start) / 10 < 0.06


def test_the_shipped_model_says_how_well_it_does_on_held_out_groups():
    held_out = json.loads(kind.MODEL.read_text())["held_out"]["by_source"]
    assert set(held_out) >= {"cells", "fields", "frames", "boxes", "rendered cells", "rendered fields"}
    for source, figures in held_out.items():
        assert figures["accuracy"] >= 0.98, source
        assert figures["pictures"] >= 100, source


def test_pieces_are_counted_and_sorted():
    mask = np.zeros((64, 64), bool)
    mask[30:34, 30:34] = True  # 16 in the middle
    mask[2:4, 2:60] = True  # a long one, 116
    mask[10, 10] = True
    mask[11, 11] = True  # touches only at a corner: another piece
    sizes, offsets = kind._pieces(mask)
    assert sizes.tolist() == [116, 16, 1, 1]
    assert offsets[1] == pytest.approx(0, abs=1e-9)
    assert offsets[0] > 0.4


def test_a_winding_piece_is_one_piece():
    mask = np.zeros((64, 64), bool)
    mask[::4] = True
    mask[1::8, 63] = mask[2::8, 63] = mask[3::8, 63] = True
    mask[5::8, 0] = mask[6::8, 0] = mask[7::8, 0] = True
    sizes, _ = kind._pieces(mask)
    assert sizes.size == 1
    assert sizes[0] == mask.sum()


def test_fitting_learns_from_manifests_and_holds_whole_groups_out(tmp_path, monkeypatch, capsys):
    for name, draw, labels, group in (
        ("cells", render_cell, TASKS["cell"], "patient_id"),
        ("fields", render_field, TASKS["field"], "block"),
    ):
        (tmp_path / name).mkdir()
        with (tmp_path / name / "manifest.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["path", "label", group])
            for number in range(24):
                label = labels[number % len(labels)]
                Image.fromarray(draw(label, seed=number)).save(tmp_path / name / f"{number}.png")
                writer.writerow([f"{number}.png", label, f"g{number % 8}"])
    monkeypatch.setattr(kindfit, "MODEL", tmp_path / "kind.json")
    monkeypatch.setattr(
        "sys.argv",
        ["kind", "fit", "--cells", f"{tmp_path}/cells/manifest.csv", "--fields", f"{tmp_path}/fields/manifest.csv"],
    )
    monkeypatch.setattr(kindfit, "RENDERED_SEEDS", 3)
    kindfit.main()
    printed = json.loads(capsys.readouterr().out)
    model = json.loads((tmp_path / "kind.json").read_text())
    assert model["held_out"] == printed
    held = sum(kindfit.held_out(f"cells/g{number % 8}") for number in range(24))
    assert 0 < held < 24
    assert printed["by_source"]["cells"]["pictures"] == held
    assert printed["by_source"]["cells"]["accuracy"] >= 0.9
    assert len(model["weights"]) == len(kind.measure(render_cell("blast", seed=1)))
