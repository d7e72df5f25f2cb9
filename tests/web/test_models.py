"""The model pages: what they say of a release by its report or its card, and that no report can break them."""

from __future__ import annotations

import html
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.test import Client
from django.urls import reverse

from diagnosis import assessment
from diagnosis.models import ModelRelease
from diagnosis.web.releases.charts import bounds, ticks
from diagnosis.web.releases.figures import number, points, share, shown
from mlcore.bundle import MALIGNANT, TASKS, load_bundle
from mlcore.report import Data, Evidence, build
from tests.cast import Cast
from tests.smears import make_image, make_release
from tests.web.reports import cell_report, external_report, field_report, lay
from tests.web.test_pages import read, signed_in

pytestmark = pytest.mark.django_db
Report = dict[str, Any]


@pytest.fixture
def client(cast: Cast) -> Client:
    return signed_in(cast.pathologist)


@pytest.fixture
def released(tmp_path: Path) -> Callable[..., ModelRelease]:
    """`released(report)` makes a release that carries it."""

    def release(report: Report, *, stage: str = "active", **how: str) -> ModelRelease:
        folder = tmp_path / f"bundle-{ModelRelease.objects.count()}"
        return ModelRelease.objects.create(**lay(folder, report, **how), stage=stage)

    return release


def carded(tmp_path: Path, name: str, *, stage: str = "active") -> ModelRelease:
    """A release with the card of a shipped bundle, and no report on this machine."""
    card = load_bundle(name).card
    return ModelRelease.objects.create(
        task=card.task, network=card.network, version=card.version, digest=card.digest,
        bundle=str(tmp_path / name), card=card.to_dict(), stage=stage,
    )  # fmt: skip


def text(page: str) -> str:
    """The words of a page, without its tags."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def open_page(client: Client, release: ModelRelease) -> str:
    answer = client.get(reverse("model", args=[release.pk]))
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "Research use only – not for diagnostic use" in page
    assert ' style="' not in page
    assert "<style" not in page
    assert "nan" not in text(page).lower().split()
    assert "None" not in text(page).split()
    return page


def parts(page: str) -> list[str]:
    return re.findall(r'<section class="card" id="([\w-]+)"', page)


def test_report_of_cells_is_told_to_a_pathologist(client: Client, released: Callable[..., ModelRelease]) -> None:
    page = open_page(client, released(cell_report()))
    said = text(page)
    assert "88 % of blasts and promyelocytes found 82–93 %" in said
    assert "4 % false alarms among the rest 3–6 %" in said
    assert "2,600 cells of 24 patients" in said
    assert "grade A · split by patient" in said
    assert "Not assessable: basophil, eosinophil, plasma cell and platelet" in said
    assert "Poor pictures: malignant AUROC falls most by larger scale" in said
    assert "another microscope (64 %)" in said
    assert "with promyelocytes which count as blasts in acute promyelocytic leukaemia 3.7 points" in said
    assert parts(page) == [
        "figures", "operating", "classes", "confusion", "patients", "calibration", "use", "robustness", "novelty",
        "maps", "folds", "curves", "paper", "card",
    ]  # fmt: skip
    assert re.findall(r'href="#([\w-]+)"', page.split('aria-label="On this page"')[1]) == parts(page)
    # Both networks, the two together and the baseline, on the same pictures.
    heads = page.split("Figures with 95 % intervals")[1].split("</thead>")[0]
    assert [word in text(heads) for word in ("this release", "CNN", "Both together", "Colour alone")] == [True] * 4
    assert "The same pictures for each column" in said
    assert "MobileNet less CNN Macro-F1 +0.012 −0.009 to +0.034 could be chance" in said
    matrix = page.split('aria-label="Confusion matrix"')[1].split("</table>")[0]
    assert matrix.count("<td") == 144
    assert "4.3 points" in said
    assert "1.180" in said
    assert page.count('role="img"') == 11  # five curves, operating, patients, reliability, two of use, deletion
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_report_of_fields_speaks_of_blocks(client: Client, released: Callable[..., ModelRelease]) -> None:
    said = text(page := open_page(client, released(field_report(), stage="shadow")))
    assert "of early pre-B, pre-B and pro-B fields found" in said
    assert "638 fields of 32 blocks" in said
    assert "grade C" in said
    assert "Patients are not told apart in its data." in said
    assert "0.9995" in said  # not called 1.000
    assert "shadow: reads, shown to nobody" in said
    assert "20 % line" not in said
    assert "Share of malignant pictures off by mean of the absolute differences 0.5 points" in said
    assert "The largest difference block-01 5.0 points" in said
    assert "All 32, the largest difference first" in said
    assert "patients" in parts(page)


def test_what_a_report_lacks_is_named(client: Client, released: Callable[..., ModelRelease]) -> None:
    other = released(cell_report(), network="cnn")
    said = text(page := open_page(client, released(external_report())))
    assert parts(page) == ["figures", "operating", "classes", "confusion", "patients", "calibration", "use", "card"]
    assert "How often it gives a false alarm cannot be said: all pictures are labelled malignant" in said
    assert "Not in this report cross-validation, the search for its settings, training curves, poor pictures" in said
    assert "Not stated here: what poor pictures cost it and which foreign pictures it notices." in said
    # It was read alone: the other active network stands beside it, with what that one was measured on.
    assert f'href="{reverse("model", args=[other.pk])}"' in page.split('id="figures"')[1].split("</thead>")[0]
    assert "Measured on 2,600 cells of 24 patients 2,600 cells of 24 patients" in said


def told(task: str, network: str, labels: np.ndarray, *, groups: int = 12) -> Evidence:
    """What a network that is mostly right said of pictures labelled so."""
    classes = TASKS[task]
    logits = np.random.default_rng(len(network)).normal(size=(len(labels), len(classes)))
    logits[np.arange(len(labels)), labels] += 3
    odds = np.exp(logits)
    return Evidence(
        task=task, network=network, classes=classes, malignant=MALIGNANT[task], logits=logits, labels=labels,
        probabilities=odds / odds.sum(axis=1, keepdims=True), groups=np.array([f"G{i % groups}" for i in labels]),
        paths=[f"{i}.png" for i in range(len(labels))], threshold=0.4, temperature=1.1,
    )  # fmt: skip


@pytest.mark.parametrize("task", ["cell", "field"])
@pytest.mark.parametrize("grade", ["A", "B", "C", "D"])
def test_what_mlcore_writes_is_shown(
    task: str, grade: str, client: Client, released: Callable[..., ModelRelease]
) -> None:
    """Real reports of invented pictures: two networks, one alone, one kind of picture only, one group only."""
    some = np.random.default_rng(1).integers(0, len(TASKS[task]), 120)
    ill = some[[TASKS[task][label] in MALIGNANT[task] for label in some]]
    pair = [told(task, network, some) for network in ("mobilenet", "cnn")]
    for turn, (of, others) in enumerate(
        (
            (pair[0], pair[1:]),
            (pair[0], []),
            (told(task, "mobilenet", ill), []),
            (told(task, "cnn", some, groups=1), []),
        )
    ):
        report = build(
            of, siblings=others, basis="external", basis_words="Read.", data=Data(grade), card={}, resamples=20,
            identity={"network": of.network, "task": task, "group_column": "block"},
        )  # fmt: skip
        release = released(report, stage="retired", network=of.network, version=f"2.{turn}")
        page = open_page(client, release)
        assert "Download the whole report" in page
        assert ("patients" in parts(page)) == (grade != "D")


@pytest.mark.parametrize("of", [cell_report, field_report])
def test_any_part_may_be_null(of: Callable[[], Report], client: Client, released: Callable[..., ModelRelease]) -> None:
    """The page is still that of the report: only what it is about must be there."""
    for part in sorted(set(of()) - {"format", "identity"}):
        page = open_page(client, released(of() | {part: None}, stage="retired", version=f"2.0 {part}"))
        assert "Download the whole report" in page, part


def test_card_alone_says_why(client: Client, tmp_path: Path) -> None:
    cell, other = carded(tmp_path, "cell-cnn"), carded(tmp_path, "cell-mobilenet")
    page = open_page(client, cell)
    said = text(page)
    assert "The evaluation report of this release is not on this machine." in said
    figures = cell.card["metrics"]["held_out"]["figures"]
    assert f"Malignant AUROC {number(figures['malignant_auroc']['value'])}" in said
    assert "Learnt from" in said
    assert parts(page) == ["figures", "operating", "classes", "confusion", "card"]
    assert f'href="{reverse("model", args=[other.pk])}"' in page.split('id="figures"')[1].split("</thead>")[0]
    assert "Download" not in page
    assert client.get(reverse("model-report", args=[cell.pk])).status_code == 404


def test_bare_card_claims_nothing(client: Client) -> None:
    said = text(page := open_page(client, make_release("cell", "cnn")))
    assert "Its card states no figures." in said
    assert parts(page) == ["card"]


def spoil_digest(report: Report) -> str:
    report["identity"]["digest"] = "0" * 64
    return json.dumps(report)


def spoil_format(report: Report) -> str:
    return json.dumps(report | {"format": 1})


def spoil_classes(report: Report) -> str:
    return json.dumps(report | {"per_class": ["blast"]})


def spoil_figures(report: Report) -> str:
    return json.dumps(report | {"accuracy": {"value": "high", "low": 0, "high": 1}})


def spoil_rows(report: Report) -> str:
    return json.dumps(report | {"confusion": {"classes": ["blast"], "counts": []}})


@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (spoil_digest, "belongs to another release"),
        (spoil_format, "has a format that this version of LeukoLens does not know"),
        (lambda report: '{"format": 2, "identity"', "cannot be read"),
        (lambda report: "[]", "cannot be read"),
        (lambda report: "\ud800".encode("utf-8", "surrogatepass"), "cannot be read"),
        (spoil_classes, "cannot be read"),
        (spoil_figures, "cannot be read"),
        (spoil_rows, "cannot be read"),
    ],
)
def test_unfit_report_leaves_the_card(
    spoil: Callable[[Report], str | bytes], why: str, client: Client, released: Callable[..., ModelRelease]
) -> None:
    report = cell_report()
    release = released(report)
    content = spoil(report)
    path = Path(release.bundle) / "report.json"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    page = open_page(client, release)
    assert why in text(page)
    assert parts(page) == ["card"]
    listed = client.get(reverse("model-list"))
    assert listed.status_code == 200
    assert f"{release.version}" in listed.content.decode()


def test_report_can_be_taken_away(client: Client, released: Callable[..., ModelRelease]) -> None:
    report = cell_report()
    release = released(report)
    answer = client.get(reverse("model-report", args=[release.pk]))
    assert answer["Content-Disposition"] == 'attachment; filename="cell-mobilenet-2.0.0-report.json"'
    assert answer["Content-Type"] == "application/json"
    assert answer.json() == report
    # What lies there later belongs to a release that comes later.
    (Path(release.bundle) / "report.json").write_text("{}")
    assert client.get(reverse("model-report", args=[release.pk])).json() == report


def test_list_shows_both_networks_side_by_side(
    client: Client, released: Callable[..., ModelRelease], tmp_path: Path
) -> None:
    assert text(client.get(reverse("model-list")).content.decode()).count("No network is active") == 2
    mobilenet, cnn = released(cell_report()), carded(tmp_path, "cell-cnn")
    shadow = released(field_report(), stage="shadow")
    page = client.get(reverse("model-list")).content.decode()
    assert "Research use only – not for diagnostic use" in page
    assert ' style="' not in page
    cells, fields = page.split('id="task-cell"')[1].split('id="task-field"')
    active = cells.split("</thead>")[0]
    for release in (mobilenet, cnn):
        assert f'href="{reverse("model", args=[release.pk])}"' in active
    assert "Sensitivity" in cells
    assert "2,600 cells of 24 patients" in text(cells)
    assert "The evaluation report of this release is not on this machine." in cells
    assert "No network is active" in fields
    assert f'href="{reverse("model", args=[shadow.pk])}"' in fields.split("Shadow and retired releases")[1]


def test_pages_ask_the_database_the_same_however_many_releases(
    client: Client, released: Callable[..., ModelRelease], django_assert_max_num_queries: Any,
    django_assert_num_queries: Any,
) -> None:  # fmt: skip
    release = released(cell_report())
    for path, most in ((reverse("model-list"), 5), (reverse("model", args=[release.pk]), 6)):
        with django_assert_max_num_queries(most) as few:
            client.get(path)
        for _ in range(4):
            released(cell_report(), stage="retired", version=f"1.{ModelRelease.objects.count()}")
        with django_assert_num_queries(len(few)):
            client.get(path)


def test_every_member_reads_and_nobody_else(cast: Cast, released: Callable[..., ModelRelease]) -> None:
    """A model is the same for every laboratory, so that a member of another one sees the same page."""
    release = released(cell_report())
    paths = (
        reverse("model-list"),
        reverse("model", args=[release.pk]),
        reverse("model-report", args=[release.pk]),
    )
    for actor in (cast.technician, cast.pathologist, cast.administrator, cast.stranger):
        assert [signed_in(actor).get(path).status_code for path in paths] == [200, 200, 200]
    for path in paths:
        assert Client().get(path)["Location"].startswith("/account/login/")
    assert signed_in(cast.pathologist).get(reverse("model", args=[release.pk + 1])).status_code == 404
    assert signed_in(cast.pathologist).post(paths[1]).status_code == 405


def test_every_opinion_leads_to_its_model(cast: Cast, client: Client) -> None:
    case = cast.case()
    image = make_image(case)
    opinions = [read(image, "blast", network=network) for network in ("cnn", "mobilenet")]
    assessment.refresh(case.pk)
    of_image = client.get(reverse("image", args=[image.pk])).content.decode()
    of_case = client.get(reverse("case", args=[case.pk])).content.decode()
    said = of_image.split('id="opinions-title"')[1].split("</section>")[0]
    reading = of_case.split('class="small read-by"')[1].split("</p>")[0]
    for opinion in opinions:
        link = f'href="{reverse("model", args=[opinion.release_id])}"'
        assert link in said
        assert link in reading
    assert text(f"<p{reading}") == "Read by CNN 1.0.0 , MobileNet 1.0.0"
    # Nothing has read this one.
    empty = client.get(reverse("case", args=[cast.case().pk])).content.decode()
    assert "read-by" not in empty


def test_figures_in_words() -> None:
    assert (share(0.8745), share(0.8745, 0), share(1.0, 0), share(None)) == ("87.5 %", "87 %", "100 %", "–")
    assert (share(0.9981, 0), share(0.003, 0), share(0.0, 0)) == ("99.8 %", "0.3 %", "0 %")  # nearly all is not all
    assert (share(1 - 1e-12), number(1e-9)) == ("100.0 %", "0.000")  # but rounding is
    assert (number(0.97612), number(0.99973), number(1.0), number(float("nan"))) == ("0.976", "0.9997", "1.000", "–")
    assert (points(0.0432), points(-0.0004)) == ("4.3 points", "0.0 points")
    assert shown({"value": 0.5, "low": 0.41, "high": 0.6}, share).interval == "41.0–60.0 %"
    assert shown({"value": 0.01, "low": -0.02, "high": 0.03}, points).interval == "−2.0 to 3.0 points"
    assert shown({"value": None, "why": "one kind"}).why == "one kind"


@pytest.mark.parametrize(
    "values", [[], [0.0], [0.3], [None, 0.98, 0.99], [1e-9, 2e-9], [-3.0, 1200.0], [0.5, float("nan")]]
)
def test_axes_hold_what_is_drawn(values: list[float | None]) -> None:
    low, high = bounds(values)
    assert low < high
    assert all(low <= value <= high for value in values if value is not None and value == value)
    marks = ticks((low, high))
    assert 2 <= len(marks) <= 8
    assert all(low - 1e-9 <= mark <= high + 1e-9 for mark in marks)
