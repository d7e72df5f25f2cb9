"""The assessment as a pure function: its limits, its directions, and what it says in words."""

from __future__ import annotations

import math
import random
import re
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diagnosis.assessment import Evidence, ImageEvidence, assess
from diagnosis.assessment.evidence import Assessment
from diagnosis.assessment.statistics import beta_above, logistic, logit, wilson
from diagnosis.assessment.words import percent, span
from mlcore.bundle import MALIGNANT, TASKS
from tests.diagnosis.evidence import KINDS, case, cases, cells, flag_codes, read, searching, value


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
