"""`python -m mlcore data check | manifest`: a laboratory's own pictures, from a folder or spreadsheet to training."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlcore.bundle import TASKS

if TYPE_CHECKING:
    from mlcore.data_check import Check
    from mlcore.findings import Finding
    from mlcore.folders import Written

WIDTH = 110
MARKS = {"stop": "STOP", "doubt": "LOOK", "note": "note"}
GROUPS_SHOWN = 10


def add_to(commands: Any) -> None:
    """Add `data` with its two commands to the subparsers of `python -m mlcore`."""
    data = commands.add_parser("data", help="check a laboratory's own pictures, or write a manifest for them")
    commands = data.add_subparsers(required=True)

    check = commands.add_parser("check", help="say in words everything that is wrong or doubtful about a manifest")
    check.add_argument("manifest", type=Path, help="CSV with path, label and the group column")
    check.add_argument("--task", choices=sorted(TASKS), help="found out by labels or pictures if not given")
    check.add_argument("--group", help="column that says which pictures are of one patient, such as patient_id")
    check.add_argument("--map", type=Path, metavar="FILE", help="two columns: their label, our class (- leaves out)")
    check.add_argument("--json", action="store_true", help="the same for programs")
    check.set_defaults(run=_check)

    manifest = commands.add_parser("manifest", help="write a manifest for pictures in one folder per class")
    manifest.add_argument("folder", type=Path, help="holds one folder per class, with pictures or patients' folders")
    manifest.add_argument("--out", type=Path, required=True, help="the CSV to write")
    manifest.add_argument(
        "--group-from",
        type=_pattern,
        metavar="REGEX",
        help=r"how a path tells the patient, as in '(?P<patient_id>P\d+)_'; the group's name becomes the column",
    )
    manifest.set_defaults(run=_manifest)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a regular expression: {error}") from error


def _check(arguments: argparse.Namespace) -> int:
    from mlcore.data_check import check
    from mlcore.manifest import read_map

    if arguments.manifest.is_dir():
        return _check_folder(arguments.manifest)
    mapping = read_map(arguments.map) if arguments.map else {}
    found = check(arguments.manifest, arguments.task, group=arguments.group, mapping=mapping)
    if arguments.json:
        print(json.dumps(found.to_dict(), indent=1, ensure_ascii=False))
    else:
        print("\n".join(_told(found)))
        if found.usable and found.likely_groups:
            print("Next: the same with --group " + " or --group ".join(map(shlex.quote, found.likely_groups)))
        elif found.usable:
            map_option = f" --map {shlex.quote(str(arguments.map))}" if arguments.map else ""
            group_option = f" --group {shlex.quote(arguments.group)}" if arguments.group else ""
            print(
                f"Next: python -m mlcore {'train' if found.divided else 'validate'} --task {found.task} "
                f"--network mobilenet --manifest {shlex.quote(str(arguments.manifest))}{group_option}{map_option} "
                "--out RUN"
            )
    return 0 if found.usable else 1


def _check_folder(folder: Path) -> int:
    """A folder is no manifest: say what it holds and how it becomes one. Raises ManifestError if it holds nothing."""
    from mlcore.folders import survey

    lists = sorted(path.name for path in folder.iterdir() if path.suffix.lower() in (".csv", ".tsv"))
    if lists:
        print(f"{folder} is a folder. A manifest is a file; in it lies {', '.join(lists)}.")
        print(f"Next: python -m mlcore data check {shlex.quote(str(folder / lists[0]))}")
        return 1
    found = survey(folder)
    print(f"{folder} is a folder. A manifest is a CSV of its pictures, which can be written from it:")
    print("\n".join(_written(found)))
    if found.group is None:
        print("Do the names say the patient? Then add --group-from; `python -m mlcore data manifest --help` shows how.")
    out = shlex.quote(str(folder / "manifest.csv"))
    print(f"Next: python -m mlcore data manifest {shlex.quote(str(folder))} --out {out}")
    return 1


def _manifest(arguments: argparse.Namespace) -> int:
    from mlcore.folders import write_manifest

    written = write_manifest(arguments.folder, arguments.out, group_from=arguments.group_from)
    print(f"{arguments.out} is written.")
    print("\n".join(_written(written)))
    group = f" --group {written.group}" if written.group else ""
    print(f"Next: python -m mlcore data check {shlex.quote(str(arguments.out))}{group}")
    return 0


def _written(found: Written) -> Iterator[str]:
    """What is in the folders, for people."""
    yield f"{found.labels.total():,} pictures in {len(found.labels)} folders of one label each"
    wide = max(len(label) for label in found.labels)
    for label, count in sorted(found.labels.items()):
        yield f"  {label:{wide}}  {count:>7,}"
    if found.group:
        yield f"column {found.group}: {found.groups:,} groups"
    else:
        yield "no group column: neither folders nor --group-from say which pictures are of one patient"
    if found.split:
        yield "column split: from the folders train, validation and test"
    for what, count in sorted(found.passed.items()):
        yield f"passed over: {count:,} {what}"


def _told(found: Check) -> list[str]:
    """The lines of a check for people."""
    from mlcore.data_check import GRADE_WORDS

    groups = f" of {len(found.per_group):,} groups ({found.group})" if found.group else ""
    out = f", {found.left_out:,} left out by the map" if found.left_out else ""
    lines = [
        f"{found.manifest}, task {found.task}: {found.images:,} usable pictures{groups}{out}",
        "Research use only – not for diagnostic use.",
        "",
    ]
    for finding in found.findings:
        lines += _finding(finding)
    if found.images:
        lines += ["", f"{'class':22}{'pictures':>10}{'groups':>10}" if found.group else f"{'class':22}{'pictures':>10}"]
        for name, counts in found.per_class.items():
            line = f"  {name:20}{counts['images']:>10,}"
            lines.append(line + (f"{counts['groups']:>10,}" if found.group else ""))
    if found.per_group:
        lines += ["", f"{'group':22}{'pictures':>10}   classes"]
        for group in found.per_group[:GROUPS_SHOWN]:
            most = sorted(group["per_class"].items(), key=lambda item: -item[1])
            told = ", ".join(f"{name} {count}" for name, count in most[:4]) + (", …" if len(most) > 4 else "")
            lines.append(f"  {group['group'][:20]:20}{group['images']:>10,}   {told}")
        rest = found.per_group[GROUPS_SHOWN:]
        if rest:
            smallest = rest[-1]["images"]
            lines.append(f"  and {len(rest):,} smaller ones, of {rest[0]['images']:,} to {smallest:,} pictures")
    if found.shortcuts:
        lines += ["", f"What sees no cell gets right, in folds by {found.group or 'picture'}"]
        lines += [f"  {what:36}{accuracy:>7.1%}" for what, accuracy in found.shortcuts.items()]
    lines += ["", *textwrap.wrap(f"Split grade {found.grade}, {GRADE_WORDS[found.grade]}.", WIDTH)]
    if found.duplicates:
        exact, near = found.duplicates["exact"], found.duplicates["near"]
        lines.append(f"Repeated pictures: {exact:,} equal and {near:,} nearly equal to an earlier one.")
    if found.data_digest:
        lines.append(f"Data digest {found.data_digest}")
    return [*lines, "", f"Verdict: {found.verdict}."]


def _finding(finding: Finding) -> list[str]:
    """STOP  what is so; below it what to do, and examples as they stand in the file."""
    mark = MARKS[finding.weight]
    lines = textwrap.wrap(finding.words, WIDTH, initial_indent=f"{mark}  ", subsequent_indent=" " * 6)
    if finding.advice:
        lines += textwrap.wrap(finding.advice, WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return [*lines, *(f"        {example}" for example in finding.examples)]
