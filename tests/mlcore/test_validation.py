"""Cross-validation: every picture is read once by a network that never saw its patient, also across a kill."""

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from mlcore.datasets import folds
from mlcore.experiment import Experiment, RunHeldError, hold
from mlcore.training import ResumeError, load_checkpoint
from mlcore.validation import OutOfFold, fold_folder, mean_curves, read_summary, validate
from tests.mlcore.small import SETTINGS, asked, killed, listed, started

__all__ = ["listed"]


def test_a_killed_validation_ends_as_if_nothing_had_been(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    experiment, material = asked(listed)
    cut = listed.parent / "cut"
    said = killed("validate", listed, cut, at="fold 2 of 3, epoch 1 of 2")
    assert said[:2] == ["fold 1 of 3", said[1]]
    assert said[1].startswith("fold 1 of 3, epoch 1 of 2, about ")
    with pytest.raises(ValueError, match="to its end"):
        OutOfFold.load(cut)
    with pytest.raises(ValueError, match="to its end"):
        read_summary(cut)
    assert len(load_checkpoint(fold_folder(cut, 2) / "checkpoint.pt")["history"]) == 1
    finished = (fold_folder(cut, 1) / "checkpoint.pt").stat().st_mtime_ns

    resumed = validate(experiment, material, cut, count=3)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "fold 2 of 3"
    assert told[1].startswith("fold 2 of 3, epoch 2 of 2, about ")
    assert told[-1] == "fold 3 of 3, epoch 2 of 2, about 0 s left"
    assert (fold_folder(cut, 1) / "checkpoint.pt").stat().st_mtime_ns == finished, "a finished fold stays"
    whole = validate(experiment, material, listed.parent / "whole", count=3)
    np.testing.assert_array_equal(resumed.logits, whole.logits)
    for run in (cut, listed.parent / "whole"):
        np.testing.assert_array_equal(OutOfFold.load(run).logits, whole.logits)

    # Everything once, by the fold that held it out, in the manifest's order.
    splits = folds(material.rows, group="patient_id", count=3, seed=0)
    assert np.isfinite(whole.logits).all()
    assert whole.groups.tolist() == [row.group for row in material.rows]
    assert whole.labels.tolist() == [n % 4 for n in range(40)]
    for number, split in enumerate(splits, start=1):
        mine = [str(row.path) for row, fold in zip(material.rows, whole.folds, strict=True) if fold == number]
        assert sorted(mine) == sorted(str(row.path) for row in split.test)
        with np.load(fold_folder(cut, number) / "held-out.npz") as kept:
            assert kept["embeddings"].shape == (len(split.test), 256)
    summary = read_summary(cut)
    assert [fold["images"] for fold in summary["folds"]] == [len(split.test) for split in splits]
    assert sorted(name for fold in summary["folds"] for name in fold["groups"]) == sorted({*whole.groups})
    assert (summary["split_grade"], summary["data_digest"]) == ("A", material.digest)
    assert [entry["epoch"] for entry in summary["curves"]] == [1, 2]
    assert min(summary["images_per_s"].values()) > 0
    crossed = whole.crossed("field")
    np.testing.assert_allclose(crossed.probabilities.sum(axis=1), 1)
    assert len(set(crossed.thresholds)) <= 3

    with pytest.raises(ResumeError, match="other settings"):
        validate(replace(experiment, settings=replace(SETTINGS, epochs=3)), material, cut, count=3)
    assert Experiment.load(cut).settings == SETTINGS, "what was refused has changed nothing"
    (fold_folder(cut, 2) / "held-out.npz").unlink()
    with pytest.raises(ResumeError, match="other data"):
        validate(experiment, replace(material, digest="other"), cut, count=3)


def test_two_at_once_share_the_folds_and_one_goes_on_where_the_other_died(listed: Path) -> None:
    experiment, material = asked(listed)
    run = listed.parent / "run"
    with started("validate", listed, run) as first, started("validate", listed, run) as second:
        assert first.stdout is not None
        assert second.stdout is not None
        said = []
        for line in first.stdout:
            said.append(line)
            if "epoch 1 of 2" in line:  # its first epoch is saved; from here on it holds its fold and does nothing
                os.kill(first.pid, signal.SIGSTOP)
                break
        told = []
        for line in second.stdout:
            told.append(line)
            if "is another process's; waiting for it" in line:
                os.kill(first.pid, signal.SIGKILL)
        assert second.wait() == 0
        said += first.stdout
    begun = [line.split()[1] for line in said + told if "epoch 1 of 2" in line]
    assert sorted(begun) == ["1", "2", "3"], "each fold is begun once, the dead one's too"
    assert len({line.split()[1] for line in told if "epoch" in line}) >= 2
    whole = validate(experiment, material, listed.parent / "whole", count=3)
    np.testing.assert_array_equal(OutOfFold.load(run).logits, whole.logits)


def test_a_folder_is_held_alone_or_shared(tmp_path: Path) -> None:
    for first, second in ((False, True), (True, False), (True, True)):
        with (
            hold(tmp_path, alone=first),
            pytest.raises(RunHeldError, match="choose another"),
            hold(tmp_path, alone=second),
        ):
            pass
    with hold(tmp_path, alone=False), hold(tmp_path, alone=False):
        pass


def test_both_networks_see_the_same_folds_under_the_same_seed(listed: Path) -> None:
    held_out = {}
    for name, network, seed in (("cnn", "cnn", 0), ("mobilenet", "mobilenet", 0), ("other", "cnn", 1)):
        experiment, material = asked(listed, network=network, seed=seed, epochs=1)
        held_out[name] = validate(experiment, material, listed.parent / name, count=2).folds.tolist()
    assert held_out["cnn"] == held_out["mobilenet"]
    assert held_out["cnn"] != held_out["other"]


def test_curves_are_means_over_folds() -> None:
    histories = [[{side: {"loss": loss} for side in ("train", "validation")}] for loss in (1.0, 2.0)]
    assert mean_curves(histories) == [{"epoch": 1, "train": {"loss": 1.5}, "validation": {"loss": 1.5}}]


def test_what_earlier_versions_asked_is_still_read(tmp_path: Path) -> None:
    Experiment(SETTINGS, "m.csv", "block", {"old": "benign", "odd": None}).save(tmp_path)
    assert Experiment.load(tmp_path).rename == {"old": "benign", "odd": None}
    kept = json.loads((tmp_path / "run.json").read_text())
    del kept["terms"], kept["settings"]["augmentation"]
    (tmp_path / "run.json").write_text(json.dumps(kept | {"rename": {}}))
    assert Experiment.load(tmp_path) == Experiment(SETTINGS, "m.csv", "block")
    kept["settings"]["elsewhere"] = 1
    (tmp_path / "run.json").write_text(json.dumps(kept))
    with pytest.raises(ResumeError, match="another version"):
        Experiment.load(tmp_path)
