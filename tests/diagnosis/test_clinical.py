"""Clinical data beside the smear: slips of the unit, two people at once, ranges, and what does not fit together."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.utils import timezone

from diagnosis import audit, clinical, clinical_hints
from diagnosis.clinical import ClinicalConflict, ClinicalError
from diagnosis.models import AuditEvent, Case, ClinicalData, Patient
from tests.cast import Cast

pytestmark = pytest.mark.django_db

COUNT = {"wbc": 42.5, "haemoglobin": 8.1, "platelets": 31.0, "blasts": 60.0}


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case()


def test_what_is_entered_stands_and_is_told(cast: Cast, case: Case) -> None:
    assert clinical.of_case(case).revision == 0
    saved = clinical.save(
        actor=cast.technician, case=case, expected_revision=0, counted_on=date(2026, 3, 1), **COUNT,
        cytogenetics=["complex", "t_15_17"], immunophenotype={"CD117": "dim", "CD34": "negative"},
        immunophenotype_text=" HLA-DR negative. ",
    )  # fmt: skip
    saved.refresh_from_db()
    assert (saved.revision, saved.wbc, saved.counted_on, saved.updated_by) == (
        1, 42.5, date(2026, 3, 1), cast.technician.user,
    )  # fmt: skip
    assert saved.cytogenetics == ["t_15_17", "complex"]  # as the vocabulary orders them
    assert saved.immunophenotype == {"CD34": "negative", "CD117": "dim"}
    assert saved.immunophenotype_text == "HLA-DR negative."
    again = clinical.save(actor=cast.pathologist, case=case, expected_revision=1, wbc=40.0)
    assert (again.revision, again.haemoglobin) == (2, 8.1)
    changed, entered = audit.history(case)[:2]
    assert changed.sentence == "Paul Pathologist changed clinical data: white cells 40"
    assert changed.detail["changes"] == {"wbc": [42.5, 40]}
    assert entered.sentence == (
        "Tess Technician entered clinical data: date of the blood count, white cells 42.5, haemoglobin 8.1, "
        "platelets 31, blasts by counter 60, cytogenetics, immunophenotype and text on the immunophenotype"
    )


def test_saving_what_stands_writes_nothing(cast: Cast, case: Case) -> None:
    clinical.save(actor=cast.technician, case=case, expected_revision=0, **COUNT)
    before = AuditEvent.objects.count()
    assert clinical.save(actor=cast.technician, case=case, expected_revision=1, **COUNT).revision == 1
    assert AuditEvent.objects.count() == before


def test_nobody_covers_what_came_meanwhile(cast: Cast, case: Case) -> None:
    clinical.save(actor=cast.technician, case=case, expected_revision=0, wbc=4.0)
    with pytest.raises(ClinicalConflict, match="Tess Technician saved other clinical data") as caught:
        clinical.save(actor=cast.pathologist, case=case, expected_revision=0, wbc=5.0)
    assert caught.value.current.wbc == 4.0
    assert ClinicalData.objects.get(case=case).wbc == 4.0


@pytest.mark.parametrize(
    ("field", "value", "offer", "words"),
    [
        ("haemoglobin", 134.0, 13.4, "134 g/l, that is 13.4 g/dl"),
        ("wbc", 8_500.0, 8.5, "8,500 /µl, that is 8.5 10⁹/l"),
        ("platelets", 150_000.0, 150.0, "150,000 /µl, that is 150 10⁹/l"),
        ("wbc", 9e9, None, "cannot be"),
        ("blasts", 101.0, None, "cannot be"),
        ("wbc", -1.0, None, "from 0 on"),
        ("wbc", float("nan"), None, "from 0 on"),
        ("platelets", float("inf"), None, "from 0 on"),
    ],
)
def test_another_unit_is_caught_and_the_value_offered(
    cast: Cast, case: Case, field: str, value: float, offer: float | None, words: str
) -> None:
    with pytest.raises(ClinicalError, match=words) as caught:
        clinical.save(actor=cast.technician, case=case, expected_revision=0, confirmed=[field], **{field: value})
    assert (caught.value.code, caught.value.field, caught.value.offer) == ("impossible", field, offer)
    assert not ClinicalData.objects.exists()


@pytest.mark.parametrize(
    ("field", "value", "offer"),
    [("wbc", 800.0, 0.8), ("platelets", 3_000.0, 3.0), ("haemoglobin", 24.0, 2.4), ("haemoglobin", 1.4, None)],
)
def test_a_rare_value_is_asked_about_once(
    cast: Cast, case: Case, field: str, value: float, offer: float | None
) -> None:
    with pytest.raises(ClinicalError, match="very rare") as caught:
        clinical.save(actor=cast.technician, case=case, expected_revision=0, **{field: value})
    assert (caught.value.code, caught.value.offer) == ("rare", offer)
    saved = clinical.save(actor=cast.technician, case=case, expected_revision=0, confirmed=[field], **{field: value})
    assert getattr(saved, field) == value


def test_dates_and_codes_that_cannot_be(cast: Cast) -> None:
    born = Patient.objects.create(laboratory=cast.laboratory, mrn="B-1", birth_date=date(2020, 5, 1))
    case = cast.case(patient=born)
    for fields in (
        {"counted_on": timezone.localdate() + timedelta(days=1)},
        {"counted_on": date(2019, 1, 1)},
        {"cytogenetics": ["t_99_99"]},
        {"immunophenotype": {"CD999": "positive"}},
        {"immunophenotype": {"CD34": "perhaps"}},
        {"cytogenetics_text": "x" * 4_001},
        {"cytogenetics_text": "a\x00b"},
    ):
        with pytest.raises(ClinicalError) as caught:
            clinical.save(actor=cast.technician, case=case, expected_revision=0, **fields)
        assert caught.value.field in fields
    with pytest.raises(ClinicalError, match="Check the year"):
        clinical.save(actor=cast.technician, case=cast.case(), expected_revision=0, counted_on=date(1926, 3, 1))
    with pytest.raises(TypeError, match="height"):
        clinical.save(actor=cast.technician, case=case, expected_revision=0, height=180)


def test_who_may(cast: Cast, case: Case) -> None:
    for actor in (cast.administrator, cast.stranger):
        with pytest.raises(PermissionDenied):
            clinical.save(actor=actor, case=case, expected_revision=0, wbc=4.0)


# ---- what the numbers say ------------------------------------------------------------------------------------------
def data(**fields: object) -> ClinicalData:
    return ClinicalData(**fields)


def person(sex: str = "female", born: date | None = date(1970, 1, 1)) -> Patient:
    return Patient(sex=sex, birth_date=born)


@pytest.mark.parametrize(
    ("sex", "born", "haemoglobin", "level", "words"),
    [
        ("female", date(1970, 1, 1), 12.5, "", "12–15, women"),
        ("male", date(1970, 1, 1), 12.5, "low", "13–17, men"),
        ("unknown", date(1970, 1, 1), 12.5, "", "12–17, either sex"),
        ("male", date(2022, 1, 1), 10.9, "low", "11–14"),
        ("male", date(2012, 1, 1), 10.9, "", ""),
        ("male", None, 5.0, "", ""),
    ],
)
def test_ranges_follow_sex_and_age(sex: str, born: date | None, haemoglobin: float, level: str, words: str) -> None:
    (figure,) = clinical_hints.figures(data(haemoglobin=haemoglobin), person(sex, born), on=date(2026, 3, 1))
    assert (figure.level, figure.range_words) == (level, words)
    assert bool(clinical_hints.no_range_words(person(sex, born), on=date(2026, 3, 1))) == (words == "")


def test_age_counts_full_years() -> None:
    assert clinical_hints.age_at(date(2008, 3, 2), date(2026, 3, 1)) == 17
    assert clinical_hints.age_at(date(2008, 3, 1), date(2026, 3, 1)) == 18


def test_counter_against_reviewed_cells() -> None:
    def said(blasts: float, reviewed: list[str], specimen: str = "peripheral_blood") -> list[str]:
        found = clinical_hints.remarks(data(blasts=blasts), specimen=specimen, assessment={}, reviewed=reviewed)
        return [remark.title for remark in found]

    few_blasts = ["blast"] * 2 + ["lymphocyte"] * 48 + ["platelet"] * 30 + ["erythroblast"] * 30
    assert said(45.0, few_blasts) == ["Counter and review differ: 45 % and 4 % blasts"]
    assert said(5.0, few_blasts) == []
    assert said(0.0, ["blast"] * 3) == []  # too few to say
    assert said(45.0, few_blasts, "bone_marrow") == []  # the counter counts blood


def test_genetics_and_markers_against_the_images() -> None:
    def titles(assessment: dict[str, object], **fields: object) -> list[str]:
        found = clinical_hints.remarks(data(**fields), specimen="peripheral_blood", assessment=assessment, reviewed=[])
        return [f"{remark.level}: {remark.title}" for remark in found]

    low = {"malignant": {"value": 0.03, "low": 0.0, "high": 0.1}, "flags": []}
    assert titles(low, cytogenetics=["t_15_17", "normal"]) == [
        "alarm: PML::RARA: acute promyelocytic leukaemia",
        "doubt: t(15;17)(q24;q21), PML::RARA defines acute promyelocytic leukaemia",
        "doubt: Normal karyotype beside a finding",
    ]
    assert titles(low, cytogenetics=["del_5q"]) == []
    apl = {"malignant": {"value": 0.98}, "flags": [{"code": "promyelocytes"}, {"code": "malignant_fields"}]}
    markers = {"MPO": "positive", "Kappa": "dim", "Lambda": "dim"}
    assert titles(apl, cytogenetics=["normal"], immunophenotype=markers) == [
        "doubt: Kappa and lambda are both positive",
        "doubt: MPO is positive; the fields look lymphoblastic to the networks",
        "doubt: Promyelocytes predominate, and PML::RARA is not among the findings",
    ]
    assert titles({}, immunophenotype={"Kappa": "positive", "Lambda": "negative"}) == []
