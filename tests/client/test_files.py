"""Which files are meant, and what they are called to the portal."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from leukolens_client import FileChanged
from leukolens_client.files import Mask, find, look_at, parcel, told_below


def make(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def test_a_folder_stands_for_the_pictures_and_zips_below_it(tmp_path: Path) -> None:
    top = tmp_path / "run7"
    make(top / "S26-1/a.JPG", top / "S26-1/b.tiff", top / "all.zip", top / "notes.txt", top / ".cache/c.png",
         top / ".d.png", top / "~$e.jpg")  # fmt: skip
    found = find([top])
    assert [name for _, name in found.files] == ["run7/all.zip", "run7/S26-1/a.JPG", "run7/S26-1/b.tiff"]
    assert found.left_alone == 1


def test_a_file_that_is_named_is_sent_whatever_it_is_called_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "S26-1/scan.dat", tmp_path / "S26-1/b.jpg")
    monkeypatch.chdir(tmp_path)
    assert [name for _, name in find(["S26-1/scan.dat", "./S26-1/scan.dat"]).files] == ["S26-1/scan.dat"]
    assert [name for _, name in find(["S26-1", "S26-1/b.jpg"]).files] == ["S26-1/b.jpg"]
    assert [name for _, name in find([tmp_path / "S26-1/b.jpg"]).files] == ["S26-1/b.jpg"]
    monkeypatch.chdir(tmp_path / "S26-1")
    assert [name for _, name in find(["../S26-1/b.jpg"]).files] == ["S26-1/b.jpg"]
    with pytest.raises(FileNotFoundError, match=r"There is no nothing\.jpg"):
        find(["nothing.jpg"])


def test_a_name_that_is_no_text_is_told_as_such(tmp_path: Path) -> None:
    raw = os.fsencode(tmp_path) + b"/field\xff.jpg"
    try:
        Path(os.fsdecode(raw)).write_bytes(b"x")
    except OSError:
        pytest.skip("not run: this disk takes no such name")
    assert told_below(tmp_path, Path(os.fsdecode(raw))) == f"{tmp_path.name}/field\ufffd.jpg"


def test_a_file_that_is_written_while_it_is_read_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"half")
    looks = iter([look_at(path)])

    def looked(each: Path) -> object:
        first = next(looks, None)
        if first is None:
            path.write_bytes(b"half and whole")
            return look_at(each)
        return first

    monkeypatch.setattr("leukolens_client.files.look_at", looked)
    with pytest.raises(FileChanged, match="still being written"):
        parcel(path, "a.jpg")


@pytest.mark.parametrize(
    ("mask", "name", "number"),
    [
        ("S##-####", "S26-0123 field 4.jpg", "S26-0123"),
        ("S##-####", "s26_0123.jpg", "S26-0123"),
        ("S##-####", "S260123/field.jpg", "S26-0123"),
        ("S##-####", "S26-01234.jpg", ""),
        ("S##-####", "XS26-0123.jpg", ""),
        ("S##-####", "S26-0123/S26-0124.jpg", ""),
        ("S##-####", "S26-0123/S26_0123 b.jpg", "S26-0123"),
        ("H#+/##", "H4711_26 a.jpg", "H4711/26"),
        ("@@-###", "hm-123.png", "HM-123"),
    ],
)
def test_a_mask_finds_one_number_or_none(mask: str, name: str, number: str) -> None:
    assert Mask(mask).find(name) == number


def test_a_mask_without_a_digit_is_refused() -> None:
    with pytest.raises(ValueError, match="no # for a digit"):
        Mask("ABC")
