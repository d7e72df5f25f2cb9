"""`data check`: what a laboratory brings, and the words it gets."""

import shutil
from pathlib import Path

import pytest
from PIL import Image

from mlcore import colour, data_check
from mlcore.bundle import TASKS
from mlcore.data_check import Check
from mlcore.datasets import LeakError, refuse_leaks, split_rows
from tests.mlcore.laboratory import Lines, drawn, given, laboratory, lines, material, picture, written

__all__ = ["drawn", "laboratory"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise is of neither kind; what colours tell is measured where a test asks for it."""
    monkeypatch.setattr(data_check, "guess_kind", lambda pixels: ("field", 1.0))
    monkeypatch.setattr(data_check, "TELLING", 10_000)


@pytest.fixture
def _colours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_check, "TELLING", 50)
    monkeypatch.setattr(colour, "TREES", 10)


def checked(folder: Path, rows: Lines, *, group: str | None = "patient_id", **form: str) -> Check:
    return data_check.check(written(folder, rows, **form), "field", group=group, mapping={})


def codes(found: Check, weight: str) -> set[str]:
    return {finding.code for finding in found.findings if finding.weight == weight}


def words(found: Check, code: str) -> str:
    (finding,) = [finding for finding in found.findings if finding.code == code]
    return " ".join([finding.words, finding.advice, *finding.examples])


@pytest.mark.usefixtures("_colours")
def test_a_sound_manifest_is_ready(laboratory: Path) -> None:
    rows = lines()
    found = checked(laboratory, rows)
    assert (found.verdict, found.usable, found.findings) == ("ready to train", True, [])
    assert (found.images, found.grade, len(found.per_group)) == (120, "A", 10)
    assert found.per_class["pro_b"] == {"images": 30, "groups": 10}
    assert found.data_digest == material(laboratory).digest
    assert found.shortcuts["always the commonest class"] == 0.25


def test_everything_wrong_is_said_at_once(laboratory: Path) -> None:
    rows = lines()
    rows[0]["label"] = "Blasten"
    rows[1]["label"] = ""
    rows[2]["path"] = "nowhere.png"
    rows[3]["patient_id"] = ""
    rows[4]["path"] = ""
    whole = (laboratory / rows[5]["path"]).read_bytes()
    (laboratory / rows[5]["path"]).write_bytes(whole[: len(whole) // 2])
    (laboratory / rows[6]["path"]).write_text("a letter")
    rows[7]["path"] = rows[11]["path"]
    rows[7]["label"] = "benign"
    found = checked(laboratory, rows)
    assert codes(found, "stop") == {
        "unknown_labels",
        "empty_label",
        "missing_files",
        "empty_group",
        "empty_path",
        "unreadable",
        "listed_twice",
    }
    assert [told["path"] for told in found.unreadable] == [rows[5]["path"], rows[6]["path"]]
    assert "cut off" in found.unreadable[0]["why"]
    assert found.data_digest is None
    assert found.verdict == "cannot be used until 8 points marked STOP are put right"
    assert "line 5" in words(found, "empty_group")
    assert "line 4: nowhere.png" in words(found, "missing_files")


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ({"separator": ";"}, "semicolons"),
        ({"separator": "\t"}, "tabs"),
        ({"encoding": "cp1252"}, "Latin-1"),
        ({"encoding": "utf-16"}, "UTF-16"),
        ({"encoding": "utf-8-sig"}, ""),
    ],
)
def test_what_a_spreadsheet_exports_is_read(laboratory: Path, form: dict[str, str], told: str) -> None:
    rows = [
        {" Path ": row["path"].replace("/", "\\"), "LABEL": row["label"], "Patient ID": row["patient_id"]}
        for row in lines()
    ]
    for row in rows[:12]:
        row["Patient ID"] = "Müller-Ångström"
    found = checked(laboratory, rows, **form)
    assert (found.images, codes(found, "stop"), codes(found, "doubt")) == (120, set(), set())
    notes = " ".join(finding.words for finding in found.findings)
    assert told in notes
    assert "backslashes" in notes
    assert "Müller-Ångström" in {group["group"] for group in found.per_group}


def test_a_workbook_is_told_from_a_csv(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"PK\x03\x04 and so on")
    found = data_check.check(tmp_path / "list.csv", "cell", group=None, mapping={})
    assert "save the sheet as" in words(found, "no_manifest")


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"paht": "path", "label": "label"}, "If 'paht' is meant, head it 'path'"),
        ({"path": "path", "class": "label", "diagnosis": "label"}, "If 'class' is meant, head it 'label'"),
        ({"path": "path", "label": "label", "patient": "patient_id"}, "If 'patient' is meant, say --group patient"),
    ],
)
def test_a_missing_column_comes_with_the_nearest(laboratory: Path, columns: dict[str, str], told: str) -> None:
    rows = [{ours: row[theirs] for ours, theirs in columns.items()} for row in lines()]
    found = checked(laboratory, rows)
    assert told in " ".join(finding.words for finding in found.findings if finding.code == "missing_column")


def test_other_headings_are_understood_where_only_one_can_be_meant(laboratory: Path) -> None:
    rows = [{"filename": row["path"], "Class": row["label"], "patient_id": row["patient_id"]} for row in lines()]
    found = checked(laboratory, rows)
    assert (found.usable, found.images) == (True, 120)
    assert "'Class' was taken for it" in " ".join(finding.words for finding in found.findings)
    assert material(laboratory).digest == found.data_digest


def test_unknown_labels_come_with_a_map_to_correct(laboratory: Path) -> None:
    renamed = {"benign": "Benign", "pro_b": "Pro-B", "pre_b": "Pre B cells", "early_pre_b": "xyz"}
    rows = [{**row, "label": renamed[row["label"]]} for row in lines()]
    found = checked(laboratory, rows)
    told = words(found, "unknown_labels")
    assert "xyz (30)" in told
    assert "--map" in told
    assert "Pre B cells,pre_b" in told
    assert "xyz,-" in told
    assert "Pro-B → pro_b (30)" in words(found, "respelled")
    mapping = {"Pre B cells": "pre_b", "xyz": None, "Pro-B": "benin", "Others": "benign"}
    found = data_check.check(laboratory / "manifest.csv", "field", group="patient_id", mapping=mapping)
    assert "Is benign meant?" in words(found, "map_target")
    assert "'Others'" in words(found, "map_unused")
    assert (found.left_out, found.per_class["pre_b"]["images"]) == (30, 30)


def test_labels_of_the_other_task_are_recognised(laboratory: Path) -> None:
    found = checked(laboratory, [{**row, "label": "blast"} for row in lines()])
    assert "--task cell" in words(found, "unknown_labels")


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ("C:\\Users\\lab\\{}", "replace “C:\\Users\\lab\\” by nothing"),
        ("export/{}", "replace “export/” by nothing"),
        ("upper", "capitals and small letters count"),
        ("name", "put “benign/” before each path"),
        ("stem", "The ending is missing"),
    ],
)
def test_missing_files_come_with_the_likely_reason(laboratory: Path, wrong: str, told: str) -> None:
    rows = lines()
    own = rows[0]["path"]
    rows[0]["path"] = {"upper": own.upper(), "name": own.split("/")[1], "stem": "000"}.get(wrong, wrong.format(own))
    if "\\" in wrong:
        rows[0]["path"] = rows[0]["path"].replace("/", "\\")
    assert told in words(checked(laboratory, rows), "missing_files")


def test_absolute_paths_work_and_are_a_doubt(laboratory: Path) -> None:
    found = checked(laboratory, [{**row, "path": str(laboratory / row["path"])} for row in lines()])
    assert codes(found, "stop") == set()
    assert codes(found, "doubt") == {"absolute_paths"}


@pytest.mark.parametrize(
    ("group", "weight", "code"),
    [
        (lambda n: f"P{n}", "doubt", "no_real_group"),
        (lambda n: "P1", "stop", "one_group"),
        (lambda n: f"P{n % 3}", "stop", "few_groups"),
        (lambda n: f"P{max(0, n - 70) % 6}", "doubt", "one_large_group"),
        (lambda n: TASKS["field"][n % 4] + str(n // 60), "doubt", "groups_of_one_class"),
        (lambda n: ("p 1" if n == 3 else "P-1") if n < 12 else f"P{n // 12}", "doubt", "group_spelling"),
    ],
)
def test_doubtful_groups(laboratory: Path, group: object, weight: str, code: str) -> None:
    rows = [{**row, "patient_id": group(n)} for n, row in enumerate(lines())]  # type: ignore[operator]
    assert code in codes(checked(laboratory, rows), weight)


def test_without_a_group_the_likely_column_is_named(laboratory: Path) -> None:
    found = checked(laboratory, lines(), group=None)
    assert "Add --group patient_id" in words(found, "no_group")
    assert found.grade == "D"


def test_repeated_pictures_by_where_they_stand(laboratory: Path) -> None:
    rows = lines()
    shutil.copy(laboratory / rows[0]["path"], laboratory / rows[4]["path"])  # one patient, one class
    shutil.copy(laboratory / rows[13]["path"], laboratory / rows[25]["path"])  # two patients
    shutil.copy(laboratory / rows[36]["path"], laboratory / rows[37]["path"])  # two classes
    with Image.open(laboratory / rows[60]["path"]) as original:
        original.resize((80, 80)).save(laboratory / rows[72]["path"])
    found = checked(laboratory, rows)
    assert found.duplicates == {"exact": 3, "near": 1}
    assert "1 pair of equal pictures" in words(found, "duplicates_within_group")
    assert "037.png" in words(found, "duplicates_two_labels")
    across = [finding.words for finding in found.findings if finding.code == "duplicates_across_groups"]
    assert len(across) == 2
    assert codes(found, "stop") == set()


@pytest.mark.parametrize("leak", ["", "group", "copy", "near", "cluster"])
def test_it_stops_where_the_gate_of_training_refuses(laboratory: Path, leak: str) -> None:
    rows = [{**row, "near_duplicate_group": row["path"]} for row in given()]
    if leak == "group":
        rows[0]["split"] = "test"
    if leak == "copy":
        shutil.copy(laboratory / rows[0]["path"], laboratory / rows[119]["path"])
    if leak == "near":
        with Image.open(laboratory / rows[0]["path"]) as original:
            original.resize((80, 80)).save(laboratory / rows[119]["path"])
    if leak == "cluster":
        rows[0]["near_duplicate_group"] = rows[119]["near_duplicate_group"]
    found = checked(laboratory, rows)
    split = split_rows(material(laboratory).rows, group="patient_id", seed=0)
    if leak:
        with pytest.raises(LeakError):
            refuse_leaks(split)
    else:
        refuse_leaks(split)
    assert found.usable == (not leak)


def test_sides_in_other_words_are_understood_and_validation_is_made_where_it_is_missing(laboratory: Path) -> None:
    said = {"train": "Training", "validation": "training", "test": "TEST"}
    found = checked(laboratory, [{**row, "split": said[row["split"]]} for row in given()])
    assert (found.usable, found.divided) == (True, True)
    assert "held out for that" in words(found, "no_validation")
    split = split_rows(material(laboratory).rows, group="patient_id", seed=0)
    assert {row.group for row in split.test} == {"P8", "P9"}
    assert split.validation
    found = checked(laboratory, [{**row, "split": "train"} for row in lines()])
    assert "no test pictures" in words(found, "side_missing")


def test_split_columns_that_are_not_followed(laboratory: Path) -> None:
    rows = given()
    rows[0]["split"] = "holdout"
    rows[1]["split"] = ""
    found = checked(laboratory, rows)
    assert "'holdout' (1)" in words(found, "split_words")
    assert "split_gaps" in codes(found, "doubt")


def test_thin_and_absent_classes_and_small_pictures(laboratory: Path) -> None:
    rows = [row for n, row in enumerate(lines()) if row["label"] != "pro_b" and (row["label"] != "benign" or n < 40)]
    picture(laboratory / rows[0]["path"], seed=0, size=40)
    found = checked(laboratory, rows)
    assert "pro_b" in words(found, "absent_classes")
    assert "benign (10 pictures, 4 groups)" in words(found, "thin_classes")
    assert "the smallest of 40" in words(found, "small")
    only = checked(laboratory, [row for row in rows if row["label"] == "pre_b"])
    assert "one_class" in codes(only, "stop")


@pytest.mark.usefixtures("_colours")
def test_a_corner_that_betrays_the_class_is_named(laboratory: Path) -> None:
    shades = dict(zip(TASKS["field"], (0, 80, 160, 255), strict=True))
    for row in lines():
        with Image.open(laboratory / row["path"]) as original:
            original.paste((shades[row["label"]],) * 3, (0, 0, 16, 10))
            original.save(laboratory / row["path"])
    found = checked(laboratory, lines())
    assert "top left corner: 100.0%" in words(found, "edge_alone")
    assert "top right corner" not in words(found, "edge_alone")


@pytest.mark.usefixtures("_colours")
def test_colour_that_betrays_the_class_is_doubted(laboratory: Path) -> None:
    tints = dict(zip(TASKS["field"], ("red", "green", "blue", "white"), strict=True))
    for row in lines():
        with Image.open(laboratory / row["path"]) as original:
            tinted = Image.blend(original, Image.new("RGB", original.size, tints[row["label"]]), 0.5)
        tinted.save(laboratory / row["path"])
    assert "Colour alone" in words(checked(laboratory, lines()), "colour_alone")
