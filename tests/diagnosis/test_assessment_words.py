"""What the assessment says: differential, flags, the status of a case, the statement in words."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given

from diagnosis.assessment import Evidence, ImageEvidence, assess
from diagnosis.assessment.evidence import Interval
from tests.diagnosis.evidence import BLOOD, MARROW, case, cases, cells, flag_codes, read, searching, value


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

    def test_fields_that_are_likely_malignant_without_leading_so_are_what_the_difference_rests_on(self) -> None:
        doubtful = [read("field", "benign", 0.3) for _ in range(2)]
        assessment = assess(case(*doubtful, *cells(lymphocyte=30).images))
        (differ,) = [flag for flag in assessment.flags if flag.code == "parts_differ"]
        assert differ.rests_on == (1, 2)

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
