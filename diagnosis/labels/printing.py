"""The labels of cases as a PDF whose pages are exactly as large as what they are printed on."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

import typst
from django.db import transaction

from accounts.permissions import Action, Actor, require
from diagnosis import audit
from diagnosis.labels.layout import CODES, DOT, Drawing, LabelRefused, Line, Words, lay_out
from diagnosis.labels.settings import settings_of
from diagnosis.labels.stock import Stock, stocks
from diagnosis.models import Case
from diagnosis.reporting.glyphs import spelled, typefaces, unprintable

TEMPLATE = Path(__file__).with_name("labels.typ")
AT_MOST = 1_000  # labels of one document
#: How a stain is called where there is no room for its name.
STAINS: dict[str, str] = {
    Case.Stain.MAY_GRUNWALD_GIEMSA: "MGG",
    Case.Stain.WRIGHT_GIEMSA: "Wright-Giemsa",
    Case.Stain.WRIGHT: "Wright",
    Case.Stain.GIEMSA: "Giemsa",
    Case.Stain.LEISHMAN: "Leishman",
}
OF_CASE, NO_STAIN = "case", "none"


@dataclass(frozen=True, slots=True)
class Order:
    """What is printed for each case: `smears` of them from number `first` on (0: their number is not told), each
    `copies` times. `stain`: a `Case.Stain`, `OF_CASE` or `NO_STAIN`. `start`: the position on the first sheet."""

    stock: str
    code: str = "qr"
    first: int = 1
    smears: int = 1
    copies: int = 1
    stain: str = OF_CASE
    start: int = 1


@dataclass(frozen=True, slots=True)
class Printed:
    """`following`: the position on the last sheet where the next labels go, 1 where it is full or no sheet."""

    pdf: bytes
    labels: int
    pages: int
    following: int


def print_labels(*, actor: Actor, cases: Sequence[Case], order: Order) -> Printed:
    """The labels of `cases`, in their order, audited in each case.

    Raises `LabelRefused` (nothing is printed then), `PermissionDenied`.
    """
    require(actor, Action.READ_CASES)
    if not cases or any(case.laboratory_id != actor.laboratory.pk for case in cases):
        raise LabelRefused("Tick the cases whose labels are wanted.", "case")
    setting = settings_of(actor.laboratory)
    stock = _checked(order, len(cases), stocks(setting.sheet))
    labels = [
        (case, lay_out(stock, order.code, words))
        for case in cases
        for words in _words(case, order, setting.with_name)
        for _ in range(order.copies)
    ]
    pdf = compile_labels(stock, labels, start=order.start, title=_title(cases))[0]
    with transaction.atomic():
        for case in sorted(cases, key=lambda case: case.pk):
            audit.record(
                actor=actor, action="labels.printed", case=case, stock=stock.title, code=order.code,
                count=order.smears * order.copies, with_name=setting.with_name,
            )  # fmt: skip
    used = order.start - 1 + len(labels)
    return Printed(pdf, len(labels), -(-used // stock.per_page), used % stock.per_page + 1)


def _checked(order: Order, cases: int, known: dict[str, Stock]) -> Stock:
    stock = known.get(order.stock)
    if stock is None:
        raise LabelRefused("Choose what the labels are printed on.", "stock")
    if order.code not in CODES:
        raise LabelRefused("Choose the kind of code.", "code")
    if not (0 <= order.first <= 999 and 1 <= order.smears <= 50 and 1 <= order.copies <= 50):
        raise LabelRefused("At most 50 smears and 50 copies of each are printed, with numbers up to 999.", "smears")
    if order.stain not in (NO_STAIN, OF_CASE, *Case.Stain.values):
        raise LabelRefused("Choose one of the stains.", "stain")
    if not 1 <= order.start <= stock.per_page:
        raise LabelRefused(f"This sheet has the positions 1 to {stock.per_page}, row by row.", "start")
    if (count := cases * order.smears * order.copies) > AT_MOST:
        raise LabelRefused(f"These are {count} labels; at most {AT_MOST} are printed at once.", "smears")
    return stock


def _words(case: Case, order: Order, with_name: bool) -> Iterator[Words]:
    stain = case.stain if order.stain == OF_CASE else order.stain
    for number in range(order.first, order.first + order.smears):
        smear = f"Smear {number}" if order.first else ""
        beside = tuple(filter(None, (smear, STAINS.get(stain, ""))))
        yield Words(case.accession_number, beside, case.patient.name if with_name else "")


def _title(cases: Sequence[Case]) -> str:
    return f"Labels of {cases[0]}" + (f" and {len(cases) - 1} more" if len(cases) > 1 else "")


def compile_labels(
    stock: Stock,
    labels: Sequence[tuple[Case | str, Sequence[Drawing | Line]]],
    *,
    start: int = 1,
    title: str = "Labels",
    form: Literal["pdf", "png"] = "pdf",
    ppi: float = 300,
) -> list[bytes]:
    """Labels laid out become a PDF (one item), or a PNG for each page."""
    sheets: list[list[dict[str, Any]]] = []
    for at, (case, parts) in enumerate(labels, start=start - 1):
        page, position = divmod(at, stock.per_page)
        while len(sheets) <= page:
            sheets.append([])
        x, y = (round(edge / DOT) * DOT for edge in stock.place(position))  # bars begin on a dot
        sheets[-1].append(
            {
                "x": x,
                "y": y,
                "alt": f"Code with {case}",
                "drawings": [asdict(part) for part in parts if isinstance(part, Drawing)],
                "lines": [asdict(part) for part in parts if isinstance(part, Line)],
            }
        )
    data: dict[str, Any] = {"title": title, "label": [stock.width, stock.height], "sheets": sheets}
    data |= dict(zip(("width", "height"), stock.page, strict=True))
    said = [each["text"] for sheet in sheets for label in sheet for each in label["lines"]]
    if strange := unprintable("".join(said) + title):
        data = spelled(data, strange)
    made: Any = typst.compile(
        TEMPLATE.read_bytes(), format=form, ppi=ppi, sys_inputs={"data": json.dumps(data)}, **typefaces()
    )
    return made if isinstance(made, list) else [made]
