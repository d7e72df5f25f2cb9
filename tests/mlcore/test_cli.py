"""`python -m mlcore`: train, export and predict as a person runs them."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from mlcore import experiment
from mlcore.bundle import TASKS, load_bundle
from mlcore.cli import main
from mlcore.experiment import Experiment, hold
from mlcore.phantom import render_cell, render_field, save_rendered


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.fixture
def cells(tmp_path: Path) -> list[Path]:
    paths = []
    for number, label in enumerate(["blast", "neutrophil", "platelet"]):
        paths.append(tmp_path / f"{number}.png")
        save_rendered(render_cell(label, seed=1_500_000 + number), paths[-1], kind="cell", format="PNG")
    return paths


@pytest.mark.parametrize("engine", ["onnxruntime", "torch"])
def test_predict_answers_in_the_order_given(cells: list[Path], engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    order = [str(cells[i]) for i in (2, 0, 1, 0)]
    assert main(["predict", "--bundle", "cell-mobilenet", "--engine", engine, *order]) == 0
    told = lines(capsys)
    assert [line["path"] for line in told] == order
    assert [set(line) for line in told] == [{"path", "probabilities", "malignant", "novelty"}] * 4
    assert set(told[0]["probabilities"]) == set(TASKS["cell"])
    assert told[1]["probabilities"] == pytest.approx(told[3]["probabilities"], abs=1e-5)
    assert told[1]["malignant"] > told[0]["malignant"]


def test_a_bad_file_leaves_its_neighbours_unharmed(
    cells: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    order = [str(cells[0]), str(tmp_path / "text.jpg"), str(tmp_path / "missing.png"), str(cells[1])]
    assert main(["predict", "--bundle", "cell-cnn", *order]) == 1
    told = lines(capsys)
    assert [line["path"] for line in told] == order
    assert ["error" in line for line in told] == [False, True, True, False]
    assert "cannot be opened" in told[2]["error"]


def test_a_manifest_is_read_beside_itself(
    cells: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.csv").write_text("label,path\nx,1.png\ny,0.png\n")
    assert main(["predict", "--bundle", "cell-cnn", "--manifest", str(tmp_path / "m.csv")]) == 0
    assert [line["path"] for line in lines(capsys)] == ["1.png", "0.png"]


def test_more_files_than_are_read_ahead_keep_their_order(
    cells: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = [str(i % 3) + ".png" for i in range(150)]
    (tmp_path / "m.csv").write_text("path\n" + "\n".join(order))
    assert main(["predict", "--bundle", "cell-cnn", "--manifest", str(tmp_path / "m.csv")]) == 0
    told = lines(capsys)
    assert [line["path"] for line in told] == order
    for number, line in enumerate(told):
        assert line["probabilities"] == pytest.approx(told[number % 3]["probabilities"], abs=1e-5)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--bundle", "nothing", "a.png"], "there is no bundle at nothing"),
        (["--bundle", "cell-cnn"], "name either files or --manifest"),
        (["--bundle", "cell-cnn", "--manifest", "nowhere.csv"], "nowhere.csv"),
    ],
)
def test_a_wrong_command_is_one_sentence(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", *arguments]) == 2
    assert words in capsys.readouterr().err


def test_from_manifest_to_bundle_with_figures_that_predict_confirms(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment, "render_squares", few_squares)
    monkeypatch.setitem(experiment.RENDERED, "field", 8)
    sides = ["train"] * 4 + ["validation"] * 3 + ["test"] * 3
    rows = []
    for label in TASKS["field"]:
        for block, side in enumerate(sides):
            name = f"{label}-{block}.png"
            picture = render_field(label, seed=1_600_000 + block, size=160)
            save_rendered(picture, tmp_path / name, kind="field", format="PNG")
            rows.append({"path": name, "label": label, "block": f"{label}-{block}", "split": side})
    with (tmp_path / "manifest.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    study = tmp_path / "study"
    study.mkdir()
    best = {"params": {"learning_rate": 0.003, "tempering": 0.4}}
    (study / "study.json").write_text(json.dumps({"task": "field", "network": "cnn", "best": best}))
    out, cache = tmp_path / "run", str(tmp_path / "cache")
    command = ["train", "--task", "field", "--network", "cnn", "--manifest", str(tmp_path / "manifest.csv")]
    command += ["--group", "block", "--epochs", "2", "--batch", "8", "--out", str(out), "--cache", cache]
    command += ["--from-study", str(study), "--tempering", "0.6"]
    assert main(command) == 0
    said = capsys.readouterr().out
    assert "held-out figures, split grade C: 12 images of 12 groups" in said
    card = load_bundle(out / "bundle").card
    settings = card.training["settings"]
    assert (settings["rendered_share"], settings["learning_rate"], settings["tempering"]) == (0.06, 0.003, 0.6)

    held_out = [row for row in rows if row["split"] == "test"]
    paths = [str(tmp_path / row["path"]) for row in held_out]
    assert main(["predict", "--bundle", str(out / "bundle"), "--engine", "onnxruntime", *paths]) == 0
    told = [max(line["probabilities"], key=line["probabilities"].__getitem__) for line in lines(capsys)]
    right = sum(label == row["label"] for label, row in zip(told, held_out, strict=True))
    assert card.metrics["held_out"]["figures"]["accuracy"]["value"] == pytest.approx(right / 12, abs=1e-3)

    assert main([*command, "--to", str(tmp_path / "again")]) == 0
    assert load_bundle(tmp_path / "again").card.digest == card.digest, "the same command goes on, here from the end"
    assert main([*command, "--epochs", "3"]) == 2
    assert "other settings" in capsys.readouterr().err
    assert Experiment.load(out).settings.epochs == 2
    with hold(out):
        assert main(command) == 2
    assert "another process is training" in capsys.readouterr().err


def test_the_task_of_a_manifest_need_not_be_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number, label in enumerate(["blast", "neutrophil"] * 5):
        picture = render_cell(label, seed=1_500_000 + number, size=96)
        save_rendered(picture, tmp_path / f"{number}.png", kind="cell", format="PNG")
    table = [f"{number}.png;{['Blast', 'neutrophil'][number % 2]};P{number // 2}" for number in range(10)]
    (tmp_path / "m.csv").write_text("\n".join(["path;label;patient_id", *table]))
    assert main(["data", "check", str(tmp_path / "m.csv")]) == 0
    said = capsys.readouterr().out
    assert "Taken for the task cell" in said
    assert "Split grade D" in said
    assert "Next: the same with --group patient_id" in said
    assert "Research use only" in said
    assert main(["data", "check", str(tmp_path / "m.csv"), "--group", "patient_id"]) == 0
    said = capsys.readouterr().out
    assert "Split grade A" in said
    assert said.endswith(f"--manifest {tmp_path / 'm.csv'} --group patient_id --out RUN\n")
    (tmp_path / "map.csv").write_text("neutrophil,-\n")
    command = ["data", "check", str(tmp_path / "m.csv"), "--task", "cell", "--map", str(tmp_path / "map.csv"), "--json"]
    assert main(command) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["left_out"], told["usable"], told["task"]) == (5, False, "cell")
    assert {finding["code"] for finding in told["findings"]} >= {"one_class", "no_group"}


def test_without_a_group_the_grade_is_said_before_anything_is_trained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune", "--task", "cell", "--network", "cnn", "--manifest", str(tmp_path / "m.csv")]
    assert main([*command, "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.splitlines()
    assert "grade D: no release" in said[0]
    assert "m.csv cannot be opened" in said[1]


def few_squares(task: str, classes: tuple[str, ...], preprocessing: object, each: int, seed: int) -> np.ndarray:
    """Two pictures for each class, each shown several times: the whole number takes half a minute to draw."""
    drawn = [preprocessing.square(render_field(label, seed=seed + i)) for label in classes for i in range(2)]  # type: ignore[attr-defined]
    return np.stack(drawn).repeat(each // 2, axis=0)
