"""`python -m mlcore evaluate | report`: what a network is worth, on a laboratory's pictures or out of fold."""

from __future__ import annotations

import argparse
import shlex
from pathlib import Path
from typing import Any

from mlcore.bundle import Bundle, load_bundle
from mlcore.engines import ENGINES

MAP_HELP = "two columns, their label and our class (“-” leaves out), or the same as JSON"
SAID = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro-F1",
    "mcc": "Matthews correlation",
    "malignant_auroc": "malignant AUROC",
    "malignant_auprc": "malignant AUPRC",
    "ece": "calibration error (ECE)",
    "brier": "Brier score",
}


def add_to(commands: Any) -> None:
    """Add both commands to the subparsers of `python -m mlcore`."""
    evaluate = commands.add_parser("evaluate", help="measure a bundle on labelled pictures and write a report")
    evaluate.add_argument("--bundle", required=True, help="name of a shipped bundle, or the folder of any")
    evaluate.add_argument("--manifest", type=Path, required=True, help="CSV with path, label and the group column")
    evaluate.add_argument(
        "--group", help="column that says whose a picture is, such as patient_id; without it, grade D"
    )
    evaluate.add_argument("--map", type=Path, metavar="FILE", help=MAP_HELP)
    evaluate.add_argument("--out", type=Path, required=True, help="folder for report.json and report.html")
    evaluate.add_argument("--alone", action="store_true", help="without the other network of the task beside it")
    evaluate.add_argument("--sibling", help="the other network, if not the shipped one: a name or a folder")
    evaluate.add_argument(
        "--quick", action="store_true", help="without robustness, novelty, explanation and cost: a pass through it each"
    )
    evaluate.add_argument(
        "--prevalence",
        type=_share,
        action="append",
        metavar="SHARE",
        help="share of malignant pictures to state predictive values for, 0 to 1; may be given several times",
    )
    evaluate.add_argument(
        "--held-out",
        type=Path,
        metavar="RUN",
        help="only the test groups of the bundle's own training, in that folder; the report is kept with the bundle",
    )
    evaluate.add_argument("--study", type=Path, help="folder of the search that its settings came from")
    evaluate.add_argument("--engine", choices=ENGINES, default="auto")
    evaluate.add_argument("--threads", type=int, help="threads of one forward pass (all cores if not given)")
    evaluate.add_argument("--seed", type=int, default=0, help="of resampling and of the sample for robustness")
    evaluate.set_defaults(run=_evaluate)

    report = commands.add_parser("report", help="the out-of-fold report of a bundle from its cross-validation")
    report.add_argument("--bundle", required=True, help="name of a shipped bundle, or the folder of any")
    report.add_argument("--validated", type=Path, required=True, metavar="RUN", help="folder of its cross-validation")
    report.add_argument("--study", type=Path, help="folder of the search that its settings came from")
    report.add_argument("--sibling", help="the other network's bundle, to stand beside it")
    report.add_argument("--sibling-validated", type=Path, metavar="RUN", help="folder of that one's cross-validation")
    report.add_argument("--manifest", type=Path, required=True, help="the CSV that was cross-validated")
    report.add_argument("--group", help="the column that its folds were cut by")
    report.add_argument("--out", type=Path, required=True, help="folder for report.json and report.html")
    report.add_argument("--cache", type=Path, default=Path("var/cache"), help="folder for decoded pictures")
    report.set_defaults(run=_report)


def _share(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share between 0 and 1")
    return value


def _evaluate(arguments: argparse.Namespace) -> int:
    from mlcore.evaluation import Wish, evaluate
    from mlcore.manifest import read_map
    from mlcore.report.building import write
    from mlcore.report.headline import PREVALENCES
    from mlcore.report.validated import keep

    if arguments.alone and arguments.sibling:
        raise ValueError("--alone leaves the other network out; do not name one with --sibling")
    bundle = load_bundle(arguments.bundle)
    sibling = load_bundle(arguments.sibling) if arguments.sibling else None
    mapping = read_map(arguments.map) if arguments.map else {}
    ready(arguments.out)
    wish = Wish(
        arguments.manifest,
        group=arguments.group,
        mapping=mapping,
        sibling=sibling,
        alone=arguments.alone,
        quick=arguments.quick,
        prevalences=sorted(arguments.prevalence or PREVALENCES),
        engine=arguments.engine,
        threads=arguments.threads,
        seed=arguments.seed,
        command=_command("evaluate", arguments, bundle),
        run=arguments.held_out,
        study=arguments.study,
    )
    report = evaluate(bundle, wish)
    _, page = write(report, arguments.out)
    if arguments.held_out:
        keep(report, bundle)
    print("\n".join(told(report)))
    print(f"Report: {page} and {page.with_suffix('.json').name} beside it")
    return 0


def _report(arguments: argparse.Namespace) -> int:
    from mlcore.report.building import write
    from mlcore.report.validated import Validated, keep, report_of

    if bool(arguments.sibling) != bool(arguments.sibling_validated):
        raise ValueError("--sibling and --sibling-validated go together: name both or neither")
    ready(arguments.out)
    validated = Validated.load(load_bundle(arguments.bundle), arguments.validated)
    sibling = None
    if arguments.sibling:
        sibling = Validated.load(load_bundle(arguments.sibling), arguments.sibling_validated)
    report = report_of(
        validated,
        manifest=arguments.manifest,
        group=arguments.group,
        cache=arguments.cache,
        sibling=sibling,
        study=arguments.study,
        command=_command("report", arguments, validated.bundle),
    )
    _, page = write(report, arguments.out)
    kept = keep(report, validated.bundle)
    print("\n".join(told(report)))
    print(f"Report: {page} and {page.with_suffix('.json').name} beside it; kept with the bundle as {kept.name}")
    return 0


def ready(out: Path) -> None:
    """The folder of a report, made before the work begins. Raises ValueError where nothing can be written."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        probe = out / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ValueError(f"nothing can be written to {out}: {error.strerror}") from error


def _command(name: str, arguments: argparse.Namespace, bundle: Bundle) -> str:
    """What was asked, with files by their names alone: folders are this machine's affair."""
    words = ["python", "-m", "mlcore", name, "--bundle", bundle.name]
    for option in ("validated", "held_out", "study", "sibling", "sibling_validated", "manifest", "group", "map"):
        value = getattr(arguments, option, None)
        if value:
            words += [f"--{option.replace('_', '-')}", value if option == "group" else Path(value).name]
    words += [f"--{option}" for option in ("alone", "quick") if getattr(arguments, option, False)]
    for share in getattr(arguments, "prevalence", None) or ():
        words += ["--prevalence", f"{share:g}"]
    words += ["--seed", str(arguments.seed)] if getattr(arguments, "seed", 0) else []
    return shlex.join([*words, "--out", "DIR"])


def told(report: dict[str, Any]) -> list[str]:
    """A report in a few lines for a shell."""
    from mlcore.report.prose import counted, group_noun, name_of, ranged

    identity, data, operating = report["identity"], report["data"], report["operating"]
    groups = "" if data["grade"] == "D" else f" of {counted(data['groups'], group_noun(report))}"
    lines = [
        f"{identity['bundle']} {identity['version']} on {identity['manifest']}: "
        f"{counted(data['images'])}{groups}, grade {data['grade']}",
        report["banner"],
        *(f"! {warning}" for warning in report["warnings"]),
    ]
    for name, said in SAID.items():
        lines.append(f"  {said:26} {_figure(report[name])}")
    for what in ("sensitivity", "specificity"):
        figure = operating[what]
        said = f"{what} at the frozen threshold"
        lines.append(f"  {said} {ranged(figure) if figure['value'] is not None else '– ' + figure['why']}")
    share = report["blast_share"]
    if share and share["mean_absolute_error"]["value"] is not None:
        error = share["mean_absolute_error"]
        lines.append(f"  blast share is off by {100 * error['value']:.1f} points on average of {share['patients']}")
    for difference in report["differences"]:
        if difference["figure"] == "malignant_auroc" and difference["low"] is not None:
            apart = "" if difference["low"] > 0 or difference["high"] < 0 else ": these pictures do not tell them apart"
            a, b = name_of(difference["a"]), name_of(difference["b"])
            lines.append(f"  {a} less {b}, malignant AUROC: {_figure(difference, sign='+')}{apart}")
    return lines


def _figure(figure: dict[str, Any], sign: str = "") -> str:
    if figure["value"] is None:
        return f"–  {figure['why']}"
    value = f"{figure['value']:{sign}.3f}"
    return value if figure["low"] is None else f"{value}  ({figure['low']:{sign}.3f} to {figure['high']:{sign}.3f})"
