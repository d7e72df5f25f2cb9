"""Pictures that are no blood, blood through other microscopes, and the squares of a detection set."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcore.outliers import INSTRUMENTS, AnnotationsError, foreign, non_blood, other_microscopes, other_task
from mlcore.phantom import FIRST_UNTRAINED_SEED, render_cell

HEADER = "path,label,x_min,y_min,x_max,y_max\n"


@pytest.fixture(scope="module")
def kinds() -> dict[str, np.ndarray]:
    return non_blood(3, 48, seed=1)


def test_every_kind_gives_squares_that_differ(kinds: dict[str, np.ndarray]) -> None:
    assert {"noise", "text", "landscape", "plain", "chart", "pattern", "photograph", "scan", "tissue"} == set(kinds)
    for kind, squares in kinds.items():
        assert (squares.shape, squares.dtype) == ((3, 48, 48, 3), np.uint8), kind
        assert (squares[0] != squares[1]).any(), kind
        assert (squares[1] != squares[2]).any(), kind


def test_a_seed_gives_the_same_pictures_again(kinds: dict[str, np.ndarray]) -> None:
    again, other = non_blood(3, 48, seed=1), non_blood(3, 48, seed=2)
    for kind, squares in kinds.items():
        assert (squares == again[kind]).all(), kind
        assert (squares != other[kind]).any(), kind


def test_the_other_task_is_drawn_at_its_own_scale() -> None:
    """A field shows many nuclei, a cell one: the dark share of the picture tells."""
    fields, cells = (other_task(task, 4, 96, seed=0) for task in ("cell", "field"))
    dark = [float((squares[..., 0] < 120).mean()) for squares in (fields, cells)]
    assert fields.shape == cells.shape == (4, 96, 96, 3)
    assert 0 < dark[0] < dark[1]


def test_each_instrument_changes_blood_in_its_own_way() -> None:
    blood = np.stack([render_cell("blast", seed=FIRST_UNTRAINED_SEED + i, size=64) for i in range(2)])
    seen = other_microscopes(blood, seed=0)
    assert set(seen) == set(INSTRUMENTS)
    means = {name: squares.mean(axis=(0, 1, 2)) for name, squares in seen.items()}
    assert means["halogen"][2] < 0.6 * blood.mean(axis=(0, 1, 2))[2]
    assert np.ptp(means["old camera"]) < np.ptp(means["telephone"])
    corner, centre = seen["telephone"][:, :6, :6].mean(), seen["telephone"][:, 28:36, 50:].mean()
    assert corner < centre
    assert (other_microscopes(blood, seed=0)["eosin"] == seen["eosin"]).all()


def annotated(tmp_path: Path, *lines: str) -> Path:
    pixels = np.full((60, 80, 3), 230, dtype=np.uint8)
    pixels[40:56, 4:20] = (90, 40, 140)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    manifest = tmp_path / "annotations.csv"
    manifest.write_text(HEADER + "\n".join(lines))
    return manifest


def test_cells_of_a_detection_set_are_cut_about_their_boxes(tmp_path: Path) -> None:
    manifest = annotated(tmp_path, "a.png,wbc,4,40,20,56", "a.png,rbc,30,10,40,20", "a.png,WBC,70,0,80,8")
    squares = foreign(manifest, 32, "cell")
    assert squares.shape == (2, 32, 32, 3)
    share = (squares[0][..., 0] < 160).mean()
    assert share == pytest.approx(1 / 1.9**2, abs=0.05)  # the box, whole, in a crop that had to move inwards
    assert (squares[1] > 200).all()
    assert foreign(manifest, 32, "cell", limit=1).shape == (1, 32, 32, 3)


def test_fields_of_a_detection_set_are_its_pictures_once_each(tmp_path: Path) -> None:
    manifest = annotated(tmp_path, "a.png,wbc,4,40,20,56", "a.png,rbc,30,10,40,20")
    squares = foreign(manifest, 64, "field")
    assert squares.shape == (1, 64, 64, 3)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("path,label\na.png,wbc", "no column x_max, x_min"),
        (HEADER + "a.png,rbc,1,1,9,9", "no box is labelled wbc"),
        (HEADER + "b.png,wbc,1,1,9,9", "no file b.png"),
        (HEADER + "a.png,wbc,1,one,9,9", "is no number"),
    ],
)
def test_annotations_that_cannot_be_used_are_told(tmp_path: Path, text: str, says: str) -> None:
    manifest = annotated(tmp_path)
    manifest.write_text(text)
    with pytest.raises(AnnotationsError, match=says):
        foreign(manifest, 32, "cell")
