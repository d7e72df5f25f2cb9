"""`python -m mlcore tune | validate | train`: from a manifest to settings, to honest figures, to a bundle."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from mlcore.bundle import TASKS, Bundle

LEARNING_RATES = {"cnn": 2e-3, "mobilenet": 7e-4}
EPOCHS = {("field", "cnn"): 40, ("field", "mobilenet"): 15, ("cell", "cnn"): 30, ("cell", "mobilenet"): 15}


def add_to(commands: Any) -> None:
    """Add the three commands to the subparsers of `python -m mlcore`."""
    tune = commands.add_parser("tune", help="search for settings on the training and validation groups")
    _data(tune)
    tune.add_argument("--minutes", type=float, default=60, help="of trials, in all calls on this --out together")
    tune.add_argument("--epochs", type=int, default=4, help="of one trial")
    tune.add_argument("--size", type=int, default=64, help="side of a trial's pictures in pixels")
    tune.add_argument("--share", type=float, default=0.5, help="share of the training pictures that a trial uses")
    _how(tune)
    tune.set_defaults(run=_tune)

    validate = commands.add_parser("validate", help="cross-validate by group and keep the out-of-fold predictions")
    _data(validate)
    validate.add_argument("--folds", type=int, default=5)
    validate.add_argument(
        "--foreign", type=Path, metavar="CSV", help="boxes on another microscope's fields, for the novelty score"
    )
    validate.add_argument("--epochs", type=int)
    _how(validate)
    _from_study(validate)
    validate.set_defaults(run=_validate)

    train = commands.add_parser("train", help="train one network on a manifest and write a bundle")
    _data(train)
    train.add_argument("--epochs", type=int)
    _how(train)
    _from_study(train)
    train.add_argument(
        "--validated", type=Path, metavar="FOLDER", help="learn every group by the settings cross-validated there"
    )
    train.add_argument("--to", type=Path, help="folder of the bundle; --out/bundle if not given")
    train.add_argument("--version", default="1.0.0", help="version of the release, for the card")
    train.set_defaults(run=_train)


def _data(command: argparse.ArgumentParser) -> None:
    command.add_argument("--task", choices=sorted(TASKS), required=True)
    command.add_argument("--network", choices=sorted(LEARNING_RATES), required=True)
    command.add_argument("--manifest", type=Path, required=True, help="CSV with path, label and the group column")
    command.add_argument("--group", help="column that must not be split, such as patient_id; without it, grade D")
    command.add_argument("--map", type=Path, metavar="FILE", help="two columns: their label, our class (- leaves out)")
    command.add_argument("--terms", default="", help="origin and terms of the data, for the card")
    command.add_argument("--out", type=Path, required=True, help="folder of this run; the same one resumes it")
    command.add_argument("--cache", type=Path, default=Path("var/cache"), help="folder for decoded pictures")


def _how(command: argparse.ArgumentParser) -> None:
    command.add_argument("--batch", type=int, default=64)
    command.add_argument("--seed", type=int, default=0)
    command.add_argument("--rendered-share", type=float, default=0.06, help="share of rendered pictures")
    command.add_argument("--from-scratch", action="store_true", help="no ImageNet start for the mobilenet")
    command.add_argument("--bfloat16", action="store_true", help="faster where the processor has it (measure first)")


def _from_study(command: argparse.ArgumentParser) -> None:
    command.add_argument("--size", type=int, help="side of the network's pictures in pixels; the task's, if not given")
    command.add_argument(
        "--turns", type=int, choices=(1, 4), help="quarter turns of a picture to read; the task's, if not given"
    )
    command.add_argument("--small-size", type=int, default=96, help="side of the first epochs' pictures, in pixels")
    command.add_argument("--from-study", type=Path, metavar="FOLDER", help="settings that a search found best")
    command.add_argument("--tempering", type=float, help="0 draws all classes alike, 1 as they come; over the search's")
    command.add_argument("--augmentation", type=float, help="how wide random changes are; over the search's")
    command.add_argument("--label-smoothing", type=float, help="share of doubt in every label; over the search's")


def _settled(experiment: Any, arguments: argparse.Namespace) -> Any:
    """The experiment with a search's best settings, and with what was asked for by name over these."""
    from mlcore.tuning import settings_of_study

    settings = experiment.settings
    if arguments.from_study:
        settings = settings_of_study(arguments.from_study, settings)
    for name in ("tempering", "augmentation", "label_smoothing"):
        if getattr(arguments, name) is not None:
            settings = replace(settings, **{name: getattr(arguments, name)})
    return replace(experiment, settings=settings)


def _experiment(arguments: argparse.Namespace) -> Any:
    from mlcore.experiment import Experiment
    from mlcore.manifest import read_map
    from mlcore.preprocessing import BY_TASK
    from mlcore.training import Settings

    of_task = BY_TASK[arguments.task]
    settings = Settings(
        task=arguments.task,
        network=arguments.network,
        epochs=arguments.epochs or EPOCHS[arguments.task, arguments.network],
        batch=arguments.batch,
        learning_rate=LEARNING_RATES[arguments.network],
        size=arguments.size or of_task.size,
        turns=getattr(arguments, "turns", None) or of_task.turns,
        small_size=getattr(arguments, "small_size", 96),
        rendered_share=arguments.rendered_share,
        seed=arguments.seed,
        pretrained=not arguments.from_scratch,
        bfloat16=arguments.bfloat16,
    )
    if not arguments.group:
        print("mlcore: without --group the split is by picture, grade D: no release comes of it", file=sys.stderr)
    mapping = read_map(arguments.map) if arguments.map else {}
    return Experiment(settings, str(arguments.manifest), arguments.group, mapping, arguments.terms)


def _tune(arguments: argparse.Namespace) -> int:
    from mlcore.experiment import Material, hold
    from mlcore.training import TrainingStopped
    from mlcore.tuning import tune

    experiment = _experiment(arguments)
    with hold(arguments.out):
        try:
            summary = tune(
                experiment,
                Material.gather(experiment, arguments.cache),
                arguments.out,
                minutes=arguments.minutes,
                size=arguments.size,
                share=arguments.share,
            )
        except TrainingStopped:
            print("mlcore: stopped; the same command goes on with the trials that are left", file=sys.stderr)
            return 1
    best = summary["best"]
    print(f"best of {len(summary['trials'])} trials: cross entropy {best['value']:.4f} with {best['params']}")
    return 0


def _validate(arguments: argparse.Namespace) -> int:
    from mlcore.experiment import Material, hold
    from mlcore.measuring import measure
    from mlcore.training import TrainingStopped
    from mlcore.validation import validate

    experiment = _settled(_experiment(arguments), arguments)
    with hold(arguments.out, alone=False):  # the folds are held one by one
        material = Material.gather(experiment, arguments.cache)
        try:
            validate(experiment, material, arguments.out, count=arguments.folds)
        except TrainingStopped:
            print("mlcore: stopped; the same command goes on from the last whole epoch", file=sys.stderr)
            return 1
        measure(material, arguments.out, foreign=arguments.foreign)
    return 0


def _train(arguments: argparse.Namespace) -> int:
    from mlcore.experiment import Experiment, Material, hold
    from mlcore.release import train_on_all, train_on_split
    from mlcore.training import TrainingStopped

    if arguments.validated and arguments.from_study:
        raise ValueError("--validated brings its own settings; leave --from-study out")
    experiment = _settled(_experiment(arguments), arguments)
    to = arguments.to or arguments.out / "bundle"
    with hold(arguments.out):
        try:
            if arguments.validated:
                experiment = replace(experiment, settings=Experiment.load(arguments.validated).settings)
                material = Material.gather(experiment, arguments.cache)
                bundle = train_on_all(
                    experiment, material, arguments.validated, arguments.out, to, version=arguments.version
                )
            else:
                material = Material.gather(experiment, arguments.cache)
                bundle = train_on_split(experiment, material, arguments.out, to, version=arguments.version)
        except TrainingStopped:
            print("mlcore: stopped; the same command goes on from the last whole epoch", file=sys.stderr)
            return 1
    tell(bundle)
    return 0


def tell(bundle: Bundle) -> None:
    """Print a bundle's figures on groups its networks had not seen, and nothing of training."""
    told = bundle.card.metrics["held_out"]
    training = bundle.card.training
    print(f"{bundle.path}  digest {bundle.card.digest[:12]}")
    print(
        f"{training['basis']} figures, split grade {training['split_grade']}: "
        f"{told['images']} images of {told['groups']} groups"
    )
    for name, figure in told["figures"].items():
        low, high = figure["interval_95"]
        print(f"  {name:30} {figure['value']:.3f}  ({low:.3f} to {high:.3f})")
    check = bundle.card.metrics["rendered_check"]
    print(f"rendered pictures read right: {check['right']} of {check['images']} (an installation check, not a result)")
