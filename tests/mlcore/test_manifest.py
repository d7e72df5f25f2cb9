"""Tables as spreadsheets write them, and maps from another house's labels."""

from pathlib import Path

import pytest

from mlcore.manifest import ManifestError, class_of, grade_of, locate, nearest, read_map, read_table

CLASSES = ("blast", "plasma_cell")


def table(folder: Path, data: bytes) -> Path:
    path = folder / "list.csv"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    ("data", "oddities"),
    [
        (b"path,label\n1.png,blast\n", 0),
        (b"\xef\xbb\xbfpath,label\r\n\r\n 1.png , blast \r\n", 0),
        (b"sep=;\npath;label\n1.png;blast\n", 1),
        (b"path\tlabel\n1.png\tblast\n", 1),
        (b"path|label\n1.png|blast\n", 1),
        ("path,label\n1.png,blast\n".encode("utf-16"), 1),
    ],
)
def test_any_export_of_a_spreadsheet_reads_alike(tmp_path: Path, data: bytes, oddities: int) -> None:
    read = read_table(table(tmp_path, data))
    assert (read.columns, read.rows) == (["path", "label"], [{"path": "1.png", "label": "blast"}])
    assert len(read.oddities) == oddities
    assert read.lines == [3 if data[:3] in (b"sep", b"\xef\xbb\xbf") else 2]


def test_letters_of_windows_are_read_and_pointed_at(tmp_path: Path) -> None:
    read = read_table(table(tmp_path, "path,label\n1.png,Bl\u00e4sten\n".encode("cp1252")))
    assert read.rows[0]["label"] == "Bl\u00e4sten"
    assert "line 2" in read.oddities[0]


def test_ragged_lines_are_counted(tmp_path: Path) -> None:
    read = read_table(table(tmp_path, b"path,label\na,b.png,blast\n2.png\n3.png,blast\n"))
    assert read.rows[1] == {"path": "2.png", "label": ""}
    assert "2 lines" in read.oddities[0]
    assert "line 2" in read.oddities[0]


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "no line in it"),
        (b"PK\x03\x04rest", "workbook"),
        (b"\x00\x01\x02", "not a text file"),
        (b"path,label,Label\n", "two columns are headed 'label'"),
    ],
)
def test_what_is_no_table_is_said(tmp_path: Path, data: bytes, words: str) -> None:
    with pytest.raises(ManifestError, match=words):
        read_table(table(tmp_path, data))


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="cannot be opened"):
        read_table(tmp_path / "none.csv")


def test_columns_go_by_other_spellings_and_by_the_only_other_name(tmp_path: Path) -> None:
    read = read_table(table(tmp_path, b"Image Path,cell-type,Patient ID\n"))
    assert [read.column(name) for name in ("path", "label", "patient_id")] == ["Image Path", "cell-type", "Patient ID"]
    with pytest.raises(ManifestError, match="If 'Patient ID' is meant, say --group Patient ID"):
        read.column("patient_no")
    with pytest.raises(ManifestError, match="If 'file' is meant, head it 'path'"):
        read_table(table(tmp_path, b"file,image\n")).column("path")
    with pytest.raises(ManifestError, match="If 'Diagnose' is meant, head it 'label'"):
        read_table(table(tmp_path, b"path;Diagnose\n")).column("label")


@pytest.mark.parametrize(
    "text",
    [
        "old,new\nBlasten,blast\nPlasma,plasma_cell\nArtefakt,-\n",
        "Blasten;blast\nPlasma;plasma_cell\nArtefakt;\n",
        '{"Blasten": "blast", "Plasma": "plasma_cell", "Artefakt": null}',
    ],
)
def test_a_map_is_a_table_or_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "map").write_text(text)
    assert read_map(tmp_path / "map") == {"Blasten": "blast", "Plasma": "plasma_cell", "Artefakt": None}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no pair"),
        ("a,b,c\n", "line 1: 3 cells"),
        ("a,blast\na,plasma_cell\n", "mapped twice"),
        ('{"a": "blast",}', "not JSON"),
        ('{"a": 3}', "stands for 3"),
    ],
)
def test_a_map_that_makes_no_sense_is_refused(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "map").write_text(text)
    with pytest.raises(ManifestError, match=words):
        read_map(tmp_path / "map")


def test_labels_become_classes() -> None:
    mapping = {"Plasmazelle": "Plasma Cell", "Artefakt": None, "blast": "plasma_cell", "odd": "wart"}
    told = [class_of(label, CLASSES, mapping) for label in ("Plasma-Cell", "Plasmazelle", "Artefakt", "blast")]
    assert told == ["plasma_cell", "plasma_cell", None, "plasma_cell"]
    for label in ("wart", "odd", ""):
        with pytest.raises(KeyError):
            class_of(label, CLASSES, mapping)
    assert nearest("Blasts", CLASSES) == "blast"
    assert nearest("neutrophil", CLASSES) is None


def test_paths_of_windows_are_paths(tmp_path: Path) -> None:
    assert locate(tmp_path, "a\\b.png") == locate(tmp_path, "a/b.png") == tmp_path / "a" / "b.png"


@pytest.mark.parametrize(
    ("group", "grade"),
    [("patient_id", "A"), ("Patient ID", "A"), ("subject", "A"), ("slide_id", "B"), ("block", "C"), (None, "D")],
)
def test_the_column_decides_the_grade(group: str | None, grade: str) -> None:
    assert grade_of(group) == grade
