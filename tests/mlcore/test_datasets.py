"""Manifests, grouped splits, and the gate that no answer leaks through."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcore import datasets
from mlcore.datasets import (
    LeakError,
    Row,
    fingerprint,
    folds,
    load_squares,
    near_pairs,
    read_manifest,
    refuse_leaks,
    split_rows,
)
from mlcore.manifest import ManifestError
from mlcore.preprocessing import Preprocessing

CLASSES = ("benign", "pro_b")


def picture(path: Path, seed: int, **save: object) -> None:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize((80, 80)).save(path, **save)


def manifest(folder: Path, rows: list[dict[str, str]]) -> Path:
    path = folder / "manifest.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def people(folder: Path, count: int = 20, each: int = 3) -> list[dict[str, str]]:
    rows = []
    for person in range(count):
        for number in range(each):
            name = f"p{person}-{number}.png"
            picture(folder / name, seed=person * 100 + number)
            rows.append({"path": name, "label": CLASSES[number % 2], "patient_id": f"P{person}"})
    return rows


def prepared(path: Path, **options: str | None) -> list[Row]:
    return [fingerprint(row) for row in read_manifest(path, "field", group=options.get("group", "patient_id"))]


def test_a_person_stands_on_one_side_only(tmp_path: Path) -> None:
    rows = prepared(manifest(tmp_path, people(tmp_path)))
    split = split_rows(rows, group="patient_id", seed=1)
    refuse_leaks(split)
    sides = [{row.group for row in side} for side in split.sides().values()]
    assert split.grade == "A"
    assert sum(len(side) for side in sides) == len(set.union(*sides)) == 20
    assert {row.label for row in split.test} == set(CLASSES)
    assert split.summary()["test"]["groups"] == 4


@pytest.mark.parametrize(("group", "grade"), [("patient_id", "A"), ("slide_id", "B"), ("block", "C"), (None, "D")])
def test_the_grade_says_what_the_groups_are(tmp_path: Path, group: str | None, grade: str) -> None:
    rows = people(tmp_path)
    if group:
        rows = [{**row, group: row["patient_id"]} for row in rows]
    assert split_rows(prepared(manifest(tmp_path, rows), group=group), group=group, seed=0).grade == grade


def given(tmp_path: Path) -> list[dict[str, str]]:
    """Rows that a person has split by hand, correctly."""
    sides = ["train"] * 6 + ["validation"] * 2 + ["test"] * 2
    return [{**row, "split": sides[int(row["patient_id"][1:])]} for row in people(tmp_path, count=10)]


def test_a_split_by_hand_is_taken_as_it_stands(tmp_path: Path) -> None:
    split = split_rows(prepared(manifest(tmp_path, given(tmp_path))), group="patient_id", seed=0)
    refuse_leaks(split)
    assert {row.group for row in split.test} == {"P8", "P9"}


def test_the_gate_refuses_a_person_on_two_sides(tmp_path: Path) -> None:
    rows = given(tmp_path)
    rows[0]["split"] = "test"
    with pytest.raises(LeakError, match="P0"):
        refuse_leaks(split_rows(prepared(manifest(tmp_path, rows)), group="patient_id", seed=0))


def test_the_gate_refuses_the_same_file_under_two_names(tmp_path: Path) -> None:
    rows = given(tmp_path)
    (tmp_path / rows[-1]["path"]).write_bytes((tmp_path / rows[0]["path"]).read_bytes())
    with pytest.raises(LeakError, match="sha256"):
        refuse_leaks(split_rows(prepared(manifest(tmp_path, rows)), group="patient_id", seed=0))


def test_the_gate_refuses_a_picture_saved_again(tmp_path: Path) -> None:
    rows = given(tmp_path)
    with Image.open(tmp_path / rows[0]["path"]) as original:
        original.resize((70, 70)).save(tmp_path / "again.jpg", quality=80)
    rows[-1]["path"] = "again.jpg"
    with pytest.raises(LeakError, match=r"nearly .*again\.jpg"):
        refuse_leaks(split_rows(prepared(manifest(tmp_path, rows)), group="patient_id", seed=0))


def test_the_gate_refuses_a_cluster_on_two_sides(tmp_path: Path) -> None:
    rows = [{**row, "near_duplicate_group": row["path"]} for row in given(tmp_path)]
    rows[0]["near_duplicate_group"] = rows[-1]["near_duplicate_group"] = "together"
    with pytest.raises(LeakError, match="together"):
        refuse_leaks(split_rows(prepared(manifest(tmp_path, rows)), group="patient_id", seed=0))


def test_twins_of_held_out_pictures_leave_training(tmp_path: Path) -> None:
    rows = prepared(manifest(tmp_path, people(tmp_path)))
    held_out = split_rows(rows, group="patient_id", seed=0).test[0]
    taught = next(row for row in split_rows(rows, group="patient_id", seed=0).train)
    rows[rows.index(taught)] = replace(taught, sha256=held_out.sha256)
    split = split_rows(rows, group="patient_id", seed=0)
    refuse_leaks(split)
    assert [row.path for row in split.set_aside] == [taught.path]


def test_too_few_groups_are_refused(tmp_path: Path) -> None:
    with pytest.raises(LeakError, match="too few"):
        split_rows(prepared(manifest(tmp_path, people(tmp_path, count=3))), group="patient_id", seed=0)


def test_few_groups_are_divided_as_far_as_they_go(tmp_path: Path) -> None:
    split = split_rows(prepared(manifest(tmp_path, people(tmp_path, count=5))), group="patient_id", seed=0)
    refuse_leaks(split)
    assert [len({row.group for row in side}) for side in split.sides().values()] == [3, 1, 1]


def test_validation_comes_from_training_where_a_split_by_hand_names_none(tmp_path: Path) -> None:
    rows = [{**row, "split": row["split"].replace("validation", "train")} for row in given(tmp_path)]
    split = split_rows(prepared(manifest(tmp_path, rows)), group="patient_id", seed=0)
    refuse_leaks(split)
    assert {row.group for row in split.test} == {"P8", "P9"}
    assert {row.label for row in split.validation} == set(CLASSES)
    assert not {row.group for row in split.validation} & {row.group for row in split.train}


@pytest.mark.parametrize(("kept", "words"), [("benign", "benign pictures only"), ("pro_b", "malignant pictures only")])
def test_the_gate_refuses_validation_of_one_kind(tmp_path: Path, kept: str, words: str) -> None:
    rows = prepared(manifest(tmp_path, given(tmp_path)))
    split = split_rows(rows, group="patient_id", seed=0)
    with pytest.raises(LeakError, match=words):
        refuse_leaks(replace(split, validation=[row for row in split.validation if row.label == kept]))


def test_folds_hold_every_picture_out_once(tmp_path: Path) -> None:
    rows = prepared(manifest(tmp_path, people(tmp_path)))
    splits = folds(rows, group="patient_id", count=5, seed=3)
    held_out = [row.path for split in splits for row in split.test]
    assert sorted(held_out) == sorted(row.path for row in rows)
    for split in splits:
        assert len(split.train) + len(split.test) == len(rows)
        assert not {row.group for row in split.train} & {row.group for row in split.test}
        assert split.grade == "A"
    assert [row.path for row in split_rows(rows, group="patient_id", seed=3).test] == [
        row.path for row in splits[0].test
    ]
    assert folds(rows, group="patient_id", count=5, seed=3) == splits
    assert folds(rows, group="patient_id", count=5, seed=4) != splits


def test_a_fold_sets_twins_of_its_held_out_pictures_aside(tmp_path: Path) -> None:
    rows = prepared(manifest(tmp_path, people(tmp_path)))
    with Image.open(rows[0].path) as original:
        original.resize((70, 70)).save(tmp_path / "again.png")
    rows[-1] = fingerprint(replace(rows[-1], path=tmp_path / "again.png"))
    for split in folds(rows, group="patient_id", count=5, seed=0):
        held_out = {row.path for row in split.test}
        aside = [twin.path for one, twin in ((rows[0], rows[-1]), (rows[-1], rows[0])) if one.path in held_out]
        assert [row.path for row in split.set_aside] == ([] if len(aside) == 2 else aside)


def test_folds_need_both_kinds_in_two_of_them(tmp_path: Path) -> None:
    rows = [row for row in people(tmp_path) if row["label"] == "pro_b" or row["patient_id"] == "P0"]
    with pytest.raises(LeakError, match="fewer than two of 5 folds hold benign"):
        folds(prepared(manifest(tmp_path, rows)), group="patient_id", count=5, seed=0)


def test_too_few_pictures_of_every_class_are_refused(tmp_path: Path) -> None:
    rows = people(tmp_path, count=8, each=1)
    rows = [{**row, "label": CLASSES[number % 2]} for number, row in enumerate(rows)]
    with pytest.raises(LeakError, match="no class has as many as 5"):
        split_rows(prepared(manifest(tmp_path, rows)), group="patient_id", seed=0)


def test_near_means_a_few_of_256_bits() -> None:
    def row(bits: int) -> Row:
        return Row(Path(), "benign", "P", fingerprint=np.packbits(np.arange(256) < bits).tobytes())

    rows = [row(0), row(datasets.NEAR), row(datasets.NEAR + 1)]
    assert near_pairs(rows[:1], rows) == [(0, 0), (0, 1)]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "wart"}, r"wart \(1\).*--map"),
        ({"path": "nowhere.png"}, "line 3: nowhere.png.*data check"),
        ({"patient_id": ""}, "nothing in patient_id.*line 3"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, str], words: str) -> None:
    rows = people(tmp_path, count=2)
    rows[1] |= change
    with pytest.raises(ManifestError, match=words):
        read_manifest(manifest(tmp_path, rows), "field", group="patient_id")


def test_labels_of_another_house_are_mapped_or_left_out(tmp_path: Path) -> None:
    rows = [{**row, "label": "Pro" if row["label"] == "pro_b" else "odd"} for row in people(tmp_path, count=1)]
    read = read_manifest(manifest(tmp_path, rows), "field", group="patient_id", mapping={"Pro": "pro_b", "odd": None})
    assert [row.label for row in read] == ["pro_b"]


def test_of_equal_lines_the_first_counts(tmp_path: Path) -> None:
    rows = people(tmp_path, count=2)
    path = manifest(tmp_path, [*rows, rows[0]])
    assert [row.path.name for row in read_manifest(path, "field", group="patient_id")] == [row["path"] for row in rows]


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no column 'slide'"):
        read_manifest(manifest(tmp_path, people(tmp_path, count=1)), "field", group="slide")


def test_squares_are_kept_and_a_picture_that_breaks_is_named(tmp_path: Path) -> None:
    rows = prepared(manifest(tmp_path, people(tmp_path, count=1)))
    squares = load_squares(rows, Preprocessing(size=16), tmp_path / "cache")
    assert (squares.shape, squares.dtype) == ((3, 16, 16, 3), np.uint8)
    for row in rows:
        row.path.write_bytes(b"broken")
    np.testing.assert_array_equal(load_squares(rows, Preprocessing(size=16), tmp_path / "cache"), squares)
    with pytest.raises(ManifestError, match=r"p0-0\.png"):
        load_squares(rows, Preprocessing(size=24), tmp_path / "cache")
    with pytest.raises(ManifestError, match=r"p0-0\.png cannot be read"):
        fingerprint(rows[0])
