"""What `data check` calls usable is what training accepts; which task a manifest is for."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mlcore import data_check, kind
from mlcore.bundle import TASKS
from mlcore.data_check import Check
from mlcore.datasets import LeakError, folds, refuse_leaks, split_rows
from mlcore.experiment import Material
from mlcore.manifest import ManifestError
from mlcore.phantom import render_cell, render_field
from tests.mlcore.laboratory import drawn, given, laboratory, lines, material, written

__all__ = ["drawn", "laboratory"]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Noise is of neither kind, and what colours tell is measured elsewhere."""
    monkeypatch.setattr(data_check, "guess_kind", lambda pixels: ("field", 1.0))
    monkeypatch.setattr(data_check, "TELLING", 10_000)


def refused(read: Material) -> bool:
    """Whether training or cross-validation refuses to divide what was read."""
    try:
        refuse_leaks(split_rows(read.rows, group="patient_id", seed=0))
        folds(read.rows, group="patient_id", count=5, seed=0)
    except LeakError:
        return True
    return False


def told(found: Check) -> str:
    return " ".join(finding.words for finding in found.findings)


Change = Callable[[int, dict[str, str]], dict[str, str] | None]
CHANGES: dict[str, Change] = {
    "none": lambda n, row: row,
    "spelled otherwise": lambda n, row: {**row, "label": row["label"].upper().replace("_", " ")},
    "unknown label": lambda n, row: {**row, "label": "wart"} if n == 7 else row,
    "no label": lambda n, row: {**row, "label": ""} if n == 7 else row,
    "mapped label": lambda n, row: {**row, "label": "theirs"} if row["label"] == "pro_b" else row,
    "left out, its file gone": lambda n, row: {**row, "label": "else", "path": "gone.png"} if n == 7 else row,
    "file gone": lambda n, row: {**row, "path": "gone.png"} if n == 7 else row,
    "a folder": lambda n, row: {**row, "path": "benign"} if n == 7 else row,
    "no path": lambda n, row: {**row, "path": ""} if n == 7 else row,
    "no group": lambda n, row: {**row, "patient_id": " "} if n == 7 else row,
    "a letter": lambda n, row: {**row, "path": "letter.png"} if n == 7 else row,
    "cut off": lambda n, row: {**row, "path": "cut.png"} if n == 7 else row,
    "a tiny picture": lambda n, row: {**row, "path": "tiny.png"} if n == 7 else row,
    "said twice": lambda n, row: (
        {**row, "path": "benign/000.png", "label": "benign", "patient_id": "P0"} if n == 4 else row
    ),
    "said twice otherwise": lambda n, row: {**row, "path": "benign/000.png"} if n == 7 else row,
    "five patients": lambda n, row: row if n < 60 else None,
    "four patients": lambda n, row: row if n < 48 else None,
    "one class": lambda n, row: row if row["label"] == "benign" else None,
    "no benign": lambda n, row: row if row["label"] != "benign" else None,
    "benign in one patient": lambda n, row: row if row["label"] != "benign" or n < 12 else None,
    "few of each": lambda n, row: row if n % 12 < 4 and n < 48 else None,
    "sides": lambda n, row: {**row, "split": given()[n]["split"]},
    "torn": lambda n, row: {**row, "split": "test" if n == 7 else given()[n]["split"]},
    "strange side": lambda n, row: {**row, "split": "spare" if n == 7 else ""},
}


USABLE = {
    "none",
    "spelled otherwise",
    "mapped label",
    "left out, its file gone",
    "said twice",
    "five patients",
    "sides",
}
# Training reads these and refuses to divide those that are not usable; it does not even read the others.
READ = USABLE | {"four patients", "one class", "no benign", "benign in one patient", "few of each", "torn"}


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_called_usable_trains_and_nothing_else(laboratory: Path, change: str) -> None:
    (laboratory / "letter.png").write_text("a letter")
    whole = (laboratory / "pro_b/007.png").read_bytes()
    (laboratory / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (4, 4)).save(laboratory / "tiny.png")
    changed = [CHANGES[change](n, row) for n, row in enumerate(lines())]
    mapping = {"theirs": "pro_b", "else": None} if change in ("mapped label", "left out, its file gone") else {}
    manifest = written(laboratory, [row for row in changed if row])
    found = data_check.check(manifest, "field", group="patient_id", mapping=mapping)
    assert found.usable == (change in USABLE), found.findings
    if change in READ:
        read = material(laboratory, mapping=mapping)
        assert refused(read) != found.usable
        assert not found.usable or (found.images, found.data_digest) == (len(read.rows), read.digest)
    else:
        with pytest.raises(ManifestError, match=r"data check|\.png"):
            material(laboratory, mapping=mapping)


@pytest.mark.parametrize("task", ["cell", "field"])
def test_the_task_is_told_by_labels(laboratory: Path, task: str) -> None:
    labels = TASKS[task]
    rows = [{**row, "label": "wart" if n < 9 else labels[n % len(labels)]} for n, row in enumerate(lines())]
    found = data_check.check(written(laboratory, rows), None, group="patient_id", mapping={})
    assert found.task == task
    assert "111 of 120 labels name its classes" in told(found)


@pytest.mark.parametrize(("task", "render"), [("cell", render_cell), ("field", render_field)])
def test_where_labels_tell_nothing_the_pictures_do(
    tmp_path: Path, task: str, render: Callable[..., np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_check, "guess_kind", kind.guess_kind)
    rows = []
    for number in range(7):
        rows.append({"path": f"{number}.png", "label": "Befund"})
        label = TASKS[task][number % 4]
        Image.fromarray(render(label, seed=1_700_000 + number, size=160)).save(tmp_path / f"{number}.png")
    manifest = written(tmp_path, rows)
    found = data_check.check(manifest, None, group=None, mapping={})
    assert (found.task, found.usable) == (task, False)
    assert "its labels do not tell" in told(found)
    other = {"cell": "field", "field": "cell"}[task]
    assert data_check.check(manifest, other, group=None, mapping={}).task == other, "what a person says wins"


def test_where_nothing_tells_the_task_it_is_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ManifestError, match="--task field or --task cell"):
        data_check.check(written(tmp_path, [{"path": "1.png", "label": "x"}]), None, group=None, mapping={})


def test_pictures_of_the_other_kind_are_doubted(laboratory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data_check, "guess_kind", lambda pixels: ("cell", 0.9))
    found = data_check.check(written(laboratory, lines()), "field", group="patient_id", mapping={})
    assert "single cells" in told(found)
