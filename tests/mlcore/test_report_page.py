"""The report's page: self-contained, readable by everybody, and honest about what is not there."""

import copy
import re
from html.parser import HTMLParser
from typing import Any

import pytest

from mlcore.report.html import MISSING, ReportError, render
from tests.mlcore.report_sample import sample

VOID = {"meta", "br", "img", "link", "hr", "input", "col"}


class Outline(HTMLParser):
    """Which tags stand in a page, with their attributes, and whether they are closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def words(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.partition("</style>")[2]))


def test_it_needs_nothing_from_anywhere_and_runs_nothing() -> None:
    page = render(sample())
    outline = Outline(page)
    assert outline.open == []
    tags = {tag for tag, _ in outline.tags}
    assert not tags & {"script", "link", "img", "iframe", "object", "form"}
    addresses = [
        value for _, attributes in outline.tags for name, value in attributes.items() if name in ("src", "href")
    ]
    assert all(value and value.startswith("#") for value in addresses)
    assert "@import" not in page
    assert "url(" not in page
    assert not [name for _, attributes in outline.tags for name in attributes if name.startswith("on")]


def test_all_fifteen_parts_are_there_and_can_be_jumped_to() -> None:
    outline = Outline(render(sample()))
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert [name for name in ids if name and name.startswith("part-")] == [f"part-{number}" for number in range(15)]
    links = {attributes["href"] for tag, attributes in outline.tags if tag == "a"}
    assert {link.removeprefix("#") for link in links if link} <= set(ids)


def test_every_drawing_says_in_words_what_it_shows() -> None:
    page = render(sample())
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    assert len(drawings) > 12
    for drawing in drawings:
        assert 'role="img"' in drawing
        assert re.search(r"<title>[^<]+</title>\s*<desc>[^<]+</desc>", drawing)
        assert not re.search(r"\b(nan|inf|None)\b", drawing)


def test_what_may_be_seen_only_by_scrolling_can_be_reached_by_keyboard() -> None:
    for tag, attributes in Outline(render(sample())).tags:
        if tag == "div" and (attributes.get("class") or "").startswith("scroll"):
            assert attributes.get("tabindex") == "0"
            assert attributes.get("aria-label")


@pytest.mark.parametrize(
    "part", [*MISSING, "networks", "differences", "folds_summary", "blast_share", "missing", "roc"]
)
@pytest.mark.parametrize("basis", ["external", "out-of-fold"])
def test_a_part_that_is_null_or_not_there_is_said_so(part: str, basis: str) -> None:
    report = sample() | {"basis": basis}
    if part not in report:
        return
    Outline(render(report | {part: None}))
    if part in MISSING and part in report and part not in ("points", "decision", "rule"):
        page = render(report | {part: None, "missing": {part: f"No {part}, because of the weather."}})
        assert f"No {part}, because of the weather." in page
    del report[part]
    Outline(render(report))


def test_figures_without_a_value_show_their_reason() -> None:
    report: dict[str, Any] = sample()
    why = {"value": None, "low": None, "high": None, "why": "all pictures are labelled malignant"}
    report["malignant_auroc"] = report["operating"]["specificity"] = report["operating"]["sensitivity"] = why
    for network in report["networks"].values():
        network["malignant_auroc"] = why
    report["networks"]["colour"]["accuracy"] = {"value": 0.5, "low": None, "high": None, "why": "one group alone"}
    nothing = {
        "sensitivity": None,
        "specificity": None,
        "threshold": None,
        "low": None,
        "high": None,
        "why": "one kind",
    }
    report["sensitivity_at_specificity"] = report["specificity_at_sensitivity"] = {"0.95": nothing}
    report["use"]["decision_curve"] = []
    report["operating"]["prevalence"] = []
    report["roc"] = None
    for of in report["robustness"]["corruptions"].values():
        for severity in of.values():
            severity["loss_of_auroc"] = severity["malignant_auroc"] = None
    report["robustness"]["mean_loss_medium"] = None
    report["patients"][0]["blast_share"] = {"labelled": None, "predicted": 0.5, "low": 0.1, "high": 0.9}
    report["blast_share"]["mean_absolute_error"] = why
    report["card"]["terms"] = ""
    page = words(render(report))
    assert "all pictures are labelled malignant" in page
    assert "None" not in page
    assert " nan" not in page


def test_names_from_a_manifest_are_text_and_nothing_else() -> None:
    report = copy.deepcopy(sample())
    bad = "<script>alert(1)</script>"
    report["patients"][0]["group"] = bad
    report["data"]["per_group"][0]["group"] = bad
    report["data"]["unreadable"][0]["path"] = bad
    report["data"]["mapped"] = {bad: "blast"}
    report["data"]["left_out"] = {bad: 2}
    report["warnings"] = [bad]
    report["identity"]["manifest"] = bad
    page = render(report)
    assert "<script" not in page
    assert page.count("&lt;script&gt;") >= 6


def test_long_lists_are_cut_and_say_so() -> None:
    report = sample()
    report["patients"] = report["patients"] * 30
    assert "The first 400 of 720 patients; report.json has all." in render(report)


def test_grade_d_and_a_learnt_basis_cannot_be_overlooked() -> None:
    report = sample()
    report["data"]["grade"] = "D"
    assert "cannot be released" in render(report)
    assert "pictures it learnt from" in render(sample() | {"basis": "learnt"})


def test_the_paper_stands_in_the_drawings_of_training_too() -> None:
    report = sample()
    report["paper"]["lines"] = {"precision": [["paper, validation", 0.907]]}
    assert "paper, validation" in render(report)


@pytest.mark.parametrize("change", [{"format": 1}, {"identity": None}, {"per_class": None}, {"operating": None}])
def test_what_is_no_report_is_refused_in_a_sentence(change: dict[str, Any]) -> None:
    with pytest.raises(ReportError, match="make it again"):
        render(sample() | change)
