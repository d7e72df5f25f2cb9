"""The assessment as a pure function: its limits, its directions, and what it says in words."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diagnosis.assessment import Evidence, ImageEvidence, assess
from diagnosis.assessment.evidence import Assessment, Interval
from diagnosis.assessment.statistics import beta_above, logistic, logit, wilson
from diagnosis.assessment.words import percent, span
from mlcore.bundle import MALIGNANT, TASKS

searching = settings(max_examples=60, deadline=None)

BLOOD, MARROW = "peripheral_blood", "bone_marrow"
KINDS = tuple(TASKS)


def read(kind: str, label: str, sure: float = 0.95, *, id: int = 0, **more: object) -> ImageEvidence:
    """An image whose reading says `label` with probability `sure`, the rest spread evenly."""
    rest = (1 - sure) / (len(TASKS[kind]) - 1)
    probabilities = {name: sure if name == label else rest for name in TASKS[kind]}
    return ImageEvidence(
        id=id,
        kind=kind,
        status="done",
        label=max(probabilities, key=lambda name: probabilities[name]),
        malignant=sum(probabilities[name] for name in MALIGNANT[kind]),
        probabilities=probabilities,
        **more,  # type: ignore[arg-type]
    )


def case(*images: ImageEvidence, specimen: str = BLOOD) -> Evidence:
    return Evidence(specimen, tuple(replace(image, id=number) for number, image in enumerate(images, start=1)))


def cells(specimen: str = BLOOD, /, **counts: int) -> Evidence:
    return case(*(read("cell", label) for label, n in counts.items() for _ in range(n)), specimen=specimen)


def value(evidence: Evidence) -> float:
    malignant = assess(evidence).malignant
    assert malignant is not None
    return malignant.value


def flag_codes(assessment: Assessment) -> list[str]:
    return [flag.code for flag in assessment.flags]


@st.composite
def images(draw: st.DrawFn) -> ImageEvidence:
    kind = draw(st.sampled_from(KINDS))
    image = read(kind, draw(st.sampled_from(TASKS[kind])), draw(st.floats(0.15, 1.0)))
    decision = draw(st.none() | st.none() | st.sampled_from(TASKS[kind]))
    status = draw(st.sampled_from(["done", "done", "done", "failed", "queued", "running"]))
    if status != "done":
        image = replace(image, status=status, label=None, malignant=None, probabilities={})
    return replace(image, decision=decision, agree=draw(st.booleans()), novel=draw(st.booleans()))


cases = st.builds(
    lambda found, specimen: case(*found, specimen=specimen),
    st.lists(images(), max_size=12),
    st.sampled_from([BLOOD, MARROW]),
)


class TestFormulas:
    @pytest.mark.parametrize(("a", "b"), [(1, 1), (2, 5), (7, 3), (40, 160), (150, 60), (1, 400)])
    @pytest.mark.parametrize("line", [0.01, 0.2, 0.5, 0.9])
    def test_the_beta_tail_is_the_binomial_sum(self, a: int, b: int, line: float) -> None:
        n = a + b - 1
        exact = math.fsum(math.comb(n, j) * line**j * (1 - line) ** (n - j) for j in range(a))
        assert beta_above(line, a, b) == pytest.approx(exact, abs=1e-12)

    def test_the_beta_tail_of_fractional_counts(self) -> None:
        assert beta_above(0.2, 0.5, 0.5) == pytest.approx(1 - 2 / math.pi * math.asin(math.sqrt(0.2)), abs=1e-12)
        a, b, n = 3.7, 9.4, 200_000
        front = math.gamma(a + b) / math.gamma(a) / math.gamma(b)
        grid = (0.2 + 0.8 * (i + 0.5) / n for i in range(n))
        area = math.fsum(x ** (a - 1) * (1 - x) ** (b - 1) for x in grid) * 0.8 / n * front
        assert beta_above(0.2, a, b) == pytest.approx(area, abs=1e-9)

    @searching
    @given(st.floats(0.05, 5_000), st.floats(0.05, 5_000), st.floats(0, 100))
    def test_the_beta_tail_rises_with_the_successes(self, a: float, b: float, more: float) -> None:
        assert 0 <= beta_above(0.2, a, b + more) <= beta_above(0.2, a, b) + 1e-12
        assert beta_above(0.2, a, b) <= beta_above(0.2, a + more, b) + 1e-12 <= 1 + 1e-12

    def test_wilson_against_published_figures(self) -> None:
        # Newcombe, Stat Med 1998; 17: 857, table I, method 3.
        for part, whole, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
            assert wilson(part, whole) == pytest.approx((low, high), abs=5e-5)
        assert wilson(29, 29) == (pytest.approx(0.8830, abs=5e-5), 1.0)
        assert wilson(0, 0) == (0.0, 1.0)

    @searching
    @given(st.floats(-700, 700))
    def test_log_odds_and_back(self, odds: float) -> None:
        assert 0 <= logistic(odds) <= 1
        if abs(odds) < 20:
            assert logit(logistic(odds)) == pytest.approx(odds, abs=1e-6)

    @pytest.mark.parametrize(
        ("share", "words"),
        [(0, "0 %"), (0.001, "under 1 %"), (0.2, "20 %"), (0.973, "97 %"), (0.9999, "over 99 %"), (1, "100 %")],
    )
    def test_percent(self, share: float, words: str) -> None:
        assert percent(share) == words


class TestLimits:
    def test_no_evidence_is_none_not_nought(self) -> None:
        for evidence in (
            case(),
            case(ImageEvidence(1, "field", "queued"), ImageEvidence(2, "cell", "running")),
            case(ImageEvidence(1, "field", "failed")),
            cells(platelet=5, smudge_cell=3),
        ):
            assessment = assess(evidence)
            assert assessment.malignant is None
            assert assessment.cells.probability is assessment.fields.probability is None
            assert assessment.to_dict()["malignant"] is None

    @searching
    @given(cases)
    def test_every_figure_is_a_share_within_its_interval(self, evidence: Evidence) -> None:
        assessment = assess(evidence)
        parts = (assessment.fields, assessment.cells)
        for interval in (assessment.malignant, assessment.blasts, *(p.share for p in parts)):
            if interval is not None:
                assert 0 <= interval.low <= interval.value <= interval.high <= 1
        assert all(part.malignant <= part.count for part in parts)
        assert sum(count for _, count in assessment.differential) == assessment.cells.count
        assert (assessment.malignant is None) == (not any(part.count for part in parts))

    @searching
    @given(cases, st.randoms())
    def test_the_order_of_the_images_says_nothing(self, evidence: Evidence, shuffle: random.Random) -> None:
        mixed = list(evidence.images)
        shuffle.shuffle(mixed)
        assert assess(replace(evidence, images=tuple(mixed))) == assess(evidence)

    @pytest.mark.parametrize("n", [1, 10, 400])
    def test_clear_cases_are_clear(self, n: int) -> None:
        assert value(case(*[read("field", "benign", 0.99)] * n)) < 0.02
        assert value(case(*[read("field", "pro_b", 0.99)] * n)) > 0.98
        if n > 1:
            assert value(cells(neutrophil=n)) < 0.08
            assert value(cells(blast=n)) > 0.99

    def test_one_normal_cell_proves_little_and_ten_more(self) -> None:
        one, ten, hundred = (value(cells(neutrophil=n)) for n in (1, 10, 100))
        assert 0.15 < one < 0.35
        assert one > ten > hundred
        assert hundred < 0.001

    def test_on_the_line_it_is_open(self) -> None:
        def smear(blasts: int) -> Assessment:
            named = ["blast"] * blasts + ["neutrophil"] * (200 - blasts)
            return assess(case(*[read("cell", label, decision=label) for label in named]))

        ten, twenty = smear(20), smear(40)
        assert ten.malignant is not None
        assert ten.malignant.value == pytest.approx(0.5, abs=0.03)
        assert twenty.malignant is not None
        assert twenty.malignant.value > 0.999
        assert twenty.acute_leukaemia is not None
        assert twenty.acute_leukaemia.value == pytest.approx(0.5, abs=0.02)

    def test_many_equal_fields_do_not_multiply_into_certainty(self) -> None:
        few, many = (assess(case(*[read("field", "pre_b", 0.6)] * n)).malignant for n in (2, 200))
        assert few is not None
        assert many is not None
        assert many.value == pytest.approx(few.value)
        assert many.high - many.low < few.high - few.low

    def test_no_opinion_counts_for_more_than_99_to_1(self) -> None:
        assert value(case(read("field", "pro_b", 1.0))) == pytest.approx(0.99)


def test_the_worked_examples_of_the_docs() -> None:
    """Each row of the table in docs/assessment.md is what the code says today."""
    text = (Path(__file__).parents[2] / "docs" / "assessment.md").read_text()
    rows = re.findall(r"^\| (\d+ × .+?) \| (.+?) \| (.+?) \|$", text, re.MULTILINE)
    assert len(rows) >= 10
    for told, middle, ends in rows:
        found = []
        for n, label, sure, decided in re.findall(r"(\d+) × (\w+) (?:at (0\.\d+)|(decided))", told):
            kind = "field" if label in TASKS["field"] else "cell"
            image = read(kind, label, float(sure or 0.9), decision=label if decided else None)
            found += [image] * int(n)
        malignant = assess(case(*found)).malignant
        assert malignant is not None
        assert (percent(malignant.value), span(malignant.low, malignant.high)) == (middle, ends), told


class TestDirections:
    @searching
    @given(cases, st.integers(0, 11), st.floats(0, 1))
    def test_a_more_malignant_opinion_never_lowers_it(self, evidence: Evidence, at: int, share: float) -> None:
        """Moving probability from the other classes to a malignant one."""
        if not evidence.images:
            return
        image = evidence.images[at % len(evidence.images)]
        if not image.probabilities:
            return
        target = "blast" if image.kind == "cell" else "pro_b"
        new = {
            label: p * (1 - share) + (share if label == target else 0)
            if label not in MALIGNANT[image.kind]
            else p
            + (share * (1 - sum(image.probabilities[m] for m in MALIGNANT[image.kind])) if label == target else 0)
            for label, p in image.probabilities.items()
        }
        raised = replace(
            image,
            probabilities=new,
            malignant=sum(new[label] for label in MALIGNANT[image.kind]),
            label=max(new, key=lambda label: new[label]),
        )
        others = tuple(other for other in evidence.images if other is not image)
        before, after = assess(evidence), assess(replace(evidence, images=(*others, raised)))
        if before.malignant is not None:
            assert after.malignant is not None
            assert after.malignant.value >= before.malignant.value - 1e-9

    @searching
    @given(cases, st.integers(0, 11), st.sampled_from(["pro_b", "early_pre_b", "pre_b"]))
    def test_a_person_who_calls_it_malignant_never_lowers_it(self, evidence: Evidence, at: int, stage: str) -> None:
        if not evidence.images:
            return
        image = evidence.images[at % len(evidence.images)]
        label = stage if image.kind == "field" else "blast"
        others = tuple(other for other in evidence.images if other is not image)
        after = value(replace(evidence, images=(*others, replace(image, decision=label))))
        before = assess(evidence).malignant
        assert before is None or after >= before.value - 1e-9

    @searching
    @given(cases, st.integers(0, 11))
    def test_a_person_who_calls_it_benign_never_raises_it(self, evidence: Evidence, at: int) -> None:
        if not evidence.images:
            return
        image = evidence.images[at % len(evidence.images)]
        label = "benign" if image.kind == "field" else "neutrophil"
        others = tuple(other for other in evidence.images if other is not image)
        before, after = assess(evidence), assess(replace(evidence, images=(*others, replace(image, decision=label))))
        was_counted = {KINDS[0]: before.fields, KINDS[1]: before.cells}[image.kind].count > 0
        if before.malignant is not None and was_counted:
            assert after.malignant is not None
            assert after.malignant.value <= before.malignant.value + 1e-9

    @searching
    @given(cases, st.sampled_from(KINDS))
    def test_one_more_image_that_a_person_calls_malignant_never_lowers_it(self, evidence: Evidence, kind: str) -> None:
        more = ImageEvidence(99, kind, "done", decision={"field": "pre_b", "cell": "blast"}[kind])
        before, after = assess(evidence).malignant, value(replace(evidence, images=(*evidence.images, more)))
        assert before is None or after >= before.value - 1e-9

    @searching
    @given(cases, cases)
    def test_decisions_dominate_opinions(self, evidence: Evidence, other: Evidence) -> None:
        """Where a person has decided on every image, what the networks said changes no figure."""
        decided = [replace(i, decision=i.decision or TASKS[i.kind][i.id % len(TASKS[i.kind])]) for i in evidence.images]
        said_else = [
            replace(
                image,
                **{
                    name: getattr(opinion, name)
                    for name in ("label", "malignant", "probabilities", "agree", "novel", "status")
                },
            )
            if opinion.kind == image.kind
            else image
            for image, opinion in zip(decided, [*other.images, *evidence.images], strict=False)
        ]
        first, second = (assess(Evidence(evidence.specimen, tuple(found))) for found in (decided, said_else))
        assert first.malignant == second.malignant
        assert (first.fields, first.cells, first.differential) == (second.fields, second.cells, second.differential)
        assert first.flags == second.flags
        assert first.status == second.status

    def test_one_field_in_which_a_person_saw_blasts_settles_it(self) -> None:
        benign = [read("field", "benign", 0.99, decision="benign")] * 10
        assert value(case(*benign)) < 0.01
        assert value(case(*benign, read("field", "benign", 0.99, decision="pro_b"))) > 0.99

    def test_the_higher_part_stands_and_both_are_shown(self) -> None:
        fields = [read("field", "benign", 0.99)] * 3
        alone, blasts = case(*fields), cells(blast=60, neutrophil=40)
        both = assess(case(*fields, *blasts.images))
        assert both.malignant == both.cells.probability == assess(blasts).malignant
        assert both.fields.probability == assess(alone).malignant
        assert "parts_differ" in flag_codes(both)

    def test_unsure_cells_widen_the_interval(self) -> None:
        sure, unsure = (
            assess(case(*[read("cell", "blast", p)] * 25, *[read("cell", "monocyte", p)] * 75)).malignant
            for p in (0.99, 0.6)
        )
        assert sure is not None
        assert unsure is not None
        assert unsure.high - unsure.low > sure.high - sure.low


class TestDifferential:
    def test_what_is_no_nucleated_white_cell_is_not_counted(self) -> None:
        counts = {"blast": 10, "neutrophil": 30, "platelet": 7, "smudge_cell": 5, "erythroblast": 8}
        blood, marrow = assess(cells(BLOOD, **counts)), assess(cells(MARROW, **counts))
        assert blood.differential == (("neutrophil", 30), ("blast", 10))
        assert blood.not_counted == (("erythroblast", 8), ("platelet", 7), ("smudge_cell", 5))
        assert blood.blasts is not None
        assert blood.blasts.value == 0.25
        # WHO counts marrow blasts against all nucleated cells, so erythroblasts move the case below the line.
        assert marrow.differential == (("neutrophil", 30), ("blast", 10), ("erythroblast", 8))
        assert marrow.blasts is not None
        assert marrow.blasts.value == pytest.approx(10 / 48)

    def test_decisions_go_before_opinions(self) -> None:
        assessment = assess(
            case(
                read("cell", "blast", decision="lymphocyte"),
                read("cell", "blast"),
                read("cell", "platelet", decision="blast"),
            )
        )
        assert assessment.differential == (("blast", 2), ("lymphocyte", 1))
        assert assessment.cells.decided == 2

    def test_as_a_dict(self) -> None:
        told = assess(case(*cells(blast=3, neutrophil=1).images, read("field", "pro_b"))).to_dict()
        assert told.keys() == {
            "malignant", "fields", "cells", "differential", "flags", "progress", "statement", "research_use_only",
        }  # fmt: skip
        assert told["research_use_only"] is True
        assert told["fields"].keys() >= {"count", "malignant", "share", "low", "high"}
        assert told["cells"]["blast_share"] == {"value": 0.75, "low": 0.3006, "high": 0.9544}
        assert told["differential"] == [
            {"label": "blast", "count": 3, "share": 0.75},
            {"label": "neutrophil", "count": 1, "share": 0.25},
        ]
        assert told["progress"] == {"images": 5, "done": 5, "failed": 0, "waiting": 0, "decided": 0}


class TestFlags:
    def test_a_normal_smear_raises_none(self) -> None:
        normal = cells(neutrophil=60, lymphocyte=30, monocyte=8, eosinophil=2)
        assert assess(normal).flags == ()
        assert value(normal) < 0.01

    def test_blasts_on_the_line(self) -> None:
        for blasts, codes in ((19, ["immature_cells"]), (20, ["blasts_20"]), (0, [])):
            assert flag_codes(assess(cells(blast=blasts, neutrophil=100 - blasts))) == codes
        flag = assess(cells(blast=34, neutrophil=66)).flags[0]
        assert (flag.level, flag.title) == ("alarm", "Blasts are 34 % of the counted cells")
        assert flag.detail.startswith("34 of 100 counted cells (95 % interval 25 % to 44 %).")
        assert flag.rests_on == tuple(range(1, 35))

    def test_promyelocytes_predominate(self) -> None:
        apl = assess(cells(promyelocyte=60, blast=10, neutrophil=30))
        assert flag_codes(apl) == ["promyelocytes"]
        assert "Urgent" in apl.flags[0].detail
        assert apl.flags[0].rests_on == tuple(range(1, 61))
        assert flag_codes(assess(cells(promyelocyte=25, blast=30, neutrophil=45))) == ["blasts_20"]
        assert flag_codes(assess(cells(promyelocyte=12, blast=12, neutrophil=76))) == ["malignant_pattern_20"]

    def test_a_few_promyelocytes_are_normal_in_marrow_only(self) -> None:
        counts = {"promyelocyte": 4, "blast": 2, "neutrophil": 94}
        assert flag_codes(assess(cells(MARROW, **counts))) == []
        assert flag_codes(assess(cells(BLOOD, **counts))) == ["immature_cells"]
        assert flag_codes(assess(cells(MARROW, blast=6, neutrophil=94))) == ["immature_cells"]

    def test_plasma_cells(self) -> None:
        assert flag_codes(assess(cells(MARROW, plasma_cell=10, neutrophil=90))) == ["plasma_cells"]
        assert flag_codes(assess(cells(MARROW, plasma_cell=9, neutrophil=91))) == []
        assert flag_codes(assess(cells(BLOOD, plasma_cell=5, neutrophil=95))) == ["plasma_cells"]

    def test_malignant_fields(self) -> None:
        many = assess(case(*[read("field", "pro_b")] * 3, *[read("field", "early_pre_b")], read("field", "benign")))
        assert [(f.code, f.level, f.rests_on) for f in many.flags] == [("malignant_fields", "alarm", (1, 2, 3, 4))]
        assert many.flags[0].title == "4 of 5 fields look like acute lymphoblastic leukaemia"
        assert "pro-B 3, early pre-B 1" in many.flags[0].detail
        one = assess(case(*[read("field", "benign")] * 9, read("field", "pre_b")))
        assert [(f.code, f.level) for f in one.flags] == [("malignant_fields", "doubt")]
        assert one.flags[0].title == "1 of 10 fields looks like acute lymphoblastic leukaemia"

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"agree": False}, "networks_disagree"),
            ({"novel": True}, "unlike_training"),
            ({"poor_quality": True}, "poor_quality"),
            ({"status": "failed"}, "reading_failed"),
        ],
    )
    def test_doubts_rest_on_their_images_until_a_person_decides(self, change: dict[str, object], code: str) -> None:
        clear, doubtful = read("field", "benign"), replace(read("field", "benign"), **change)  # type: ignore[arg-type]
        assessment = assess(case(clear, doubtful, clear, doubtful))
        assert [(flag.code, flag.rests_on) for flag in assessment.flags] == [(code, (2, 4))]
        decided = replace(doubtful, decision="benign")
        assert assess(case(clear, decided, clear, decided)).flags == ()

    def test_too_few_cells(self) -> None:
        assert flag_codes(assess(cells(neutrophil=99))) == ["few_cells"]
        assert flag_codes(assess(cells(neutrophil=100))) == []
        assert "full differential counts 200" in assess(cells(neutrophil=1)).flags[0].detail
        assert "full differential counts 500" in assess(cells(MARROW, neutrophil=1)).flags[0].detail
        assert flag_codes(assess(cells(platelet=100))) == ["few_cells"]
        alarm = assess(cells(blast=2, neutrophil=2))
        assert flag_codes(alarm) == ["blasts_20", "few_cells"]
        assert "Preliminary" in alarm.flags[0].detail

    @searching
    @given(cases)
    def test_every_flag_rests_on_images_of_the_case(self, evidence: Evidence) -> None:
        ids = {image.id for image in evidence.images}
        flags = assess(evidence).flags
        assert all(set(flag.rests_on) <= ids for flag in flags)
        assert all(flag.rests_on for flag in flags if flag.code != "few_cells")
        assert len({flag.code for flag in flags}) == len(flags)
        order = [("alarm", "doubt", "info").index(flag.level) for flag in flags]
        assert order == sorted(order)


class TestStatusAndStatement:
    @pytest.mark.parametrize(
        ("statuses", "decided", "status"),
        [
            ([], [], "received"),
            (["queued", "done"], [], "reading"),
            (["running", "failed"], [], "reading"),
            (["failed", "done"], [], "attention"),
            (["failed", "done"], [1], "attention"),
            (["failed", "done"], [0], "in_review"),
            (["queued", "done"], [0], "in_review"),
            (["done", "done"], [], "ready"),
            (["done", "done"], [1], "in_review"),
            (["done", "failed"], [0, 1], "reviewed"),
        ],
    )
    def test_the_status_of_a_case(self, statuses: list[str], decided: list[int], status: str) -> None:
        found = [
            ImageEvidence(at, "field", each, decision="benign" if at in decided else None)
            for at, each in enumerate(statuses)
        ]
        assert assess(Evidence(BLOOD, tuple(found))).status == status

    def test_the_statement_says_what_it_rests_on(self) -> None:
        mixed = case(
            *[read("field", "pro_b", 0.9)] * 2,
            read("field", "benign", 0.9, decision="pre_b"),
            *cells(blast=30, neutrophil=70).images,
            ImageEvidence(0, "cell", "queued"),
        )
        assert assess(mixed).statement == (
            "Probability of blood cancer over 99 % (95 % interval over 99 %). It rests on 3 fields, 3 of "
            "malignant pattern and on 100 nucleated cells, 30 of malignant pattern. A person decided 1 of these 103. "
            "Still reading: 1 of 104."
        )

    def test_the_statement_without_evidence(self) -> None:
        assert assess(case()).statement == "No image yet."
        assert assess(case(ImageEvidence(1, "cell", "queued"))).statement == "Nothing read yet. Still reading: 1 of 1."
        assert assess(case(ImageEvidence(1, "cell", "failed"))).statement.startswith("No image could be read")
        assert assess(cells(platelet=2)).statement.startswith("No field and no nucleated cell")

    @searching
    @given(cases)
    def test_the_dict_rounds_but_does_not_change(self, evidence: Evidence) -> None:
        assessment = assess(evidence)
        told = assessment.to_dict()["malignant"]
        if assessment.malignant is not None:
            assert told["value"] == pytest.approx(assessment.malignant.value, abs=5e-5)
            assert Interval(**told).low <= Interval(**told).value <= Interval(**told).high
