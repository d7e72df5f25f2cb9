"""Write the tables of docs/models.md from the reports that ship: `python scripts/model_tables.py`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs/models.md"
TASKS = {"cell": ("cell-mobilenet", "cell-cnn"), "field": ("field-mobilenet", "field-cnn")}
NAMES = [name for names in TASKS.values() for name in names]
Report = dict[str, Any]
Row = list[str]


def _report(name: str) -> Report:
    return dict(json.loads((ROOT / f"mlcore/bundles/{name}/report.json").read_text()))


REPORTS = {name: _report(name) for name in NAMES}


def _number(value: float, places: int = 3) -> str:
    return f"{round(value, places) + 0.0:.{places}f}".replace("-", "−")  # + 0.0: no minus before nought


def _ranged(figure: dict[str, float]) -> str:
    return f"{_number(figure['value'])} ({_number(figure['low'])}–{_number(figure['high'])})"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


def figures() -> Iterator[Row]:
    yield ["measured out of fold", "accuracy", "macro-F1", "malignant AUROC", "sensitivity at specificity 0.95", "ECE"]
    for names in TASKS.values():
        of = REPORTS[names[0]]["networks"]
        for key, said in (
            ("mobilenet", f"`{names[0]}`"),
            ("cnn", f"`{names[1]}`"),
            ("both", "both together, as a reading"),
            ("colour", "colours alone"),
        ):
            shown = [
                _ranged(of[key][name])
                for name in ("accuracy", "macro_f1", "malignant_auroc", "sensitivity_at_specificity_95")
            ]
            yield [said, *shown, _number(of[key]["ece"]["value"]) if key != "colour" else ""]


def operating() -> Iterator[Row]:
    yield ["bundle", "sensitivity", "specificity"]
    for name, report in REPORTS.items():
        yield [f"`{name}`", *(_ranged(report["operating"][side]) for side in ("sensitivity", "specificity"))]


def blasts() -> Iterator[Row]:
    yield ["bundle", "blasts", "blasts and promyelocytes", "same side of the 20 % line"]
    for name in TASKS["cell"]:
        shares = (REPORTS[name][share] for share in ("blast_share", "pattern_share"))
        yield [
            f"`{name}`",
            *(_ranged(share["mean_absolute_error"]) for share in shares),
            _share(REPORTS[name]["blast_share"]["agreement_20"]["value"]),
        ]


def folds() -> Iterator[Row]:
    yield ["bundle", "figure", "fold 1", "fold 2", "fold 3", "fold 4", "fold 5"]
    for name, report in REPORTS.items():
        for figure, said in (
            ("accuracy", "accuracy"),
            ("malignant_auroc", "malignant AUROC"),
            ("macro_f1", "macro-F1"),
        ):
            yield [f"`{name}`", said, *(_number(fold["figures"][figure]) for fold in report["folds"])]


def bars() -> Iterator[Row]:
    yield ["bar", "asked", "measured", ""]
    cell, field, field_cnn = (REPORTS[name] for name in ("cell-mobilenet", "field-mobilenet", "field-cnn"))
    behind = cell["malignant_auroc"]["value"] - REPORTS["cell-cnn"]["malignant_auroc"]["value"]
    every = list(REPORTS.values())
    strange = [of["novelty"]["against"] for of in every]
    rows = [
        ("`cell-mobilenet`: malignant AUROC", "≥", 0.975, cell["malignant_auroc"]["value"]),
        ("… sensitivity at specificity 0.95", "≥", 0.88, _sensitivity(cell)),
        ("… macro-F1", "≥", 0.64, cell["macro_f1"]["value"]),
        ("… accuracy", "≥", 0.84, cell["accuracy"]["value"]),
        ("… error of the blast share", "≤", 0.045, cell["blast_share"]["mean_absolute_error"]["value"]),
        ("… the same with promyelocytes", "≤", 0.045, cell["pattern_share"]["mean_absolute_error"]["value"]),
        ("`cell-cnn`: AUROC below `cell-mobilenet`", "≤", 0.01, behind),
        ("`field-mobilenet`: accuracy", "≥", 0.985, field["accuracy"]["value"]),
        ("… sensitivity at specificity 0.95", "≥", 0.995, _sensitivity(field)),
        ("`field-cnn`: accuracy", "≥", 0.975, field_cnn["accuracy"]["value"]),
        ("… sensitivity at specificity 0.95", "≥", 0.985, _sensitivity(field_cnn)),
        ("calibration: the largest ECE of the four", "≤", 0.02, max(of["ece"]["value"] for of in every)),
        ("novelty, no blood: the least AUROC", "≥", 0.98, min(of["not blood"]["auroc"] for of in strange)),
        ("… imitated microscopes", "≥", 0.9, min(of["other microscopes"]["auroc"] for of in strange)),
        ("… another laboratory's microscope", "≥", 0.9, min(of["other laboratory"]["auroc"] for of in strange)),
        (
            "robustness: the largest mean loss of AUROC at medium severity",
            "≤",
            0.03,
            max(of["robustness"]["mean_loss_medium"] for of in every),
        ),
    ]
    for said, sign, asked, measured in rows:
        reached = measured >= asked if sign == "≥" else measured <= asked
        yield [said, f"{sign} {asked:g}", _number(measured, 4), "reached" if reached else "**not reached**"]


def _sensitivity(report: Report) -> float:
    return float(report["sensitivity_at_specificity"]["0.95"]["sensitivity"])


def robustness() -> Iterator[Row]:
    yield ["bundle", "mild", "medium", "severe", "the costliest at medium"]
    for name, report in REPORTS.items():
        part = report["robustness"]
        losses = {kind: of["medium"]["loss_of_auroc"] for kind, of in part["corruptions"].items()}
        worst = max(losses, key=lambda kind: losses[kind])
        mean = [_number(part["mean_loss"][severity]) for severity in ("mild", "medium", "severe")]
        yield [f"`{name}`", *mean, f"{worst.replace('_', ' ')} {_number(losses[worst])}"]


def novelty() -> Iterator[Row]:
    yield [
        "bundle",
        "ordinary pictures, not learnt",
        "no blood",
        "imitated microscopes",
        "another laboratory",
        "rendered pictures of the other task",
    ]
    for name, report in REPORTS.items():
        part = report["novelty"]
        kinds = ("not blood", "other microscopes", "other laboratory", "other task")
        caught = [_share(part["against"][kind]["caught"]) for kind in kinds]
        yield [f"`{name}`", _share(part["false_alarms"]), *caught]


def rule() -> Iterator[Row]:
    yield ["reading by both networks", "kept", "wrong among the kept", "wrong if all were kept"]
    for task, names in TASKS.items():
        part = REPORTS[names[0]]["use"]["rule"]
        yield [f"{task}s", *(_share(part[key]) for key in ("coverage", "risk", "risk_without"))]


def pace() -> Iterator[Row]:
    yield ["run", "preparing, pictures/s", "the network's own step, pictures/s"]
    for name in NAMES:
        summary = json.loads((ROOT / f"docs/models/validated/{name}/validation.json").read_text())
        yield [f"`{name}`, five folds", *(f"{summary['images_per_s'][what]:.0f}" for what in ("preparing", "network"))]


TABLES: dict[str, Callable[[], Iterator[Row]]] = {
    table.__name__: table
    for table in (figures, operating, blasts, folds, bars, robustness, novelty, rule, pace)
}  # fmt: skip


def written(page: str) -> str:
    """The page with every table made anew. Raises ValueError when one has no place in it."""
    for name, table in TABLES.items():
        head, *rows = table()
        lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows)]
        place = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->\n)", re.DOTALL)
        if not place.search(page):
            raise ValueError(f"docs/models.md has no place for the table {name}")
        text = "\n".join(line.replace("  |", " |") for line in lines) + "\n"
        page = place.sub(lambda found, text=text: found[1] + text + found[2], page)
    return page


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
