"""What is wrong or doubtful about the pictures of a manifest, once they were opened: findings in plain words."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlcore import shortcuts
from mlcore.bundle import MALIGNANT, TASKS, load_bundle
from mlcore.datasets import Row, near_pairs
from mlcore.findings import DOUBT, FOLDS, NOTE, SHOWN, STOP, Entry, Finding, counted, listed
from mlcore.preprocessing import BY_TASK

ASSESSABLE = 20  # pictures of a class below which a report calls its figures not assessable
KINDS = {"cell": "single cells", "field": "whole microscope fields"}
CLOSE = 0.05  # to the shipped network's accuracy: from here on colour alone does nearly as well
# Equal or nearly equal pictures: code, weight, in words, what to do. In this order, the first that fits counts.
_DUPLICATES = (
    (
        "duplicates_on_two_sides",
        STOP,
        "on two sides of the column split",
        "Put both on one side or remove one: the network would be tested on what it learnt.",
    ),
    ("duplicates_two_labels", DOUBT, "with different labels", "Decide which label is right and remove the other line."),
    (
        "duplicates_across_groups",
        DOUBT,
        "in different groups",
        "Training sets the one aside that would teach the answer. Are the two groups one patient under two names?",
    ),
    ("duplicates_within_group", NOTE, "within one group", "They do no harm to the figures, but count twice."),
    ("duplicates", NOTE, "of one class", "Training sets the one aside that would teach the answer."),
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A picture that could be read: its row, short side in pixels, and, where it was drawn, its square and kind."""

    row: Row
    short: int
    square: NDArray[np.uint8] | None
    kind: str


def about_refused(refused: Sequence[tuple[Entry, str]]) -> Iterator[Finding]:
    by_reason: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry, why in refused:
        by_reason[why].append(entry)
    for why, entries in sorted(by_reason.items(), key=lambda item: -len(item[1])):
        yield Finding(
            STOP,
            "unreadable",
            f"{counted(len(entries), 'picture')} cannot be read: {why}",
            "Remove the lines of those that cannot be had again.",
            tuple(f"line {entry.line}: {entry.written}" for entry in entries[:SHOWN]),
        )


def about_unfit(seen: Sequence[Seen], task: str) -> Iterator[Finding]:
    """Pictures that are too small, or that look like the other task's."""
    size = BY_TASK[task].size
    small = [picture for picture in seen if picture.short < size / 2]
    if small:
        smallest = min(small, key=lambda picture: picture.short)
        yield Finding(
            DOUBT,
            "small",
            f"{counted(len(small), 'picture')} of less than {size // 2} pixels on the short side, the smallest of "
            f"{smallest.short}; the networks see {size} × {size} or more.",
            "Export them in full size: an enlarged thumbnail has lost what tells the cells apart.",
            tuple(picture.row.path.name for picture in small[:SHOWN]),
        )
    asked = [picture.kind for picture in seen if picture.kind]
    others = sum(kind != task for kind in asked)
    if asked and others > len(asked) / 2:
        yield Finding(
            DOUBT,
            "kind",
            f"{others} of {len(asked)} pictures looked at seem to be {KINDS[min(set(KINDS) - {task})]}, "
            f"the task {task} is for {KINDS[task]}.",
            "Is --task right?",
        )


def about_classes(rows: Sequence[Row], task: str, *, grouped: bool) -> Iterator[Finding]:
    told = per_class(rows, TASKS[task])
    there = [name for name, told in told.items() if told["images"]]
    absent = [name for name in told if name not in there]
    if len(there) == 1:
        yield Finding(
            STOP,
            "one_class",
            f"All pictures are {there[0]}.",
            "A network learns to tell classes apart: bring two at least.",
        )
    elif rows and absent:
        yield Finding(
            DOUBT,
            "absent_classes",
            f"No picture of {listed(absent, 12)}.",
            "A network trained on this never answers so. To measure a shipped network it does no harm.",
        )
    kinds = {name in MALIGNANT[task] for name in there}
    if len(there) > 1 and len(kinds) == 1:
        yield Finding(
            STOP,
            "one_kind",
            f"Every class here counts as {'malignant' if kinds == {True} else 'benign'}.",
            "A network's operating threshold is chosen between the two. To measure a shipped network it does no harm.",
        )
    thin = [name for name in there if told[name]["images"] < ASSESSABLE or told[name]["groups"] < FOLDS]
    least = f" or {FOLDS} groups" if grouped else ""
    if thin and len(there) > 1:
        yield Finding(
            DOUBT,
            "thin_classes",
            f"Too few to be judged in {FOLDS} folds (below {ASSESSABLE} pictures{least}): "
            + ", ".join(f"{name} ({_of(told[name], grouped)})" for name in thin)
            + ".",
            "Bring more, or map them to another class or out.",
        )


def about_sides(rows: Sequence[Row], *, grouped: bool) -> Iterator[Finding]:
    """A column `split` that is followed: sides that it lacks, and what it tears apart."""
    if not rows or not all(row.split for row in rows):
        return
    there = {row.split for row in rows}
    for side in ("train", "test"):
        if side not in there:
            yield Finding(
                STOP,
                "side_missing",
                f"The column split has no {side} pictures.",
                "Fill it with train, validation and test, or remove it, and the groups are divided for you.",
            )
    if there == {"train", "test"}:
        yield Finding(
            NOTE,
            "no_validation",
            "The column split has no validation pictures.",
            "Some of its training groups are held out for that.",
        )
    for what, words in (("group", "group"), ("cluster", "near-duplicate group")):
        sides: defaultdict[str, set[str]] = defaultdict(set)
        for row in rows:
            sides[getattr(row, what)].add(row.split)
        torn = sorted(name for name, on in sides.items() if name and len(on) > 1)
        if torn and (grouped or what == "cluster"):
            yield Finding(
                STOP,
                f"{what}_on_two_sides",
                f"{counted(len(torn), words)} on two sides of the column split.",
                "What belongs together belongs on one side; or remove the column, and the groups are divided for you.",
                tuple(f"{name}: {', '.join(sorted(sides[name]))}" for name in torn[:SHOWN]),
            )


def about_groups(rows: Sequence[Row], group: str) -> Iterator[Finding]:
    sizes = Counter(row.group for row in rows)
    if not sizes:
        return
    if len(sizes) == 1:
        yield Finding(
            STOP, "one_group", f"All pictures have the same {group}, {rows[0].group!r}.", "Nobody is left to test on."
        )
    elif len(sizes) < FOLDS:
        # A split by hand needs no folds: it can be trained on, though not cross-validated.
        yield Finding(
            DOUBT if all(row.split for row in rows) else STOP,
            "few_groups",
            f"{counted(len(sizes), 'group')} in {group}; {FOLDS} folds need at least {FOLDS}, and twenty are better.",
            "To measure a shipped network fewer will do, with wide intervals.",
        )
    if len(rows) > 1 and len(sizes) == len(rows):
        yield Finding(
            DOUBT,
            "no_real_group",
            f"Every picture has a {group} of its own, so nothing is kept together.",
            "If every picture is of another patient, all is well. Otherwise it is a split by picture, grade D: "
            "name the column that says the patient.",
        )
    name, most = sizes.most_common(1)[0]
    if len(sizes) >= FOLDS and most > len(rows) / 2:
        yield Finding(
            DOUBT,
            "one_large_group",
            f"{name!r} alone has {most / len(rows):.0%} of the pictures.",
            "Bring more of others.",
        )
    classes: defaultdict[str, set[str]] = defaultdict(set)
    for row in rows:
        classes[row.group].add(row.label)
    if (
        len(sizes) < len(rows)
        and len(set().union(*classes.values())) > 1
        and all(len(on) == 1 for on in classes.values())
    ):
        yield Finding(
            DOUBT,
            "groups_of_one_class",
            "Every group holds one class only, so a network may learn the day or the slide instead of the disease.",
            "Look at the colours below; pictures of several classes from the same slides cure it.",
        )


def about_duplicates(rows: Sequence[Row], *, grouped: bool) -> tuple[list[Finding], dict[str, int]]:
    """Equal and nearly equal pictures: findings, and how many pictures repeat an earlier one."""
    first: dict[str, int] = {}
    exact = [(first[row.sha256], i) for i, row in enumerate(rows) if first.setdefault(row.sha256, i) != i]
    near = [(i, j) for i, j in near_pairs(rows, rows) if i < j and rows[i].sha256 != rows[j].sha256]
    counts = {"exact": len(exact), "near": len({j for _, j in near})}
    split = all(row.split for row in rows)
    findings = []
    for pairs, how in ((exact, "equal"), (near, "nearly equal")):
        by_code: defaultdict[str, list[tuple[Row, Row]]] = defaultdict(list)
        for i, j in pairs:
            by_code[_apart(rows[i], rows[j], split=split, grouped=grouped)].append((rows[i], rows[j]))
        for code, weight, where, advice in _DUPLICATES:
            told = by_code[code]
            if told:
                words = f"{counted(len(told), 'pair')} of {how} pictures {where}."
                shown = tuple(" and ".join(_named(row, grouped) for row in pair) for pair in told[:SHOWN])
                findings.append(Finding(weight, code, words, advice, shown))
    return findings, counts


def _apart(a: Row, b: Row, *, split: bool, grouped: bool) -> str:
    """Which of _DUPLICATES a pair is."""
    if split and a.split != b.split:
        return "duplicates_on_two_sides"
    if a.label != b.label:
        return "duplicates_two_labels"
    if not grouped:
        return "duplicates"
    return "duplicates_within_group" if a.group == b.group else "duplicates_across_groups"


def _of(told: Mapping[str, int], grouped: bool) -> str:
    return counted(told["images"], "picture") + (f", {counted(told['groups'], 'group')}" if grouped else "")


def _named(row: Row, grouped: bool) -> str:
    where = "/".join(row.path.parts[-2:])
    return f"{where} ({row.label}, {row.group})" if grouped else f"{where} ({row.label})"


def about_shortcuts(measured: Mapping[str, float], task: str) -> Iterator[Finding]:
    """Doubts about what can be told without looking at a cell."""
    commonest, by_colour = measured[shortcuts.COMMONEST], measured[shortcuts.COLOUR]
    shipped = load_bundle(f"{task}-mobilenet").card.metrics["held_out"]["figures"]["accuracy"]["value"]
    if by_colour > min((1 + commonest) / 2, shipped - CLOSE):
        yield Finding(
            DOUBT,
            "colour_alone",
            f"Colour alone tells the class of {by_colour:.1%} of the pictures (always saying the commonest class: "
            f"{commonest:.1%}; the shipped network on its own kind of pictures: {shipped:.1%}).",
            "A network may learn the stain or the lamp. Bring every class from every slide, and measure elsewhere too.",
        )
    betraying = [place for place in shortcuts.PLACES if measured[place] > (1 + commonest) / 2]
    if not betraying:
        return
    advice = "Is there a scale bar, a frame, a shadow? Cut it off in all pictures. If not, it is the stain or the lamp."
    if shortcuts.BLANKED in betraying and BY_TASK[task].mask_width:
        advice += f" (The {shortcuts.BLANKED} is blanked before a network sees it.)"
    yield Finding(
        DOUBT,
        "edge_alone",
        "The colours of an edge alone, where the cell is not, betray the class of most pictures.",
        advice,
        tuple(f"{place}: {measured[place]:.1%}" for place in betraying),
    )


def per_class(rows: Sequence[Row], classes: Sequence[str]) -> dict[str, dict[str, int]]:
    return {
        name: {
            "images": sum(row.label == name for row in rows),
            "groups": len({row.group for row in rows if row.label == name}),
        }
        for name in classes
    }


def per_group(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Largest group first."""
    by_group: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        by_group[row.group][row.label] += 1
    told = [{"group": name, "images": on.total(), "per_class": dict(on)} for name, on in by_group.items()]
    return sorted(told, key=lambda group: (-int(group["images"]), str(group["group"])))
