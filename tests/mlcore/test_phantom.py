"""Rendered smears: the same for the same seed, told apart by morphology, marked as drawn."""

import csv
import io
import time

import numpy as np
import pytest
from PIL import Image

from mlcore.bundle import TASKS
from mlcore.phantom import FIELDS, STORIES, render_cell, render_field, rendered_smear, save_rendered
from mlcore.phantom.__main__ import pictures, sheet
from mlcore.phantom.cells import CELLS
from mlcore.phantom.files import NOTE

SEEDS = range(1_000_000, 1_000_012)


def nuclear(pixels):
    """Mask of nuclear violet: much denser in green than in blue, against the empty slide."""
    share = (pixels.astype(float) + 1) / (np.percentile(pixels.reshape(-1, 3), 92, axis=0) + 1)
    density = -np.log(share)
    return (density[..., 1] - density[..., 2] > 0.5) & (density[..., 1] > 0.75)


def middle(pixels):
    """The central part of a picture of one cell, without most of its neighbours."""
    side = pixels.shape[0]
    return pixels[side // 5 : -side // 5, side // 5 : -side // 5]


def median_over_seeds(label, measure):
    return float(np.median([measure(middle(render_cell(label, seed=seed))) for seed in SEEDS]))


def nuclear_area(pixels):
    return nuclear(pixels).sum()


def test_the_classes_are_those_of_the_networks():
    assert set(CELLS) == set(TASKS["cell"])
    assert set(FIELDS) == set(TASKS["field"])


@pytest.mark.parametrize("label", TASKS["cell"])
def test_a_cell_is_the_same_for_the_same_seed_and_another_for_another(label):
    first = render_cell(label, seed=7)
    assert first.shape == (192, 192, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, render_cell(label, seed=7))
    assert np.abs(first.astype(int) - render_cell(label, seed=8)).mean() > 5


@pytest.mark.parametrize("label", TASKS["field"])
def test_a_field_is_the_same_for_the_same_seed_and_another_for_another(label):
    first = render_field(label, seed=7)
    assert first.shape == (224, 224, 3)
    assert first.dtype == np.uint8
    assert np.array_equal(first, render_field(label, seed=7))
    assert np.abs(first.astype(int) - render_field(label, seed=8)).mean() > 5


def test_labels_do_not_share_their_randomness():
    assert not np.array_equal(render_cell("blast", seed=3)[:20], render_cell("monocyte", seed=3)[:20])


def test_sizes():
    assert render_cell("blast", seed=1, size=96).shape == (96, 96, 3)
    assert render_field("pre_b", seed=1, size=(320, 240)).shape == (240, 320, 3)


def test_an_unknown_class_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match=r"'leucocyte'.*basophil"):
        render_cell("leucocyte", seed=1)
    with pytest.raises(ValueError, match=r"'normal'.*benign"):
        render_field("normal", seed=1)
    with pytest.raises(ValueError, match=r"'CML'.*APL"):
        rendered_smear("CML", seed=1)


def test_nuclei_are_as_large_as_their_class_wants():
    area = {label: median_over_seeds(label, nuclear_area) for label in TASKS["cell"]}
    assert area["platelet"] < 0.6 * area["erythroblast"]
    assert area["erythroblast"] < area["lymphocyte"] < area["blast"]
    assert area["neutrophil"] < area["blast"]
    assert area["eosinophil"] < area["monocyte"]
    assert area["blast"] > 2 * area["erythroblast"]


def test_blasts_have_less_cytoplasm_than_monocytes():
    def nuclear_share(pixels):
        density = -np.log((pixels.astype(float) + 1) / 255)
        cell = density[..., 1] - density[..., 2] > 0.08
        return nuclear(pixels).sum() / cell.sum()

    assert median_over_seeds("blast", nuclear_share) > 1.3 * median_over_seeds("monocyte", nuclear_share)


def test_eosinophil_granules_are_the_reddest_cytoplasm():
    def redness(pixels):
        r, g, b = (pixels[..., channel].astype(float) for channel in range(3))
        return ((r - b > 35) & (g < 150)).mean()

    others = [median_over_seeds(label, redness) for label in TASKS["cell"] if label != "eosinophil"]
    assert median_over_seeds("eosinophil", redness) > 2 * max(others)


def test_plasma_cell_nuclei_lie_eccentric():
    def offset(pixels):
        """How far the densest eighth of the picture lies from its middle, in pixels."""
        green = pixels[..., 1].astype(float)
        rows, columns = np.nonzero(green <= np.percentile(green, 12.5))
        return np.hypot(rows.mean() - pixels.shape[0] / 2, columns.mean() - pixels.shape[1] / 2)

    assert median_over_seeds("plasma_cell", offset) > 1.5 * median_over_seeds("lymphocyte", offset)


def test_fields_differ_in_how_many_blasts_they_hold_and_how_they_are_stained():
    def violet(pixels):
        g, b = pixels[..., 1].astype(int), pixels[..., 2].astype(int)
        return ((b - g > 55) & (g < 175)).mean()

    share = {
        label: np.median([violet(render_field(label, seed=seed)) for seed in SEEDS])
        for label in ("benign", "early_pre_b", "pre_b")
    }
    assert share["benign"] < share["early_pre_b"] < share["pre_b"]

    def violet_to_pink(label):
        """Red left over where green is lowest: pro-B blasts stain pink, pre-B blasts violet."""
        found = []
        for seed in SEEDS:
            pixels = render_field(label, seed=seed).reshape(-1, 3).astype(int)
            excess = pixels[:, 2] - pixels[:, 1]
            found.append(np.median(pixels[excess >= np.percentile(excess, 98.5), 0]))
        return np.median(found)

    assert violet_to_pink("pro_b") > 1.25 * violet_to_pink("pre_b")


def test_a_rendered_file_says_so_in_its_corner_and_in_its_metadata(tmp_path):
    pixels = render_cell("neutrophil", seed=1)
    save_rendered(pixels, tmp_path / "cell.png", kind="cell", format="PNG")
    with Image.open(tmp_path / "cell.png") as picture:
        assert picture.info["Description"] == NOTE
        changed = (np.asarray(picture) != pixels).any(-1)
    assert changed[:16, :64].any()
    changed[:16, :64] = False
    assert not changed.any(), "the mark strays beyond its corner"

    file = io.BytesIO()
    save_rendered(pixels, file, kind="cell")
    assert Image.open(file).info["comment"] == NOTE.encode()


def test_the_mark_of_a_field_lies_where_the_networks_do_not_look(tmp_path):
    pixels = render_field("pre_b", seed=1)
    save_rendered(pixels, tmp_path / "field.png", kind="field", format="PNG")
    with Image.open(tmp_path / "field.png") as picture:
        rows, columns = np.nonzero((np.asarray(picture) != pixels).any(-1))
    assert rows.min() >= 224 - 26
    assert columns.min() >= 224 - 48


def test_only_cells_and_fields_can_be_saved(tmp_path):
    with pytest.raises(ValueError, match="a cell or a field, not 'slide'"):
        save_rendered(render_cell("blast", seed=1), tmp_path / "x.jpg", kind="slide")


def test_a_smear_tells_its_story():
    images = rendered_smear("APL", seed=2)
    assert sorted(image.label for image in images) == sorted(
        label for label, count in STORIES["APL"].items() for _ in range(count)
    )
    assert [image.filename for image in images] == [f"cell-{n:02d}.jpg" for n in range(1, len(images) + 1)]
    assert len({image.data for image in images}) == len(images)
    assert images == rendered_smear("APL", seed=2)
    assert images != rendered_smear("APL", seed=3)
    with Image.open(io.BytesIO(images[0].data)) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (256, 256)


def test_stories_hold_what_their_names_promise():
    def share(story, label):
        return STORIES[story].get(label, 0) / sum(STORIES[story].values())

    assert share("APL", "promyelocyte") > 0.5
    assert share("AML", "blast") > 0.2
    assert not {"blast", "promyelocyte"} & set(STORIES["reactive"])
    assert set().union(*STORIES.values()) >= set(TASKS["field"])


def test_drawing_is_fast_enough_to_train_on():
    def seconds(draw, labels):
        start = time.process_time()
        for label in labels:
            draw(label, seed=1)
        return (time.process_time() - start) / len(labels)

    assert seconds(render_cell, TASKS["cell"]) < 0.2
    assert seconds(render_field, TASKS["field"]) < 0.6


def test_pictures_for_a_check_come_with_their_manifest(tmp_path):
    pictures("field", tmp_path, count=2, seed=1_000_000)
    with (tmp_path / "manifest.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["label"] for row in rows] == [label for label in FIELDS for _ in range(2)]
    for row in rows:
        with Image.open(tmp_path / row["path"]) as picture:
            assert picture.size == (224, 224)


def test_the_sheet_shows_every_class(tmp_path):
    sheet(tmp_path / "docs" / "sheet.jpg", seed=1_000_005)
    assert (tmp_path / "docs" / "sheet.jpg").stat().st_size < 400_000
    with Image.open(tmp_path / "docs" / "sheet.jpg") as picture:
        assert picture.width >= 6 * 192
        assert picture.height >= 3 * 192
