"""Search for settings: short runs on small pictures, judged on validation groups; the test groups stay unseen.

Optuna proposes (tree-structured Parzen estimator) and gives up early on trials that fall behind the median. Every trial
is in a journal on disk, so that a killed search goes on where it was, within the time that is left of its budget.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import torch
from optuna.storages.journal import JournalFileBackend
from optuna.trial import TrialState

from mlcore.bundle import TASKS
from mlcore.calibration import best_temperature
from mlcore.datasets import refuse_leaks, split_rows
from mlcore.experiment import Experiment, Material, rendered_samples
from mlcore.pace import in_words
from mlcore.training import ResumeError, Samples, Settings, fit
from mlcore.whole import save_text

JOURNAL, SUMMARY = "study.journal", "study.json"
# What is searched. Augmentation is kept near 1: pictures of other laboratories need it, the validation groups do not.
SPACE: dict[str, dict[str, tuple[float, float, bool]]] = {
    "cnn": {"learning_rate": (8e-4, 6e-3, True)},
    "mobilenet": {"learning_rate": (2e-4, 2e-3, True)},
}
SHARED: dict[str, tuple[float, float, bool]] = {
    "weight_decay": (2e-3, 0.1, True),
    "label_smoothing": (0.0, 0.12, False),
    "tempering": (0.3, 1.0, False),
    "augmentation": (0.8, 1.2, False),
}


def tune(
    experiment: Experiment, material: Material, out: Path, *, minutes: float, size: int, share: float
) -> dict[str, Any]:
    """Search until `minutes` of trials are spent, in all calls together; returns and writes `out/study.json`.

    A trial trains for `experiment.settings.epochs` on a `share` of the training pictures of `size` pixels. Its value is
    the cross entropy on the validation groups after the best temperature, so that neither label smoothing nor a
    confident network is favoured. The first trial has the settings as they were asked for.
    """
    settings = replace(experiment.settings, size=size, small_size=size)
    split = split_rows(material.rows, group=experiment.group, seed=settings.seed)
    refuse_leaks(split)
    preprocessing = settings.preprocessing
    train = _share_of(material.samples(split.train, settings.task, preprocessing), share, settings.seed)
    validation = material.samples(split.validation, settings.task, preprocessing)
    rendered = rendered_samples(settings.task, preprocessing) if settings.rendered_share else None
    experiment.save(out)
    study = _open(out, settings)
    _same(study, {"data": material.digest, "size": size, "share": share})
    searched = {**SPACE[settings.network], **SHARED}

    def run(trial: optuna.Trial) -> float:
        values: dict[str, Any] = {
            name: trial.suggest_float(name, low, high, log=log) for name, (low, high, log) in searched.items()
        }
        folder = out / f"trial-{trial.number:03d}"
        value = float("inf")

        def judge(epoch: int, logits: torch.Tensor) -> None:
            nonlocal value
            truth = torch.from_numpy(validation.labels).long()
            value = torch.nn.functional.cross_entropy(logits / best_temperature(logits, truth), truth).item()
            trial.report(value, epoch)
            if not math.isfinite(value) or trial.should_prune():  # a network that has lost itself finds no way back
                raise optuna.TrialPruned

        try:
            fit(
                replace(settings, **values),
                TASKS[settings.task],
                train,
                validation,
                rendered,
                folder,
                data_digest=material.digest,
                after_epoch=judge,
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return value

    began, before = time.monotonic(), _spent(study)
    while (left := 60 * minutes - before - (time.monotonic() - began)) > 0:
        begun = sum(trial.state != TrialState.WAITING for trial in study.trials)
        print(f"search: {begun} trials, {_best_words(study)}, about {in_words(left)} left", flush=True)
        study.optimize(run, n_trials=1)
    if not any(trial.state == TrialState.COMPLETE for trial in study.trials):
        raise ValueError(f"no trial came to its end in {minutes:g} minutes; run the same again with more --minutes")
    summary = _summary(study, experiment, material, minutes=minutes, size=size, share=share)
    save_text(out / SUMMARY, json.dumps(summary, indent=1) + "\n")
    return summary


def settings_of_study(folder: Path, settings: Settings) -> Settings:
    """`settings` with what the search in `folder` found best.

    Raises ValueError when there is no finished search, or when it was for another task or network.
    """
    path = folder / SUMMARY
    if not path.is_file():
        raise ValueError(f"{folder} holds no finished search; run `python -m mlcore tune --out {folder}` to its end")
    summary = json.loads(path.read_text())
    if (summary["task"], summary["network"]) != (settings.task, settings.network):
        raise ValueError(f"the search in {folder} was for {summary['task']} and {summary['network']}")
    return replace(settings, **summary["best"]["params"])


def _open(out: Path, settings: Settings) -> optuna.Study:
    backend = JournalFileBackend(str(out / JOURNAL))
    study = optuna.create_study(
        study_name=f"{settings.task}-{settings.network}",
        storage=optuna.storages.JournalStorage(backend),
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=3, n_warmup_steps=0),
    )
    for folder in out.glob("trial-*"):  # what a killed process left half-done
        shutil.rmtree(folder, ignore_errors=True)
    for trial in study.trials:
        if trial.state == TrialState.RUNNING:
            study.tell(trial.number, state=TrialState.FAIL)
    # One seed would propose once more what the killed process had proposed.
    study.sampler = _sampler(settings.seed + len(study.trials))
    if not study.trials:
        asked = {name: getattr(settings, name) for name in {**SPACE[settings.network], **SHARED}}
        study.enqueue_trial(asked)
    return study


def _sampler(seed: int) -> optuna.samplers.TPESampler:
    return optuna.samplers.TPESampler(seed=seed, multivariate=True, n_startup_trials=4)


def _same(study: optuna.Study, asked: dict[str, Any]) -> None:
    """Keep what the trials have in common with the study. Raises ResumeError when it was opened with something else."""
    for name, value in asked.items():
        if name not in study.user_attrs:
            study.set_user_attr(name, value)
        elif study.user_attrs[name] != value:
            raise ResumeError(f"the search was begun with other {name}; use another --out or the same options")


def _spent(study: optuna.Study) -> float:
    """Seconds of all trials that came to an end; of one that was killed nobody knows when that was."""
    ended = (TrialState.COMPLETE, TrialState.PRUNED)
    return sum(trial.duration.total_seconds() for trial in study.trials if trial.duration and trial.state in ended)


def _best_words(study: optuna.Study) -> str:
    done = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    return f"best cross entropy {study.best_value:.4f} (trial {study.best_trial.number})" if done else "none finished"


def _summary(
    study: optuna.Study, experiment: Experiment, material: Material, *, minutes: float, size: int, share: float
) -> dict[str, Any]:
    settings = experiment.settings
    return {
        "task": settings.task,
        "network": settings.network,
        "objective": "cross entropy on the validation groups after the best temperature; test groups unseen",
        "data_digest": material.digest,
        "epochs": settings.epochs,
        "size": size,
        "share": share,
        "minutes": minutes,
        "seconds": round(_spent(study), 1),
        "finished": time.strftime("%Y-%m-%d"),
        "space": {name: list(bounds) for name, bounds in {**SPACE[settings.network], **SHARED}.items()},
        "best": {
            "number": study.best_trial.number,
            "value": round(study.best_value, 5),
            "params": {name: float(f"{value:.4g}") for name, value in study.best_params.items()},
        },
        "trials": [
            {
                "number": trial.number,
                "state": trial.state.name.lower(),
                "value": None if trial.value is None else round(trial.value, 5),
                "params": {name: float(f"{value:.4g}") for name, value in trial.params.items()},
                "seconds": round(trial.duration.total_seconds(), 1) if trial.duration else None,
            }
            for trial in study.trials
        ],
    }


def _share_of(samples: Samples, share: float, seed: int) -> Samples:
    """A random `share` of the samples, of all groups."""
    count = max(round(share * len(samples.labels)), 1)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(samples.labels))[:count])
    return Samples(samples.squares[chosen], samples.labels[chosen])
