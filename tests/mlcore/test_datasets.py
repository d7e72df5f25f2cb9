"""Manifests, grouped splits, and the gate that no answer leaks through."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcore.datasets import LeakError, ManifestError, Row, fingerprint, read_manifest, refuse_leaks, split_rows

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
    return [fingerprint(row) for row in read_manifest(path, CLASSES, group=options.get("group", "patient_id"))]


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"label": "wart"}, "line 3.*'wart' is no class.*--rename"),
        ({"path": "nowhere.png"}, "line 3.*no file nowhere.png"),
        ({"patient_id": ""}, "line 3.*patient_id is empty"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, change: dict[str, str], words: str) -> None:
    rows = people(tmp_path, count=2)
    rows[1] |= change
    with pytest.raises(ManifestError, match=words):
        read_manifest(manifest(tmp_path, rows), CLASSES, group="patient_id")


def test_labels_of_another_house_are_renamed(tmp_path: Path) -> None:
    rows = [{**row, "label": "Pro"} for row in people(tmp_path, count=1)]
    read = read_manifest(manifest(tmp_path, rows), CLASSES, group="patient_id", rename={"Pro": "pro_b"})
    assert {row.label for row in read} == {"pro_b"}


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="no column 'slide'"):
        read_manifest(manifest(tmp_path, people(tmp_path, count=1)), CLASSES, group="slide")
