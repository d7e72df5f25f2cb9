"""The PDF: the same bytes for the same content, hostile words as words, tagged and archivable, honest about glyphs."""

from __future__ import annotations

import copy
import re
import shutil
import zlib
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from diagnosis.models import Report
from diagnosis.reporting import changes, glyphs, pdf
from diagnosis.reporting.canonical import canonical, clean, code_shown, content_hash
from tests.cast import Cast
from tests.diagnosis.signing import SITE, ready_case, sign, signed_case

pytestmark = pytest.mark.django_db

#: What would be markup, code or a way out of a string if it were read and not set.
HOSTILE = [
    '#eval("1 + 1")', '#read("/etc/passwd")', '#panic("gone")', '"); #panic("gone', "*bold* _thin_ `raw` $x^2$",
    "= A heading", "#let c = none", "#import \"@preview/x:1.0.0\"", "<label> @reference", "// a comment", "/* and",
    "\\u{41} \\ back", "[[#sys.inputs]]", "{{ 7 * 7 }} ${HOME} %s", "line\nbreak\n\n== Heading", "#" * 200, "]" * 50,
]  # fmt: skip


@pytest.fixture
def report(cast: Cast) -> Report:
    return sign(cast.pathologist, ready_case(cast))


def raw(document: bytes) -> bytes:
    """The document with its streams unpacked, good enough to look for what must or must not stand in it."""
    parts = [document]
    for packed in re.findall(rb"stream\r?\n(.*?)\r?\nendstream", document, re.DOTALL):
        try:
            parts.append(zlib.decompress(packed))
        except zlib.error:
            continue
    return b"\n".join(parts)


def with_text(content: dict[str, Any], text: str) -> dict[str, Any]:
    """`content` with `text` wherever a person can have written."""
    changed = copy.deepcopy(content)
    changed["patient"]["name"] = changed["patient"]["notes"] = text
    changed["case"]["question"] = changed["case"]["requester"] = changed["comment"] = text
    changed["diagnosis"]["text"] = changed["laboratory"]["name"] = changed["laboratory"]["address"] = text
    changed["clinical"] = [{"what": "Cytogenetics", "value": text}]
    changed["addenda"] = [{"version": 1, "name": text, "text": text}]
    changed["flags"] = [{"level": "alarm", "title": text, "detail": text, "images": []}]
    changed["report"] |= {"reason": text, "supersedes": {"version": 1, "content_hash": "a" * 64, "signed": text}}
    changed["review"] = [{"name": text, "images": 1}]
    changed["opinions"] = [
        {"name": text, "at": "today", "diagnosis": text, "comment": text, "adjudicator": text, "adjudicated": text,
         "adjudication": text, "differs": "yes"}
    ]  # fmt: skip
    return changed


def test_the_same_content_is_the_same_file(report: Report) -> None:
    assert pdf.typeset(report.content, site=SITE) == bytes(report.pdf)
    other = copy.deepcopy(report.content)
    other["comment"] = "Another."
    assert pdf.typeset(other, site=SITE) != bytes(report.pdf)


def test_it_is_tagged_titled_and_archivable(report: Report) -> None:
    document = raw(bytes(report.pdf))
    assert b"/MarkInfo" in document
    assert b"/StructTreeRoot" in document
    assert b"/Lang" in document
    assert b"pdfuaid:part" in document
    assert re.search(rb"pdfaid:part(>|=\")2", document)
    assert f"Blood smear report {report.case}".encode() in document


@pytest.mark.parametrize("text", HOSTILE)
def test_words_of_people_are_set_as_words(report: Report, text: str) -> None:
    assert pdf.typeset(with_text(report.content, text), site=SITE).startswith(b"%PDF-")


def test_a_character_that_no_typeface_has_is_spelled(report: Report) -> None:
    name = "李 Rendered \U0001f600 Ελένη Ольга"
    assert glyphs.unprintable(name) == {"李", "\U0001f600"}
    assert glyphs.spelled([{"name": name}], frozenset("李")) == [{"name": "[U+674E] Rendered \U0001f600 Ελένη Ольга"}]
    assert pdf.typeset(with_text(report.content, name), site=SITE).startswith(b"%PDF-")


def test_a_laboratory_brings_typefaces_of_its_own(report: Report, settings: Any, tmp_path: Path) -> None:
    shutil.copy(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf", tmp_path)
    settings.DOCUMENT_FONTS = str(tmp_path)
    assert glyphs.unprintable("李 \U0001f600") == {"李"}
    content = with_text(report.content, "Rendered \U0001f600")
    with_theirs = pdf.typeset(content, site=SITE)
    settings.DOCUMENT_FONTS = ""
    theirs = re.compile(rb"DejaVuSans(?!Mono)")  # typst has the other one itself
    assert theirs.search(with_theirs)
    assert not theirs.search(pdf.typeset(content, site=SITE))


def test_a_long_report_has_a_foot_on_every_page(report: Report) -> None:
    content = copy.deepcopy(report.content)
    content["comment"] = "\n\n".join(f"Paragraph {number} of a long comment." for number in range(120))
    assert len(pdf.pages(content, site=SITE, ppi=20)) > 2


def test_a_report_without_anything_optional(cast: Cast) -> None:
    assert bytes(signed_case(cast).pdf).startswith(b"%PDF-")


class TestCanonicalForm:
    def test_keys_are_sorted_and_words_stay_as_they_are(self) -> None:
        assert (
            canonical({"b": ["ä", 1, None, True], "a": {"z": "⁹"}}) == '{"a":{"z":"⁹"},"b":["ä",1,null,true]}'.encode()
        )
        assert content_hash({"a": 1}) == "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"

    @pytest.mark.parametrize("value", [0.5, 1e16, {"a": float("nan")}, {1: "a"}, [b"a"], {"a": (1,)}])
    def test_what_reads_differently_after_a_database_is_refused(self, value: object) -> None:
        with pytest.raises(TypeError):
            canonical(value)

    def test_texts_are_composed_and_free_of_what_is_no_text(self) -> None:
        assert clean(" a\u0308\r\nb\x00\x1b[1m\ud800 ") == "ä\nb[1m"
        assert code_shown("3f2a90c177de0b44" + "0" * 48) == "3F2A-90C1-77DE-0B44"


def test_every_difference_is_told(report: Report) -> None:
    after = copy.deepcopy(report.content)
    after["patient"]["name"] = "Corrected Person"
    after["diagnosis"] |= {"code": "9866/3", "shown": "APL (ICD-O-3 9866/3)"}
    after["images"][0]["decision"] = "promyelocyte"
    after["images"].append({"id": 10**6, "kind": "cell", "sha256": "0" * 64, "decision": "blast", "reading": ""})
    after["comment"] = ""
    told = [(each.where, each.after) for each in changes.changes(report.content, after)]
    assert told == [
        ("patient: name", "Corrected Person"),
        ("diagnosis", "APL (ICD-O-3 9866/3)"),
        ("comment", ""),
        ("image 1", "promyelocyte"),
        ("image 4", "new, blast"),
    ]
    assert changes.changes(report.content, report.content) == []
