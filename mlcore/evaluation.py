"""A released network on a laboratory's own pictures: from a manifest to an evaluation report.

The pictures are taken as they come: what cannot be read is counted and listed, classes may be missing, and one group
or one kind alone leaves figures null with the reason beside them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from mlcore import colour
from mlcore.bundle import Bundle, BundleError, shipped_bundles
from mlcore.engines import Predictor
from mlcore.experiment import data_digest
from mlcore.report import stress
from mlcore.report.asking import Asked, ask, copies, reader
from mlcore.report.building import LEARNT, build
from mlcore.report.card import card_facts, identity
from mlcore.report.cost import cost
from mlcore.report.data import Data
from mlcore.report.evidence import Evidence
from mlcore.report.headline import PREVALENCES
from mlcore.report.held_out import held_out
from mlcore.report.listing import Listed, Listing, read_listing
from mlcore.report.prose import counted, percent
from mlcore.report.validated import search_of
from mlcore.sketch import share_known

SAMPLE = 300  # pictures that faults are tried on
EXPLAINED = 100  # pictures of the deletion test
RARE_KIND = 40  # pictures of the rarer kind that the sample should hold
FOREIGN = 0.10  # share of the pictures called novel from which on the report warns
EXTERNAL = "Read by the finished network, whose training held none of these pictures as far as is known."
KNOWN = "THESE ARE THE PICTURES IT LEARNT FROM: not a result."
PARTLY_KNOWN = "SOME OF THESE, ROUGHLY {}, ARE PICTURES IT LEARNT FROM: not a result."


@dataclass(frozen=True, slots=True)
class Wish:
    """What was asked for. `alone` leaves the other network of the task out, `sibling` names it; `quick` leaves out
    what needs further passes through the network; `prevalences` are for predictive values; `run` is the folder of the
    bundle's own training, of which only the test groups are then read, with its curves beside them; `study` that of the
    search its settings came from."""

    manifest: Path
    group: str | None = None
    mapping: Mapping[str, str | None] = field(default_factory=dict)
    sibling: Bundle | None = None
    alone: bool = False
    quick: bool = False
    prevalences: Sequence[float] = PREVALENCES
    engine: str = "auto"
    threads: int | None = None
    seed: int = 0
    command: str = ""
    run: Path | None = None
    study: Path | None = None


def evaluate(bundle: Bundle, wish: Wish) -> dict[str, Any]:
    """The report, as `report.write` takes it.

    Raises ManifestError when the manifest or the map cannot be used, ValueError when no picture can be read.
    """
    own_column = bundle.card.training.get("group")
    listing = read_listing(wish.manifest, bundle.card.task, wish.group, wish.mapping, own_column)
    run = None if wish.run is None else held_out(bundle, wish.run, listing)
    search = None if wish.study is None else search_of(wish.study, bundle.card.training["settings"])
    doubts = list(listing.warnings)
    siblings = [] if wish.alone else _siblings(bundle, wish.sibling, doubts)
    predictor = Predictor([bundle, *siblings], engine=wish.engine, threads=wish.threads)
    asked = ask(predictor, listing.pictures, _sample(listing, bundle, wish.seed))
    del predictor
    evidences = [asked.evidence(number, of, listing.pictures) for number, of in enumerate([bundle, *siblings])]
    own, missing = evidences[0], dict[str, str]()
    digest = data_digest(asked.rows)
    known = _known(bundle, asked, listing.pictures, digest)
    doubts += _doubts(own, asked, bundle)
    if known:
        doubts.insert(0, known)
    by_colour = _colour(own, asked, wish.seed, missing)
    conduct: dict[str, Any] = dict.fromkeys(("robustness", "novelty", "explanation", "cost"))
    if wish.quick:
        missing |= dict.fromkeys(conduct, "Left out: the evaluation was asked to be quick (--quick).")
    else:
        conduct = _conduct(bundle, own, asked, wish, missing)
    for part, words in (("folds", "is read once by the finished network"), ("search", "was made before its release")):
        missing[part] = f"An evaluation of a finished network has none: it {words}. Its own report may have it."
    missing["folds_summary"] = missing["folds"]
    if search:
        del missing["search"]
    if run is None:
        missing["curves"] = "Training curves belong to the run that made the network, not to these pictures."
    if listing.grade == "D":
        missing["patients"] = "No column says which pictures are of one patient: name it with --group."
    return build(
        own,
        basis=LEARNT if known else "held-out" if run else "external",
        basis_words=known or (run.words if run else EXTERNAL),
        identity={
            **identity(
                bundle,
                manifest=wish.manifest.name,
                group=listing.column,
                data_digest=digest,
                command=wish.command,
                seed=wish.seed,
            ),
            "siblings": [{"bundle": of.name, "version": of.card.version, "digest": of.card.digest} for of in siblings],
        },
        data=Data(
            grade=listing.grade,
            mapped=listing.mapped,
            left_out=listing.left_out,
            duplicates=copies(asked.rows),
            unreadable=[*listing.unreadable, *asked.unreadable],
        ),
        card=card_facts(bundle),
        siblings=evidences[1:],
        colour=by_colour,
        prevalences=wish.prevalences,
        curves=run.curves if run else (),
        search=search,
        missing=missing,
        warnings=doubts,
        seed=wish.seed,
        **conduct,
    )


def _siblings(bundle: Bundle, named: Bundle | None, doubts: list[str]) -> list[Bundle]:
    """The other network of the same task and classes: the one that was named, else a shipped one, else none."""
    if named is not None:
        if named.card.classes != bundle.card.classes or named.card.network == bundle.card.network:
            raise ValueError(f"{named.name} is not the other network of the task {bundle.card.task}")
        return [named]
    try:
        shipped = shipped_bundles()
    except BundleError as error:
        doubts.append(f"The other network of this task was not asked: {error}.")
        return []
    return [
        other
        for other in shipped
        if other.card.classes == bundle.card.classes and other.card.network != bundle.card.network
    ][:1]


def _sample(listing: Listing, bundle: Bundle, seed: int) -> set[int]:
    """Numbers of the pictures that are kept for further questions: at random, but with some of the rarer kind."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(listing.pictures))
    malignant = np.array([listing.pictures[number].label in bundle.card.malignant_classes for number in order])
    kept = set(order[:SAMPLE].tolist())
    for kind in (True, False):
        kept |= set(order[malignant == kind][:RARE_KIND].tolist())
    return kept


def _known(bundle: Bundle, asked: Asked, pictures: Sequence[Listed], digest: str) -> str:
    """Whether the network learnt from these very pictures, in words; "" if nothing says so."""
    training = bundle.card.training
    as_trained = [
        replace(row, group=pictures[number].own_group) for row, number in zip(asked.rows, asked.numbers, strict=True)
    ]
    if training.get("data_digest") in (digest, data_digest(as_trained)):
        return KNOWN
    share = share_known(training.get("sketch") or [], (row.sha256 for row in asked.rows))
    if not share:
        return ""
    return KNOWN if share > 0.99 else PARTLY_KNOWN.format(percent(share, 0))


def _doubts(own: Evidence, asked: Asked, bundle: Bundle) -> Iterator[str]:
    if asked.small:
        size = bundle.card.preprocessing.size
        small = f"{counted(asked.small)} of less than {size // 2} pixels on the short side"
        yield f"{small}: the network sees {size} × {size}."
    if own.novelty is not None and own.novelty_threshold is not None:
        novel = float((own.novelty >= own.novelty_threshold).mean())
        if novel > FOREIGN:
            yield (
                f"The network finds {percent(novel, 0)} of these pictures unlike those of its training, where it finds "
                f"{percent(1 - own.novelty_threshold, 0)} of ordinary ones so: another microscope, stain or way of "
                "cutting out? Figures of its own report do not hold for such pictures."
            )


def _colour(own: Evidence, asked: Asked, seed: int, missing: dict[str, str]) -> np.ndarray | None:
    """(N, C) of the colour-only baseline; None, and why, where these pictures leave nothing to hold out."""
    with warnings.catch_warnings():
        # A rare class with fewer groups than folds is missing from some of them: its pictures count as told wrong.
        warnings.filterwarnings("ignore", message="The least populated class", category=UserWarning)
        try:
            return colour.out_of_fold(asked.colours, own.labels, own.groups, classes=len(own.classes), seed=seed)
        except ValueError:
            missing["colour"] = "Not measured: there are too few groups or pictures of a class to hold any out."
            return None


def _conduct(
    bundle: Bundle, own: Evidence, asked: Asked, wish: Wish, missing: dict[str, str]
) -> dict[str, dict[str, Any] | None]:
    """Parts 10 to 13: everything that needs further passes through the network."""
    read = reader(Predictor([bundle], engine=wish.engine, threads=wish.threads))
    mixed = np.random.default_rng(wish.seed).permutation(len(asked.sample))  # the manifest may be in order of class
    squares, labels = asked.squares[mixed], own.labels[asked.sample[mixed]]
    answers = stress.ask_corrupted(read, squares, wish.seed)
    unlike = stress.ask_unlike(read, own.task, squares, wish.seed)
    assert own.novelty is not None  # noqa: S101 - a predictor always says it
    ordinary = (
        "Of ordinary pictures, of groups that it did not learn, so many do, the false alarms:"
        if wish.run
        else "Of the pictures evaluated here, which the network may rightly find unlike its own, so many do:"
    )
    found: dict[str, dict[str, Any] | None] = {
        "robustness": stress.robustness(answers, labels, own.classes, own.malignant),
        "novelty": stress.novelty(own.novelty, bundle.card.thresholds["novelty"], unlike, own.task, ordinary),
        "explanation": stress.explanation(read, squares[:EXPLAINED], wish.seed),
        "cost": None,
    }
    try:
        found["cost"] = cost(bundle)
    except (RuntimeError, OSError) as error:
        missing["cost"] = f"Not measured: {error}"
    return found
