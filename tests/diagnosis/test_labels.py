"""Labels: what is printed is read back by a decoder that shares nothing with the encoders, at 300 dpi."""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
import zxingcpp
from django.core.exceptions import PermissionDenied
from PIL import Image, ImageFilter

from diagnosis.labels import choosing, printing
from diagnosis.labels.layout import DOT, Drawing, LabelRefused, Line, Words, lay_out
from diagnosis.labels.printing import Order, compile_labels, print_labels
from diagnosis.labels.settings import SettingsChanged, save_settings, settings_of
from diagnosis.labels.stock import MEASURES, ROLLS, Stock, StockError, own_sheet, stocks
from diagnosis.models import AuditEvent, Case
from mlcore.codes import read_codes
from tests.cast import Cast
from tests.diagnosis.test_report_pdf import HOSTILE, raw

SHEET = dict(zip(MEASURES, (3, 8, 63.5, 33.9, 7.2, 13, 66.1, 33.9), strict=True))
BY_KEY = stocks({})


def pictures(stock: Stock, code: str, *words: Words, start: int = 1) -> list[Image.Image]:
    """Each page as a printer of 300 dpi has it: black or white, nothing between."""
    labels = [(each.accession, lay_out(stock, code, each)) for each in words]
    pages = compile_labels(stock, labels, start=start, form="png", ppi=300)
    return [Image.open(io.BytesIO(page)).convert("L").point(lambda value: 255 * (value > 127)) for page in pages]


def said(picture: Image.Image) -> list[tuple[str, str]]:
    """(kind of code, text), from top to bottom."""
    found = zxingcpp.read_barcodes(np.asarray(picture), text_mode=zxingcpp.TextMode.Plain)
    return [
        (each.format.name, each.text)
        for each in sorted(found, key=lambda each: (each.position.top_left.y, each.position.top_left.x))
    ]


@pytest.mark.parametrize(
    ("stock", "code", "accession"),
    [
        ("22x15", "qr", "S26-0123"),
        ("22x15", "qr", "Größe 26/Ü-7 №1"),
        ("22x15", "qr", "A-LONG-ACCESSION-2026/000123.4"),
        ("22x15", "code128", "12345678"),
        ("24x24", "qr", "S" * 64),
        ("24x24", "code128", "S26-0123"),
        ("24x24", "both", "S26-0123"),
        ("25x10", "qr", "S26-0123"),
        ("25x10", "code128", "26-123"),
        ("38x21", "code128", "S26-01234/7-A"),
        ("38x21", "both", "s26_0123~x"),
    ],
)
def test_a_printed_label_says_its_accession_to_a_scanner(stock: str, code: str, accession: str) -> None:
    (page,) = pictures(BY_KEY[stock], code, Words(accession, ("Smear 12", "MGG")))
    kinds = {"qr": ["QRCode"], "code128": ["Code128"], "both": ["QRCode", "Code128"]}[code]
    assert said(page) == [(kind, accession) for kind in kinds]
    assert page.size == tuple(round(side / DOT) for side in BY_KEY[stock].page)


@pytest.mark.parametrize(("stock", "code"), [("22x15", "qr"), ("25x10", "qr"), ("38x21", "code128"), ("24x24", "both")])
def test_a_printed_label_that_is_photographed_leads_back_to_its_number(stock: str, code: str) -> None:
    (page,) = pictures(BY_KEY[stock], code, Words("S26-0123", ("Smear 1", "MGG")))
    bench = Image.new("L", (1_000, 800), 190)
    seen = page.resize((page.width * 2, page.height * 2)).rotate(4, expand=True, fillcolor=190)
    bench.paste(seen, (40, 60))
    bench = bench.filter(ImageFilter.GaussianBlur(1.5))
    assert [each.text for each in read_codes(np.asarray(bench.convert("RGB")))] == ["S26-0123"]


def test_a_label_leaves_quiet_zones_and_room() -> None:
    for stock in ROLLS:
        for code in ("qr", "code128", "both"):
            try:
                parts = lay_out(stock, code, Words("26-1234", ("Smear 1", "MGG"), ""))
            except LabelRefused:
                assert stock.key in ("22x15", "25x10")
                continue
            high = [each.height if isinstance(each, Drawing) else each.size for each in parts]
            boxes = [(p.x, p.y, p.x + p.width, p.y + tall) for p, tall in zip(parts, high, strict=True)]
            for at, (left, top, right, bottom) in enumerate(boxes):
                assert left >= 0 <= top
                assert right <= stock.width + 1e-6
                assert bottom <= stock.height + 1e-6
                for other in boxes[at + 1 :]:
                    apart = right <= other[0] + 0.01 or other[2] <= left + 0.01 or bottom <= other[1] + 0.01
                    assert apart or other[3] <= top + 0.01, (stock.key, code, boxes)


@pytest.mark.parametrize(
    ("stock", "code", "words", "reason"),
    [
        ("22x15", "code128", Words("S26-01234"), "too long for Code 128"),
        ("38x21", "code128", Words("Ü-1"), "cannot say"),
        ("38x21", "code128", Words("ñ-1"), "cannot say"),
        ("25x10", "both", Words("26-1"), "does not fit"),
        ("25x10", "qr", Words("S" * 64), "does not fit|no room"),
        ("25x10", "code128", Words("26-1", ("Smear 1",), "Jane"), "too low"),
    ],
)
def test_what_could_not_be_scanned_is_not_printed(stock: str, code: str, words: Words, reason: str) -> None:
    with pytest.raises(LabelRefused, match=reason):
        lay_out(BY_KEY[stock], code, words)


def test_a_sheet_goes_on_at_a_position() -> None:
    stock = BY_KEY["a4-65"]
    first, second = pictures(stock, "qr", *(Words(f"S26-{n}") for n in range(3)), start=64)
    assert said(first) == [("QRCode", "S26-0"), ("QRCode", "S26-1")]
    assert said(second) == [("QRCode", "S26-2")]
    ink = np.argwhere(np.asarray(first) < 128).min(axis=0) * DOT
    left, top = stock.place(63)
    assert top <= ink[0] < top + 3
    assert left <= ink[1] < left + 3


def test_what_people_wrote_is_never_markup() -> None:
    stock = BY_KEY["38x21"]
    for text in HOSTILE:
        number = " ".join(text.split())[:40]
        (page,) = pictures(stock, "qr", Words(number, (text,), text))
        assert said(page) == [("QRCode", number)]


# ---- the step


@pytest.fixture
def case(cast: Cast) -> Case:
    return cast.case(accession_number="S26-0123", patient__name="Jane Rendered")


@pytest.mark.django_db
def test_labels_of_several_cases_are_counted_and_audited(cast: Cast, case: Case) -> None:
    other = cast.case(accession_number="S26-0200")
    order = Order("a4-65", first=2, smears=3, copies=2, start=60)
    done = print_labels(actor=cast.technician, cases=[case, other], order=order)
    assert (done.labels, done.pages, done.following) == (12, 2, 7)
    assert done.pdf.startswith(b"%PDF-")
    pages = re.findall(rb"/MediaBox ?\[0 0 ([\d.]+) ([\d.]+)\]", raw(done.pdf))
    assert [(round(float(wide) / 72 * 25.4, 3), round(float(high) / 72 * 25.4, 3)) for wide, high in pages] == [
        (210, 297)
    ] * 2
    for each in (case, other):
        event = AuditEvent.objects.get(case=each, action="labels.printed")
        assert (event.detail["count"], event.detail["with_name"]) == (6, False)
        assert event.sentence.endswith("printed labels for slides (6)")


@pytest.mark.django_db
def test_a_name_stands_on_labels_only_where_the_laboratory_wants_it(
    cast: Cast, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Words] = []

    def laid(stock: Stock, code: str, words: Words) -> list[Drawing | Line]:
        seen.append(words)
        return lay_out(stock, code, words)

    monkeypatch.setattr(printing, "lay_out", laid)
    print_labels(actor=cast.technician, cases=[case], order=Order("22x15", stain="wright"))
    save_settings(actor=cast.administrator, seen=0, with_name=True, sheet={})
    print_labels(actor=cast.technician, cases=[case], order=Order("22x15", first=0, stain="none"))
    assert seen == [Words("S26-0123", ("Smear 1", "Wright"), ""), Words("S26-0123", (), "Jane Rendered")]


@pytest.mark.django_db
def test_orders_that_cannot_be_are_refused_in_words(cast: Cast, case: Case) -> None:
    for wrong in (
        Order("papyrus"), Order("22x15", code="ean"), Order("22x15", smears=0), Order("22x15", copies=51),
        Order("22x15", first=-1), Order("22x15", stain="ink"), Order("a4-65", start=66),
        Order("22x15", smears=50, copies=50),
    ):  # fmt: skip
        with pytest.raises(LabelRefused):
            print_labels(actor=cast.technician, cases=[case], order=wrong)
    with pytest.raises(LabelRefused, match="Tick the cases"):
        print_labels(actor=cast.technician, cases=[], order=Order("22x15"))
    with pytest.raises(LabelRefused):
        print_labels(actor=cast.stranger, cases=[case], order=Order("22x15"))
    assert not AuditEvent.objects.filter(action="labels.printed").exists()


@pytest.mark.django_db
def test_cases_are_offered_in_order_and_never_another_laboratorys(cast: Cast, case: Case) -> None:
    other = cast.case()
    theirs = cast.case(laboratory=cast.elsewhere, patient__laboratory=cast.elsewhere)
    ids = [other.pk, theirs.pk, case.pk, other.pk, 2**70]
    assert choosing.named(actor=cast.technician, ids=ids) == [other, case]


# ---- settings


@pytest.mark.django_db
def test_settings_are_the_administrators_and_nobody_overwrites(cast: Cast) -> None:
    with pytest.raises(PermissionDenied):
        save_settings(actor=cast.technician, seen=0, with_name=True, sheet={})
    save_settings(actor=cast.administrator, seen=0, with_name=False, sheet=SHEET)
    with pytest.raises(SettingsChanged):
        save_settings(actor=cast.administrator, seen=0, with_name=True, sheet={})
    stands = settings_of(cast.laboratory)
    assert (stands.revision, stands.with_name, stocks(stands.sheet)["own"].per_page) == (1, False, 24)
    assert AuditEvent.objects.filter(action="labels.settings_changed").count() == 1


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"columns": 0}, "columns"),
        ({"rows": 41}, "rows"),
        ({"columns": 2.5}, "columns"),
        ({"width": 3}, "width"),
        ({"across": 60}, "across"),
        ({"left": 30}, "left"),
        ({"top": 40}, "top"),
        ({"down": float("nan")}, "down"),
        ({"top": -1}, "top"),
    ],
)
def test_a_sheet_that_cannot_be_says_which_measure(change: dict[str, Any], field: str) -> None:
    with pytest.raises(StockError) as refused:
        own_sheet(SHEET | change)
    assert refused.value.field == field


def test_sheets_that_are_offered_lie_on_the_page() -> None:
    for stock in BY_KEY.values():
        if stock.is_sheet:
            own_sheet({name: getattr(stock, name) for name in MEASURES})
