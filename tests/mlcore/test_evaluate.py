"""`python -m mlcore evaluate` as a laboratory runs it, on manifests as laboratories bring them."""

import csv
import hashlib
import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mlcore import colour, evaluation
from mlcore.bundle import SHIPPED, load_bundle, write_card
from mlcore.cli import main
from mlcore.datasets import Row, fingerprint
from mlcore.experiment import data_digest
from mlcore.metrics import HEADLINE, LEVELS
from mlcore.phantom import render_cell
from mlcore.report import asking, stress
from mlcore.report.asking import copies
from mlcore.sketch import SIZE, share_known, sketch

LABELS = ("blast", "lymphocyte", "neutrophil", "promyelocyte")
Lines = list[dict[str, str]]


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Forty rendered cells of four classes and five patients."""
    folder = tmp_path_factory.mktemp("drawn")
    for number in range(40):
        pixels = render_cell(LABELS[number % 4], seed=1_700_000 + number, size=96)
        Image.fromarray(pixels).save(folder / f"{number:02}.png")
    return folder


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colour, "TREES", 8)


def lines() -> Lines:
    return [{"path": f"{n:02}.png", "label": LABELS[n % 4], "patient_id": f"P{n // 8}"} for n in range(40)]


def written(folder: Path, rows: Sequence[dict[str, str]], *, separator: str = ",", encoding: str = "utf-8") -> Path:
    path = folder / "M.csv"
    with path.open("w", newline="", encoding=encoding) as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]), delimiter=separator)
        writer.writeheader()
        writer.writerows(rows)
    return path


def evaluated(manifest: Path, out: Path, *options: str, bundle: str = "cell-mobilenet") -> dict[str, Any]:
    command = ["evaluate", "--bundle", bundle, "--manifest", str(manifest), "--out", str(out), *options]
    assert main(command) == 0
    assert "</html>" in (out / "report.html").read_text(encoding="utf-8")

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    report: dict[str, Any] = json.loads((out / "report.json").read_text(encoding="utf-8"), parse_constant=refuse)
    return report


def test_everything_a_report_promises_and_a_summary_in_words(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module, name, value in (
        (evaluation, "SAMPLE", 4), (evaluation, "RARE_KIND", 2), (evaluation, "EXPLAINED", 3),
        (stress, "EACH", 1), (stress, "THROUGH", 2), (stress, "CORRUPTIONS", stress.CORRUPTIONS[:3]),
    ):  # fmt: skip
        monkeypatch.setattr(module, name, value)
    manifest = written(drawn, lines())
    report = evaluated(manifest, tmp_path / "out", "--group", "patient_id", "--prevalence", "0.03")
    for name in HEADLINE:
        assert set(report[name]) == {"value", "low", "high"}
        assert report[name]["low"] <= report[name]["value"] <= report[name]["high"]
    for key in ("sensitivity_at_specificity", "specificity_at_sensitivity"):
        assert list(report[key]) == list(LEVELS)
        assert {"sensitivity", "specificity", "threshold", "low", "high"} == set(report[key]["0.95"])
    assert [patient["group"] for patient in report["patients"]] == [f"P{n}" for n in range(5)]
    for patient in report["patients"]:
        assert patient["blast_share"]["labelled"] == 0.25
        assert 0 <= patient["blast_share"]["predicted"] <= 1
    assert set(report["networks"]) == {"mobilenet", "cnn", "both", "colour"}
    assert report["identity"]["siblings"][0]["bundle"] == "cell-cnn"
    assert report["identity"]["digest"] == load_bundle("cell-mobilenet").card.digest
    assert report["operating"]["threshold"] == pytest.approx(
        load_bundle("cell-mobilenet").card.thresholds["malignant"], abs=1e-4
    )
    assert [entry["prevalence"] for entry in report["operating"]["prevalence"]] == [0.03]
    assert report["basis"] == "external"
    assert report["data"]["grade"] == "A"
    assert str(drawn) not in json.dumps(report)
    for part in ("folds", "folds_summary", "search", "curves"):
        assert report[part] is None
        assert report["missing"][part]
    assert set(report["robustness"]["corruptions"]) == set(stress.CORRUPTIONS)
    assert isinstance(report["robustness"]["mean_loss_medium"], float)
    assert report["novelty"]["against"]["not blood"]["images"] == 9
    assert report["explanation"]["images"] == 3
    assert report["cost"]["milliseconds_per_image"] > 0
    told = capsys.readouterr()
    assert "40 pictures of 5 patients, grade A" in told.out
    assert "Research use only" in told.out
    assert "malignant AUROC" in told.out
    assert "MobileNetV2 less SmearCNN" in told.out
    assert str(tmp_path / "out" / "report.html") in told.out
    assert "read:" in told.err


def test_what_cannot_be_read_is_counted_and_listed_and_the_rest_is_read(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (drawn / "text.png").write_text("this is no picture")
    (drawn / "cut.png").write_bytes((drawn / "00.png").read_bytes()[:300])
    (drawn / "empty.png").write_bytes(b"")
    bad = ["text.png", "gone.png", "cut.png", "", "empty.png", "."]
    rows = lines() + [{"path": path, "label": "blast", "patient_id": "P0"} for path in bad]
    report = evaluated(written(drawn, rows), tmp_path, "--group", "patient_id", "--quick")
    assert report["data"]["images"] == 40
    assert sorted(entry["path"] for entry in report["data"]["unreadable"]) == sorted(bad)
    assert all(entry["why"] for entry in report["data"]["unreadable"])
    assert "! 6 pictures could not be read" in capsys.readouterr().out
    for part in ("robustness", "novelty", "explanation", "cost"):
        assert report[part] is None
        assert "--quick" in report["missing"][part]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_blasts_against_others_under_other_names(drawn: Path, tmp_path: Path, form: str) -> None:
    rows = [
        {
            **line,
            "label": {"blast": "Lymphoblast", "lymphocyte": "HEM", "neutrophil": "artefact"}.get(line["label"], "?"),
        }
        for line in lines()
        if line["label"] != "promyelocyte"
    ]
    pairs = {"lymphoblast": "blast", "HEM": "Lymphocyte", "artefact": "-", "never": "nothing"}
    path = tmp_path / f"map.{form}"
    table = "theirs,ours\n" + "".join(f"{old},{new}\n" for old, new in pairs.items())
    path.write_text(json.dumps(pairs) if form == "json" else table)
    report = evaluated(written(drawn, rows), tmp_path, "--group", "patient_id", "--map", str(path), "--quick")
    data = report["data"]
    assert data["per_class"] == {"blast": {"images": 10, "groups": 5}, "lymphocyte": {"images": 10, "groups": 5}}
    assert data["mapped"] == {"Lymphoblast": "blast", "HEM": "lymphocyte"}
    assert data["left_out"] == {"artefact": 10}
    assert len(data["absent_classes"]) == 10
    for name in HEADLINE:
        assert report[name]["value"] is not None
    assert any("'never'" in warning for warning in report["warnings"])
    assert report["per_class"]["monocyte"]["n"] == 0


def test_labels_that_are_no_class_are_left_out_loudly(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = lines()
    rows[0]["label"], rows[1]["label"] = "ghost cell", ""
    report = evaluated(written(drawn, rows), tmp_path, "--group", "patient_id", "--quick", "--alone")
    assert report["data"]["left_out"] == {"ghost cell": 1, "(no label)": 1}
    assert "! 2 pictures left out, for their labels are no classes" in capsys.readouterr().out
    assert set(report["networks"]) == {"mobilenet", "colour"}


def test_excel_writes_it_and_it_is_read(drawn: Path, tmp_path: Path) -> None:
    rows = [
        {"File Name": f".\\{line['path']}", "Cell Type": line["label"].upper(), "Patient ID": line["patient_id"]}
        for line in lines()
    ]
    manifest = written(drawn, rows, separator=";", encoding="utf-16")
    report = evaluated(manifest, tmp_path, "--group", "patient_id", "--quick", "--alone")
    assert report["data"]["images"] == 40
    assert report["data"]["grade"] == "A"
    assert report["identity"]["group_column"] == "Patient ID"


def test_without_a_group_it_is_grade_d_with_a_warning(
    drawn: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluated(written(drawn, lines()), tmp_path, "--quick", "--alone")
    assert report["data"]["grade"] == "D"
    assert report["patients"] == []
    assert report["missing"]["patients"]
    assert report["accuracy"]["low"] is not None
    assert "(grade D)" in capsys.readouterr().out


def test_one_group_of_one_class_leaves_what_cannot_be_said_null(drawn: Path, tmp_path: Path) -> None:
    rows = [line | {"patient_id": "P1"} for line in lines() if line["label"] == "blast"]
    report = evaluated(written(drawn, rows), tmp_path, "--group", "patient_id", "--quick")
    assert report["accuracy"]["value"] is not None
    assert report["accuracy"]["low"] is None
    for name in ("malignant_auroc", "malignant_auprc"):
        assert report[name]["value"] is None
        assert "labelled malignant" in report[name]["why"]
    assert "colour" not in report["networks"]
    assert report["missing"]["colour"]


def test_one_kind_is_stressed_all_the_same(drawn: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evaluation, "SAMPLE", 4)
    monkeypatch.setattr(evaluation, "RARE_KIND", 2)
    monkeypatch.setattr(stress, "EACH", 1)
    monkeypatch.setattr(stress, "CORRUPTIONS", ("blur", "jpeg"))
    monkeypatch.setattr(evaluation, "cost", lambda bundle: None)
    rows = [line for line in lines() if line["label"] == "neutrophil"]
    report = evaluated(written(drawn, rows), tmp_path, "--group", "patient_id", "--alone", bundle="cell-cnn")
    assert report["robustness"]["mean_loss_medium"] is None
    assert report["robustness"]["clean"]["accuracy"] is not None


def test_a_picture_listed_twice_counts_once_and_copies_are_counted(drawn: Path, tmp_path: Path) -> None:
    shutil.copy(drawn / "00.png", drawn / "copy.png")
    Image.open(drawn / "01.png").convert("RGB").save(drawn / "again.jpg", quality=90)
    rows = [
        *lines(),
        lines()[0],
        lines()[0] | {"path": "copy.png"},
        lines()[1] | {"path": "again.jpg"},
    ]
    report = evaluated(written(drawn, rows), tmp_path, "--group", "patient_id", "--quick", "--alone")
    assert report["data"]["images"] == 42
    assert report["data"]["duplicates"] == {"exact": 1, "near": 1, "set_aside": 0}
    assert any("a second time" in warning for warning in report["warnings"])


def test_too_many_pictures_are_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "COMPARED", 1)
    rows = [Row(Path("a"), "blast", "P", sha256="1", fingerprint=bytes(32))] * 2
    assert copies(rows) == {"exact": 1, "near": None, "set_aside": 0}


@pytest.fixture
def trained(drawn: Path, tmp_path: Path) -> Path:
    """A bundle whose card says that it learnt the drawn cells, by patient."""
    shutil.copytree(SHIPPED / "cell-cnn", tmp_path / "trained")
    rows = [fingerprint(Row(drawn / line["path"], line["label"], line["patient_id"])) for line in lines()]
    card = load_bundle(tmp_path / "trained").card
    training = card.training | {
        "data_digest": data_digest(rows),
        "group": "patient_id",
        "sketch": sketch(row.sha256 for row in rows),
    }
    write_card(tmp_path / "trained", replace(card, training=training))
    return tmp_path / "trained"


@pytest.mark.parametrize("options", [("--group", "patient_id"), ()])
def test_the_pictures_it_learnt_from_are_no_result(
    drawn: Path, tmp_path: Path, trained: Path, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    report = evaluated(written(drawn, lines()), tmp_path / "out", *options, "--quick", bundle=str(trained))
    assert report["basis"] == "learnt"
    assert report["warnings"][0] == "THESE ARE THE PICTURES IT LEARNT FROM: not a result."
    assert "THESE ARE THE PICTURES IT LEARNT FROM" in capsys.readouterr().out
    assert "THESE ARE THE PICTURES IT LEARNT FROM" in (tmp_path / "out" / "report.html").read_text()


def test_some_of_the_pictures_it_learnt_from_are_noticed_too(drawn: Path, tmp_path: Path, trained: Path) -> None:
    for number in range(10):
        pixels = render_cell("monocyte", seed=1_800_000 + number, size=96)
        Image.fromarray(pixels).save(drawn / f"new{number}.png")
    rows = lines()[:10] + [{"path": f"new{n}.png", "label": "monocyte", "patient_id": "P9"} for n in range(10)]
    report = evaluated(written(drawn, rows), tmp_path / "out", "--quick", "--alone", bundle=str(trained))
    assert report["warnings"][0] == "SOME OF THESE, ROUGHLY 50 %, ARE PICTURES IT LEARNT FROM: not a result."


def test_a_sketch_estimates_how_many_are_known() -> None:
    names = [hashlib.sha256(str(number).encode()).hexdigest() for number in range(14_000)]
    kept = sketch(names[:12_000])
    assert len(kept) == SIZE
    assert share_known(kept, names[:2000]) == 1
    assert share_known(kept, names[12_000:]) == 0
    assert share_known(kept, names[:1000] + names[12_000:13_000]) == pytest.approx(0.5, abs=0.15)
    assert share_known(sketch(names[:10]), names[5:15]) == 0.5
    assert share_known([], names) == 0


def test_a_sibling_may_be_named(drawn: Path, tmp_path: Path, trained: Path) -> None:
    manifest = written(drawn, lines())
    report = evaluated(manifest, tmp_path / "out", "--quick", "--sibling", str(trained), "--group", "patient_id")
    assert report["identity"]["siblings"][0]["bundle"] == "trained"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--bundle", "nothing"], "there is no bundle at nothing"),
        (["--manifest", "nowhere.csv"], "nowhere.csv cannot be opened"),
        (["--group", "patient"], "There is no column 'patient'"),
        (["--map", "nowhere.csv"], "nowhere.csv cannot be opened"),
        (["--map", "wrong.csv"], "which is no class of the task cell. Is lymphocyte meant?"),
        (["--out", "M.csv"], "nothing can be written to"),
        (["--alone", "--sibling", "cell-cnn"], "--alone leaves the other network out"),
        (["--sibling", "field-cnn"], "is not the other network of the task cell"),
        (["--manifest", "labels.csv"], "has no picture of a class of the task cell; its labels are: cat (1)"),
        (["--manifest", "gone.csv"], "1 of 1 file is not there"),
        (["--manifest", "text.csv"], "not one of 1 pictures can be read"),
        (["--manifest", "headings.csv"], "has no picture of a class"),
        (["--manifest", "columns.csv"], "There is no column 'label'"),
    ],
)
def test_a_wrong_command_is_one_sentence(
    drawn: Path, options: list[str], said: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(drawn)
    written(drawn, lines())
    (drawn / "wrong.csv").write_text("blast,lymphocite\n")
    (drawn / "text.png").write_text("no picture")
    for name, table in {
        "labels": "path,label\n00.png,cat\n",
        "gone": "path,label\nnot/there.png,blast\n",
        "text": "path,label\ntext.png,blast\n",
        "headings": "path,label\n",
        "columns": "path,patient_id\n00.png,P1\n",
    }.items():
        (drawn / f"{name}.csv").write_text(table)
    defaults = {"--bundle": "cell-cnn", "--manifest": "M.csv", "--out": "out"}
    command = [part for pair in defaults.items() if pair[0] not in options for part in pair]
    assert main(["evaluate", *command, *options, "--quick"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("mlcore: ")
    assert said in told


def test_a_share_is_between_nought_and_one(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "--bundle", "b", "--manifest", "m", "--out", "o", "--prevalence", "3"])
    assert ended.value.code == 2
    assert "not a share between 0 and 1" in capsys.readouterr().err
