"""An evaluation report as JSON: every part from evidence that is known, and null with a reason where there is none."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlcore.bundle import MALIGNANT, TASKS
from mlcore.metrics import FIGURES, HEADLINE, LEVELS
from mlcore.report import building, stress, use
from mlcore.report.building import build, write
from mlcore.report.data import Data
from mlcore.report.evidence import Evidence, both
from mlcore.report.headline import predictive_values
from mlcore.report.patients import patients
from tests.mlcore.report_sample import sample

CLASSES = TASKS["cell"]
BLAST, LYMPHOCYTE, PLATELET = (CLASSES.index(name) for name in ("blast", "lymphocyte", "platelet"))
IDENTITY = {"network": "mobilenet", "task": "cell", "bundle": "b", "group_column": "patient_id"}


def evidence(count: int = 240, seed: int = 0, *, labels: np.ndarray | None = None, groups: int = 12) -> Evidence:
    """A network that is right in about three of four pictures of `groups` patients."""
    rng = np.random.default_rng(seed)
    labels = np.random.default_rng(9).integers(0, len(CLASSES), count) if labels is None else labels
    logits = rng.normal(size=(len(labels), len(CLASSES)))
    logits[np.arange(len(labels)), labels] += 3
    odds = np.exp(logits)
    return Evidence(
        task="cell",
        network="mobilenet",
        classes=CLASSES,
        malignant=MALIGNANT["cell"],
        probabilities=odds / odds.sum(axis=1, keepdims=True),
        logits=logits,
        labels=labels,
        groups=np.array([f"P{i % groups:03}" for i in range(len(labels))]),
        paths=[f"{i}.png" for i in range(len(labels))],
        threshold=0.4,
        temperature=1.0,
        novelty=rng.random(len(labels)),
        novelty_threshold=0.98,
    )


def made(of: Evidence, **values: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "basis": "external",
        "basis_words": "Read.",
        "identity": IDENTITY,
        "data": Data("A"),
        "card": {},
        "resamples": 60,
    }
    return build(of, **(arguments | values))


def test_every_part_and_every_figure_is_there() -> None:
    report = made(evidence(), siblings=[replace(evidence(seed=1), network="cnn")])
    assert set(sample()) <= set(report) | {"banner"}
    for name in HEADLINE:
        figure = report[name]
        assert figure["low"] <= figure["value"] <= figure["high"], name
    for key, moving in (("sensitivity_at_specificity", "sensitivity"), ("specificity_at_sensitivity", "specificity")):
        assert list(report[key]) == list(LEVELS) == ["0.90", "0.95", "0.99"]
        for level, point in report[key].items():
            fixed = "specificity" if moving == "sensitivity" else "sensitivity"
            assert point[fixed] >= float(level)
            assert point["low"] <= point[moving] <= point["high"]
    assert report["networks"].keys() == {"mobilenet", "cnn", "both"}
    assert report["networks"]["mobilenet"]["accuracy"] == report["accuracy"]
    assert json.loads(json.dumps(report, allow_nan=False)) == report


def test_the_figures_agree_with_the_rows() -> None:
    of = evidence()
    report = made(of)
    right = (of.told == of.labels).mean()
    assert report["accuracy"]["value"] == pytest.approx(right, abs=1e-5)
    called = of.score >= 0.4
    assert report["operating"]["sensitivity"]["value"] == pytest.approx(called[of.positive].mean(), abs=1e-5)
    counts = np.array(report["confusion"]["counts"])
    assert counts.sum() == 240
    assert counts.trace() == round(240 * right)
    assert sum(of["images"] for of in report["data"]["per_class"].values()) == 240
    assert sum(group["images"] for group in report["data"]["per_group"]) == 240
    assert [group["group"] for group in report["patients"]] == [f"P{i:03}" for i in range(12)]


def test_patients_count_the_blasts_of_nucleated_cells_with_exact_intervals() -> None:
    of = evidence(40, labels=np.array([BLAST] * 5 + [LYMPHOCYTE] * 15 + [PLATELET] * 20), groups=1)
    told = np.zeros_like(of.probabilities)
    told[np.arange(40), [BLAST] * 4 + [LYMPHOCYTE] * 16 + [PLATELET] * 20] = 1
    (entry,) = patients(replace(of, probabilities=told))
    share = entry["blast_share"]
    assert entry["nucleated"] == 20
    assert share["labelled"] == 0.25
    assert share["predicted"] == 0.20
    # Clopper and Pearson's interval of 4 in 20, as R's binom.test gives it.
    assert (share["low"], share["high"]) == pytest.approx((0.0573340, 0.4366140), abs=1e-6)
    assert entry["decision"] == {"labelled": True, "predicted": True}
    assert entry["pattern_share"] == share


def test_the_pattern_share_counts_promyelocytes_with_the_blasts() -> None:
    """A promyelocyte that is called a blast is an error of the one share and none of the other."""
    promyelocyte = TASKS["cell"].index("promyelocyte")
    of = evidence(40, labels=np.array([BLAST] * 5 + [promyelocyte] * 5 + [LYMPHOCYTE] * 30), groups=1)
    told = np.zeros_like(of.probabilities)
    told[np.arange(40), [BLAST] * 9 + [promyelocyte] + [LYMPHOCYTE] * 30] = 1
    report = made(replace(of, probabilities=told))
    (entry,) = report["patients"]
    assert [entry[share]["labelled"] for share in ("blast_share", "pattern_share")] == [0.125, 0.25]
    assert [entry[share]["predicted"] for share in ("blast_share", "pattern_share")] == [0.225, 0.25]
    assert report["blast_share"]["mean_absolute_error"]["value"] == pytest.approx(0.1)
    assert report["pattern_share"]["mean_absolute_error"]["value"] == 0


def test_a_group_without_nucleated_cells_has_no_share_and_does_no_harm() -> None:
    of = evidence(40, labels=np.array([PLATELET] * 20 + [BLAST] * 20), groups=2)
    report = made(replace(of, groups=np.array(["only platelets"] * 20 + ["only blasts"] * 20)))
    assert [entry["blast_share"]["labelled"] for entry in report["patients"]] == [1.0, None]
    assert report["blast_share"]["patients"] == 1


def test_fields_have_a_share_of_malignant_pictures_instead() -> None:
    classes = TASKS["field"]
    labels = np.arange(40) % 4
    probabilities = np.eye(4)[labels] * 0.9 + 0.025
    of = replace(
        evidence(40), task="field", classes=classes, malignant=MALIGNANT["field"], labels=labels,
        probabilities=probabilities, logits=np.log(probabilities),
    )  # fmt: skip
    report = made(of, data=Data("C"))
    assert report["blast_share"] is None
    assert {entry["blast_share"] for entry in report["patients"]} == {None}
    shares = [entry["malignant_share"] for entry in report["patients"][:2]]
    assert [share["labelled"] for share in shares] == [share["predicted"] for share in shares] == [0, 1]


@pytest.mark.parametrize(("label", "kind"), [(BLAST, "malignant"), (LYMPHOCYTE, "not malignant")])
def test_one_kind_alone_leaves_the_malignant_figures_null_and_says_why(label: int, kind: str) -> None:
    report = made(evidence(60, labels=np.full(60, label)))
    assert report["malignant_auroc"] == {
        "value": None,
        "low": None,
        "high": None,
        "why": f"all pictures are labelled {kind}, so nothing can be told apart",
    }
    assert report["malignant_auprc"]["value"] is None
    assert {point["sensitivity"] for point in report["sensitivity_at_specificity"].values()} == {None}
    assert report["use"]["decision_curve"] == []
    assert report["accuracy"]["value"] is not None
    assert any(f"All pictures are labelled {kind}" in warning for warning in report["warnings"])
    assert any("Classes without a picture" in warning for warning in report["warnings"])


def test_one_group_alone_has_figures_without_intervals() -> None:
    report = made(evidence(groups=1))
    assert report["accuracy"]["value"] is not None
    assert report["accuracy"]["low"] is None
    assert report["accuracy"]["why"] == "one group alone cannot be resampled"
    assert any("All pictures are of one group" in warning for warning in report["warnings"])


def test_without_groups_a_warning_stands_and_no_patients() -> None:
    of = evidence()
    report = made(replace(of, groups=np.array(of.paths)), data=Data("D"))
    assert report["patients"] == []
    assert report["blast_share"] is None
    assert "(grade D)" in report["warnings"][0]


def test_many_pictures_without_groups_are_drawn_in_blocks_with_the_same_intervals(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = evidence(3000)
    of = replace(of, groups=np.array(of.paths))
    singly = made(of, data=Data("D"), resamples=400)["accuracy"]
    monkeypatch.setattr(building, "BLOCKS", 300)
    in_blocks = made(of, data=Data("D"), resamples=400)["accuracy"]
    assert in_blocks["high"] - in_blocks["low"] == pytest.approx(singly["high"] - singly["low"], rel=0.15)


def test_a_sibling_on_other_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="other pictures"):
        made(evidence(), siblings=[replace(evidence(seed=1), network="cnn", paths=["x.png"] * 240)])


def test_differences_are_paired_and_a_network_less_itself_is_nothing() -> None:
    of = evidence()
    report = made(of, siblings=[replace(of, network="cnn")], colour=np.full((240, 12), 1 / 12))
    pairs = {(difference["a"], difference["b"]) for difference in report["differences"]}
    assert pairs == {
        ("mobilenet", "cnn"), ("both", "mobilenet"), ("both", "cnn"), ("mobilenet", "colour"), ("cnn", "colour"),
    }  # fmt: skip
    for difference in report["differences"]:
        if difference["b"] == "cnn":
            assert difference["value"] == difference["low"] == difference["high"] == 0, difference
    assert {difference["figure"] for difference in report["differences"]} == set(FIGURES)


def test_both_is_the_mean_of_probabilities_and_of_thresholds() -> None:
    one, other = evidence(), replace(evidence(seed=1), network="cnn", threshold=0.6)
    together = both(one, other)
    assert together.threshold == pytest.approx(0.5)
    np.testing.assert_allclose(together.probabilities, (one.probabilities + other.probabilities) / 2)


def test_folds_have_figures_of_their_own_and_a_threshold_each() -> None:
    of = evidence()
    of = replace(of, folds=np.arange(240) % 5 + 1, threshold=np.linspace(0.3, 0.5, 240))
    report = made(of, basis="out-of-fold")
    assert [fold["fold"] for fold in report["folds"]] == [1, 2, 3, 4, 5]
    values = [fold["figures"]["accuracy"] for fold in report["folds"]]
    assert report["folds_summary"]["accuracy"]["mean"] == pytest.approx(np.mean(values), abs=1e-5)
    assert made(evidence())["folds"] is None


def test_predictive_values_are_those_of_bayes() -> None:
    told = predictive_values(0.9, 0.95, 0.02)
    assert told["ppv"] == pytest.approx(0.018 / (0.018 + 0.049))
    assert predictive_values(0.0, 1.0, 0.1)["ppv"] is None


def test_the_rule_leaves_to_a_person_what_is_novel_unsure_or_disputed() -> None:
    labels = np.array([BLAST, BLAST, LYMPHOCYTE, LYMPHOCYTE])
    sure = np.full((4, 12), 0.01)
    sure[np.arange(4), labels] = 0.89
    one = replace(evidence(4, labels=labels), probabilities=sure, novelty=np.array([0.99, 0.1, 0.1, 0.1]))
    disputed = sure.copy()
    disputed[1] = sure[2]
    told = use.rule([one, replace(one, network="cnn", probabilities=disputed)])
    assert told["coverage"] == 0.5
    assert told["risk"] == 0
    assert told["malignant_missed"] == 0


def test_robustness_says_what_each_fault_costs_and_the_mean_at_medium() -> None:
    of = evidence()
    answers = {("", ""): of.probabilities}
    for name in stress.CORRUPTIONS:
        for severity in stress.SEVERITIES:
            noise = 0.3 if (name, severity) == ("blur", "medium") else 0
            answers[name, severity] = (
                of.probabilities * (1 - noise) + noise / 12 * (1 + np.sin(np.arange(240)))[:, None]
            )
    told = stress.robustness(answers, of.labels, CLASSES, MALIGNANT["cell"])
    losses = [of["medium"]["loss_of_auroc"] for of in told["corruptions"].values()]
    assert told["mean_loss_medium"] == pytest.approx(np.mean(losses))
    assert told["corruptions"]["blur"]["medium"]["loss_of_auroc"] != 0
    assert told["corruptions"]["jpeg"]["mild"]["loss_of_auroc"] == 0
    alone = stress.robustness(answers, np.full(240, BLAST), CLASSES, MALIGNANT["cell"])
    assert alone["mean_loss_medium"] is None


def test_novelty_is_said_of_every_kind_and_of_kinds_pooled() -> None:
    kinds = {
        "not blood: noise": np.ones(10),
        "not blood: text": np.full(10, 0.5),
        "other microscope: eosin": np.full(5, 0.99),
        "other task": np.zeros(4),
    }
    told = stress.novelty(np.linspace(0, 1, 101), 0.98, kinds, "cell", "Of these")
    assert list(told["against"]) == ["not blood", "other microscopes", *kinds]
    assert told["against"]["not blood"]["images"] == 20
    assert told["against"]["not blood"]["caught"] == 0.5
    assert told["against"]["not blood: text"]["auroc"] == pytest.approx(0.5)
    assert told["false_alarms"] == pytest.approx(3 / 101)


def test_it_is_written_whole_as_json_and_as_a_page(tmp_path: Path) -> None:
    report = sample()
    paths = write(report, tmp_path / "new" / "folder")
    assert sorted(path.name for path in (tmp_path / "new" / "folder").iterdir()) == ["report.html", "report.json"]
    assert json.loads(paths[0].read_text(encoding="utf-8")) == json.loads(json.dumps(report))
    broken: Mapping[str, Any] = report | {"accuracy": {"value": float("nan")}}
    with pytest.raises(ValueError, match="JSON"):
        write(broken, tmp_path / "other")
    assert not list((tmp_path / "other").glob("*.json"))
