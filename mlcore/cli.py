"""`python -m mlcore data | tune | validate | train | report | evaluate | card | predict`, from a shell."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from mlcore import data_cli, report_cli, training_cli
from mlcore.bundle import BundleError, load_bundle
from mlcore.engines import ENGINES


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
    data_cli.add_to(commands)
    training_cli.add_to(commands)
    report_cli.add_to(commands)

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


def _card(arguments: argparse.Namespace) -> int:
    training_cli.tell(load_bundle(arguments.bundle))
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
