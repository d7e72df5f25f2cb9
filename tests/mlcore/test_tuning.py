"""The search: goes on after a kill, keeps to its budget, gives up early on what falls behind."""

import json
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import optuna
import pytest
import torch
from optuna.trial import TrialState

from mlcore import tuning
from mlcore.datasets import split_rows
from mlcore.experiment import Experiment
from mlcore.training import ResumeError
from mlcore.tuning import SHARED, SPACE, settings_of_study, tune
from tests.mlcore.small import SETTINGS, asked, killed, listed

__all__ = ["listed"]

MOMENT = 1e-4  # minutes: enough for the trial that has begun


def search(listed: Path, out: Path, *, minutes: float = MOMENT, **settings: Any) -> dict[str, Any]:
    return tune(*asked(listed, **settings), out, minutes=minutes, size=32, share=1.0)


def spent(out: Path) -> float:
    """Minutes of the trials that came to an end."""
    study = tuning._open(out, SETTINGS)
    return tuning._spent(study) / 60


def test_a_killed_search_goes_on_with_the_next_trial(listed: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = listed.parent / "search"
    said = killed("tune", listed, out, at="a trial begins", times=3)
    assert said[0] == "search: 0 trials, none finished, about 1 h 00 min left"
    assert said[4].startswith("search: 2 trials, best cross entropy")
    assert "left" in said[4]
    assert (out / "trial-002").exists() or not list(out.glob("trial-*"))
    with pytest.raises(ValueError, match="no finished search"):
        settings_of_study(out, SETTINGS)

    summary = search(listed, out, minutes=spent(out) + MOMENT)
    assert [trial["number"] for trial in summary["trials"]] == [0, 1, 2, 3]
    assert [trial["state"] for trial in summary["trials"]][2] == "fail"
    assert "search: 3 trials" in capsys.readouterr().out
    proposed = [tuple(trial["params"].values()) for trial in summary["trials"]]
    assert len(set(proposed)) == 4, "what was proposed before the kill is not proposed again"
    first = summary["trials"][0]["params"]
    assert first == {name: getattr(SETTINGS, name) for name in {**SPACE["cnn"], **SHARED}}
    assert not list(out.glob("trial-*"))

    assert json.loads((out / "study.json").read_text()) == summary
    best = min((trial for trial in summary["trials"] if trial["state"] == "complete"), key=lambda trial: trial["value"])
    assert summary["best"]["number"] == best["number"]
    found = settings_of_study(out, replace(SETTINGS, epochs=9))
    assert (found.epochs, found.learning_rate) == (9, summary["best"]["params"]["learning_rate"])
    with pytest.raises(ValueError, match="was for field and cnn"):
        settings_of_study(out, replace(SETTINGS, network="mobilenet"))

    # Once the time is spent the same command only tells what was found.
    again = search(listed, out, minutes=spent(out) - MOMENT)
    assert again["trials"] == summary["trials"]
    with pytest.raises(ResumeError, match="other share"):
        tune(*asked(listed), out, minutes=1, size=32, share=0.5)
    with pytest.raises(ResumeError, match="other settings"):
        search(listed, out, epochs=3)


def test_the_test_groups_stay_unseen(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    experiment, material = asked(listed)
    asked_for: list[set[str]] = []
    real = type(material).samples

    def samples(self: Any, rows: Any, *arguments: Any) -> Any:
        asked_for.append({row.group for row in rows})
        return real(self, rows, *arguments)

    monkeypatch.setattr(type(material), "samples", samples)
    tune(experiment, material, listed.parent / "search", minutes=MOMENT, size=32, share=0.5)
    held_out = {row.group for row in split_rows(material.rows, group="patient_id", seed=0).test}
    assert asked_for
    assert not set.union(*asked_for) & held_out


def scripted(monkeypatch: pytest.MonkeyPatch, losses: list[list[float]]) -> list[int]:
    """Trials whose validation cross entropies are these, then the time is up; epochs of each trial come back."""
    trained: list[int] = []

    def fit(*arguments: Any, after_epoch: Any, **options: Any) -> Path:
        trained.append(0)
        for epoch, loss in enumerate(losses[len(trained) - 1]):
            trained[-1] += 1
            after_epoch(epoch, torch.tensor(loss))
        return Path()

    monkeypatch.setattr(tuning, "fit", fit)
    monkeypatch.setattr(tuning, "best_temperature", lambda logits, truth: 1.0)
    monkeypatch.setattr(torch.nn.functional, "cross_entropy", lambda logits, truth: logits)
    clock = SimpleNamespace(strftime=time.strftime, monotonic=lambda: 1e9 * (len(trained) == len(losses)))
    monkeypatch.setattr(tuning, "time", clock)
    return trained


def test_what_falls_behind_or_is_lost_is_given_up(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [
        [0.9, 0.8, 0.5],
        [0.9, 0.8, 0.6],
        [0.9, 0.8, 0.7],
        [2.0, 1.0, 0.1],
        [0.5, float("nan"), 0.1],
        [0.4, 0.3, 0.2],
    ]
    trained = scripted(monkeypatch, losses)
    summary = search(listed, listed.parent / "search", minutes=60)
    assert trained == [3, 3, 3, 1, 2, 3]
    states = [trial["state"] for trial in summary["trials"]]
    assert states == ["complete"] * 3 + ["pruned"] * 2 + ["complete"]
    assert summary["best"] == {**summary["best"], "number": 5, "value": 0.2}
    for trial in summary["trials"]:
        for name, (low, high, _) in {**SPACE["cnn"], **SHARED}.items():
            assert low <= trial["params"][name] <= high


def test_a_search_without_a_finished_trial_says_so(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [[float("nan")]])
    with pytest.raises(ValueError, match="more --minutes"):
        search(listed, listed.parent / "search", minutes=60)


def test_the_night_between_a_kill_and_the_next_call_is_not_spent(tmp_path: Path) -> None:
    study = optuna.create_study()
    for state in (TrialState.COMPLETE, TrialState.FAIL):
        trial = optuna.trial.create_trial(state=state, value=1.0 if state == TrialState.COMPLETE else None)
        trial.datetime_complete = trial.datetime_start + timedelta(minutes=600 if state == TrialState.FAIL else 2)
        study.add_trial(trial)
    assert tuning._spent(study) == 120


def test_a_share_of_the_pictures_is_the_same_share_each_time(listed: Path) -> None:
    samples = tuning.Samples(np.arange(40), np.arange(40))
    one, two = (tuning._share_of(samples, 0.25, seed).labels.tolist() for seed in (0, 0))
    assert one == two == sorted(one)
    assert len(one) == 10
    assert tuning._share_of(samples, 0.25, 1).labels.tolist() != one


def test_what_was_asked_is_kept(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(monkeypatch, [[0.5]])
    search(listed, listed.parent / "search", minutes=60)
    assert Experiment.load(listed.parent / "search").settings == SETTINGS
