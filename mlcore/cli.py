"""`python -m mlcore train | export | card | predict`: what the modules do, from a shell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mlcore.bundle import TASKS, Bundle, BundleError, load_bundle
from mlcore.engines import ENGINES

LEARNING_RATES = {"cnn": 2e-3, "mobilenet": 7e-4}
EPOCHS = {("field", "cnn"): 40, ("field", "mobilenet"): 15, ("cell", "cnn"): 30, ("cell", "mobilenet"): 15}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status. A problem is one sentence on stderr and status 1 or 2."""
    arguments = _parser().parse_args(argv)
    try:
        return int(arguments.run(arguments))
    except (BundleError, RuntimeError, ValueError, FileNotFoundError) as problem:
        print(f"mlcore: {problem}", file=sys.stderr)
        return 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m mlcore", description="Train and use the networks of LeukoLens.")
    commands = parser.add_subparsers(required=True)

    train = commands.add_parser("train", help="train one network on a manifest and write a bundle")
    train.add_argument("--task", choices=sorted(TASKS), required=True)
    train.add_argument("--network", choices=sorted(LEARNING_RATES), required=True)
    train.add_argument("--manifest", type=Path, required=True, help="CSV with path, label and the group column")
    train.add_argument("--group", help="column that must not be split, such as patient_id; none makes a grade D split")
    train.add_argument("--rename", action="append", default=[], metavar="OLD=NEW", help="a manifest's label as ours")
    train.add_argument("--terms", default="", help="origin and terms of the data, for the card")
    train.add_argument("--out", type=Path, required=True, help="folder for checkpoint, curves and bundle")
    train.add_argument("--epochs", type=int)
    train.add_argument("--batch", type=int, default=64)
    train.add_argument("--learning-rate", type=float)
    train.add_argument("--seed", type=int, default=0)
    train.add_argument("--rendered-share", type=float, default=0.06, help="share of samples that are rendered pictures")
    train.add_argument("--from-scratch", action="store_true", help="no ImageNet start for the mobilenet")
    train.add_argument("--start", type=Path, metavar="CHECKPOINT", help="go on from an earlier run on the same split")
    train.add_argument("--bfloat16", action="store_true", help="faster where the processor has it (measure first)")
    train.add_argument("--resume", action="store_true", help="go on from the checkpoint in --out")
    _common(train)
    train.set_defaults(run=_train)

    export = commands.add_parser("export", help="write the bundle of a finished or stopped training run again")
    export.add_argument("--out", type=Path, required=True, help="folder of the training run")
    export.add_argument("--to", type=Path, required=True, help="folder of the bundle")
    _common(export)
    export.set_defaults(run=_export)

    card = commands.add_parser("card", help="what a bundle achieved on groups that its training never saw")
    card.add_argument("--bundle", required=True, help="name of a shipped bundle, or the folder of any")
    card.set_defaults(run=_card)

    predict = commands.add_parser("predict", help="read images and print one JSON object a line, in the order given")
    predict.add_argument("--bundle", required=True, help="name of a shipped bundle, or the folder of any")
    predict.add_argument("--engine", choices=ENGINES, default="auto")
    predict.add_argument("--threads", type=int, help="threads of one forward pass (all cores if not given)")
    predict.add_argument("--manifest", type=Path, help="CSV with a column path, relative to the manifest")
    predict.add_argument("files", nargs="*", type=Path, metavar="FILE")
    predict.set_defaults(run=_predict)
    return parser


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--cache", type=Path, default=Path("var/cache"), help="folder for decoded pictures")
    command.add_argument("--version", default="1.0.0", help="version of the release, for the card")


def _train(arguments: argparse.Namespace) -> int:
    from mlcore.experiment import Experiment, Material, hold, release, train
    from mlcore.training import Settings, TrainingStopped

    settings = Settings(
        task=arguments.task,
        network=arguments.network,
        epochs=arguments.epochs or EPOCHS[arguments.task, arguments.network],
        batch=arguments.batch,
        learning_rate=arguments.learning_rate or LEARNING_RATES[arguments.network],
        rendered_share=arguments.rendered_share,
        seed=arguments.seed,
        pretrained=not arguments.from_scratch,
        start=str(arguments.start or ""),
        bfloat16=arguments.bfloat16,
    )
    pairs = [pair.partition("=") for pair in arguments.rename]
    experiment = Experiment(
        settings, str(arguments.manifest), arguments.group, {old: new for old, _, new in pairs}, arguments.terms
    )
    with hold(arguments.out):
        material = Material.gather(experiment, arguments.cache)
        try:
            train(experiment, material, arguments.out, resume=arguments.resume)
        except TrainingStopped as stopped:
            print(f"mlcore: {stopped}", file=sys.stderr)
            return 1
        _told(release(experiment, material, arguments.out, arguments.out / "bundle", version=arguments.version))
    return 0


def _export(arguments: argparse.Namespace) -> int:
    from mlcore.experiment import Experiment, Material, release

    experiment = Experiment.load(arguments.out)
    material = Material.gather(experiment, arguments.cache)
    _told(release(experiment, material, arguments.out, arguments.to, version=arguments.version))
    return 0


def _card(arguments: argparse.Namespace) -> int:
    _told(load_bundle(arguments.bundle))
    return 0


def _predict(arguments: argparse.Namespace) -> int:
    from mlcore.predict import manifest_paths, read_files

    if (arguments.manifest is None) == (not arguments.files):
        raise ValueError("name either files or --manifest")
    paths = (
        manifest_paths(arguments.manifest) if arguments.manifest else [(str(path), path) for path in arguments.files]
    )
    bundle = load_bundle(arguments.bundle)
    failed = 0
    for line in read_files(bundle, paths, engine=arguments.engine, threads=arguments.threads):
        failed += "error" in line
        print(json.dumps(line), flush=sys.stdout.isatty())
    return 1 if failed else 0


def _told(bundle: Bundle) -> None:
    """The figures on held-out groups, and nothing of training."""
    told = bundle.card.metrics["held_out"]
    print(f"{bundle.path}  digest {bundle.card.digest[:12]}")
    grade = bundle.card.training["split_grade"]
    print(f"split grade {grade}, {told['images']} images of {told['groups']} held-out groups")
    for name, figure in told["figures"].items():
        low, high = figure["interval_95"]
        print(f"  {name:30} {figure['value']:.3f}  ({low:.3f} to {high:.3f})")
    check = bundle.card.metrics["rendered_check"]
    print(f"rendered pictures read right: {check['right']} of {check['images']} (an installation check, not a result)")
