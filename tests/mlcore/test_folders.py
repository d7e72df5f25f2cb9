"""Folders of pictures become a manifest; a folder given as a manifest is answered in words."""

import csv
import re
from pathlib import Path

import pytest

from mlcore.cli import main
from mlcore.folders import survey, write_manifest
from mlcore.manifest import ManifestError


def touched(folder: Path, *names: str) -> Path:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_a_folder_of_each_class(tmp_path: Path) -> None:
    touched(
        tmp_path / "set", "blast/1.JPG", "blast/2.png", "smudge cell/1.tif", "blast/Thumbs.db", "notes.txt", "9.png"
    )
    found = write_manifest(tmp_path / "set", tmp_path / "m.csv", group_from=None)
    assert rows(tmp_path / "m.csv") == [
        {"path": "set/blast/1.JPG", "label": "blast"},
        {"path": "set/blast/2.png", "label": "blast"},
        {"path": "set/smudge cell/1.tif", "label": "smudge cell"},
    ]
    assert (found.group, found.split) == (None, False)
    assert found.passed == {".txt files": 1, "pictures outside of any class folder": 1}


def test_folders_of_patients_name_the_group_and_sides_the_split(tmp_path: Path) -> None:
    touched(tmp_path, "train/blast/P1/1.png", "Val/blast/P2/1.png", "test/monocyte/P3/a/1.png")
    found = write_manifest(tmp_path, tmp_path / "m.csv", group_from=None)
    assert [(row["label"], row["patient_id"], row["split"]) for row in rows(tmp_path / "m.csv")] == [
        ("blast", "P2", "validation"),
        ("monocyte", "P3", "test"),
        ("blast", "P1", "train"),
    ]
    assert (found.group, found.groups, found.split) == ("patient_id", 3, True)


def test_names_tell_the_group(tmp_path: Path) -> None:
    touched(tmp_path, "blast/S7_1.png", "blast/S7_2.png", "monocyte/S8_1.png")
    write_manifest(tmp_path, tmp_path / "m.csv", group_from=re.compile(r"(?P<slide_id>S\d+)_"))
    assert [row["slide_id"] for row in rows(tmp_path / "m.csv")] == ["S7", "S7", "S8"]


@pytest.mark.parametrize(
    ("names", "pattern", "words"),
    [
        (["1.png"], None, "no picture in a folder named after its class"),
        (["blast/P1/1.png", "blast/2.png"], None, "1 of 2 pictures are in no patient's folder"),
        (["blast/S1_1.png", "blast/x.png"], r"(?P<slide_id>S\d+)_", "finds nothing in 1 of 2 paths"),
        (["blast/S1_1.png"], r"S\d+", "one named group"),
    ],
)
def test_what_cannot_be_told_is_said_and_nothing_is_written(
    tmp_path: Path, names: list[str], pattern: str | None, words: str
) -> None:
    touched(tmp_path, *names)
    with pytest.raises(ManifestError, match=words):
        write_manifest(tmp_path, tmp_path / "m.csv", group_from=re.compile(pattern) if pattern else None)
    assert not (tmp_path / "m.csv").exists()


def test_nothing_is_overwritten_or_written_nowhere(tmp_path: Path) -> None:
    touched(tmp_path, "blast/1.png", "m.csv")
    for out, words in (("m.csv", "there already"), ("no/m.csv", "no folder")):
        with pytest.raises(ManifestError, match=words):
            write_manifest(tmp_path, tmp_path / out, group_from=None)
    with pytest.raises(ManifestError, match="not a folder"):
        survey(tmp_path / "nowhere")


def test_a_folder_in_place_of_a_manifest_is_answered_in_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    touched(tmp_path, "blast/1.png", "blast/2.png", "monocyte/1.png")
    assert main(["data", "check", str(tmp_path)]) == 1
    said = capsys.readouterr().out
    assert "is a folder" in said
    assert re.search(r"blast +2", said)
    command = said.rpartition("Next: python -m mlcore ")[2].split()
    assert command == ["data", "manifest", str(tmp_path), "--out", str(tmp_path / "manifest.csv")]
    assert main(command) == 0
    assert f"Next: python -m mlcore data check {tmp_path / 'manifest.csv'}" in capsys.readouterr().out
    assert main(["data", "check", str(tmp_path)]) == 1
    assert f"data check {tmp_path / 'manifest.csv'}" in capsys.readouterr().out
