"""The worklist's pages without a browser: views, saved views, claiming, the way from case to case."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from django.db import connection
from django.template import Context, Template
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from diagnosis import assessment, holding, saved_views
from diagnosis.listing import Filter
from diagnosis.models import Case, CaseFlag, SavedView, SecondOpinion
from diagnosis.templatetags.marks import lasting
from tests.cast import Cast
from tests.smears import make_image
from tests.web.test_pages import read, signed_in

pytestmark = pytest.mark.django_db


def listed(client: Client, **query: Any) -> list[int]:
    """Keys of the cases on the list, in their order."""
    return [int(pk) for pk in re.findall(r'<tr id="case-(\d+)"', client.get("/", query).content.decode())]


def test_open_cases_come_first_and_everything_is_found_from_there(cast: Cast) -> None:
    now = timezone.now()
    late = cast.case(due_at=now - timedelta(minutes=18))
    urgent = cast.case(priority="urgent", due_at=now + timedelta(minutes=132, seconds=30))
    signed = cast.case(status="signed", signed_at=now)
    client = signed_in(cast.pathologist)
    assert listed(client) == [urgent.pk, late.pk]
    assert listed(client, view="signed") == [signed.pk]
    assert listed(client, q=signed.accession_number) == [signed.pk], "a search looks in all cases"
    assert listed(client, view="open", q=signed.accession_number) == []
    page = client.get("/").content.decode()
    assert "2 h 12 min" in page
    assert re.search(r"alarm-text[^<]*<[^<]*▲ </span>18 min late", page)


def test_tiles_count_and_lead(cast: Cast) -> None:
    cast.case(held_by=cast.pathologist.user)
    cast.case(priority="urgent")
    client = signed_in(cast.pathologist)
    page = client.get("/", {"view": "mine", "q": "acc"}).content.decode()
    tiles = dict(re.findall(r'id="tile-(\w+)".*?<b class="num [^"]*">([\d,]+)</b>', page))
    assert {"open": "2", "mine": "1", "unassigned": "1", "urgent": "1", "second": "0"}.items() <= tiles.items()
    assert re.search(r'id="tile-mine"[^>]*aria-current="true"', page)
    assert 'href="/?view=urgent&amp;q=acc"' in page, "a tile keeps what is searched for"


def test_empty_views_say_what_to_do(cast: Cast) -> None:
    client = signed_in(cast.pathologist)
    for query, words in (
        ({}, "No open cases"), ({"view": "mine"}, "You hold no case"), ({"view": "late"}, "Nothing is late"),
        ({"view": "unassigned"}, "Every open case is held"), ({"view": "second"}, "No second opinion is open"),
        ({"view": "reading"}, "Nothing is being read"), ({"view": "signed"}, "Nothing is signed yet"),
        ({"view": "urgent"}, "Nothing is urgent"), ({"view": "all"}, "No cases yet"),
        ({"view": "mine", "q": "x y"}, "Look in all cases"), ({"flag": "blasts_20"}, "No case fits"),
    ):  # fmt: skip
        assert words in client.get("/", query).content.decode(), query


def test_pages_of_the_list(cast: Cast) -> None:
    made = [cast.case(due_at=timezone.now() + timedelta(hours=n)).pk for n in range(60)]
    client = signed_in(cast.pathologist)
    first = client.get("/").content.decode()
    assert listed(client) == made[:25]
    assert f'href="?after={made[24]}"' in first
    assert "before=" not in first
    assert listed(client, after=made[24]) == made[25:50]
    assert listed(client, after=made[49]) == made[50:]
    assert listed(client, before=made[50]) == made[25:50]
    assert listed(client, after="x") == listed(client, after="9" * 30) == made[:25]


def test_claim_and_release_from_the_list_and_the_case(cast: Cast) -> None:
    case, client, colleague = cast.case(), signed_in(cast.pathologist), signed_in(cast.second_pathologist)
    assert reverse("case-claim", args=[case.pk]) in client.get("/").content.decode()
    answer = client.post(reverse("case-claim", args=[case.pk]), {"from": "view=late&q=x", "back": "list"})
    assert answer["Location"] == "/?view=late&q=x"
    assert reverse("case-release", args=[case.pk]) in client.get("/").content.decode()
    page = colleague.get(reverse("case", args=[case.pk])).content.decode()
    assert "Held by Paul Pathologist" in page
    assert 'name="take_over"' in page

    answer = colleague.post(reverse("case-claim", args=[case.pk]), {"from": "mine"}, follow=True)
    assert answer.redirect_chain[0][0] == f"/cases/{case.pk}/?from=mine"
    assert f"Paul Pathologist holds {case.accession_number} since" in answer.content.decode()
    answer = colleague.post(reverse("case-claim", args=[case.pk]), {"take_over": "1"}, follow=True)
    assert "● Yours" in answer.content.decode()
    colleague.post(reverse("case-release", args=[case.pk]))
    case.refresh_from_db()
    assert case.held_by is None


def test_who_may_not_hold_is_offered_nothing(cast: Cast) -> None:
    case = cast.case(held_by=cast.pathologist.user, held_at=timezone.now())
    client = signed_in(cast.technician)
    for path in ("/", reverse("case", args=[case.pk])):
        page = client.get(path).content.decode()
        assert "Paul Pathologist" in page
        assert "/claim/" not in page
        assert reverse("case-next") not in page


def test_take_next_opens_what_is_most_due(cast: Cast) -> None:
    cast.case(status="ready", due_at=timezone.now() + timedelta(hours=5))
    late = cast.case(status="ready", due_at=timezone.now() - timedelta(hours=5))
    client = signed_in(cast.pathologist)
    assert client.post(reverse("case-next"))["Location"] == f"/cases/{late.pk}/?from=mine"
    client.post(reverse("case-next"))
    answer = client.post(reverse("case-next"), follow=True)
    assert "Nothing waits" in answer.content.decode()


def test_from_case_to_case_without_the_list(cast: Cast) -> None:
    first, second, third = (
        cast.case(due_at=timezone.now() + timedelta(hours=n), held_by=cast.pathologist.user) for n in range(3)
    )
    cast.case(due_at=timezone.now() - timedelta(hours=1))  # not mine: not on the way
    client = signed_in(cast.pathologist)
    assert f'href="/cases/{second.pk}/?from=mine"' in client.get("/", {"view": "mine"}).content.decode()

    def ways(case: Case, **query: str) -> dict[str, str]:
        page = client.get(reverse("case", args=[case.pk]), query).content.decode()
        return dict(re.findall(r'id="(case-before|case-behind|to-list)"[^>]*href="([^"]*)"', page))

    assert ways(second, **{"from": "mine"}) == {
        "to-list": "/?view=mine",
        "case-before": f"/cases/{first.pk}/?from=mine",
        "case-behind": f"/cases/{third.pk}/?from=mine",
    }
    assert "case-before" not in ways(first, **{"from": "mine"})
    assert "case-behind" not in ways(third, **{"from": "mine"})
    assert "case-before" in ways(first), "without a list it is the open cases"
    holding.release(actor=cast.pathologist, case=second)
    assert ways(second, **{"from": "mine"})["case-behind"] == f"/cases/{third.pk}/?from=mine"
    live = client.get(reverse("case", args=[first.pk]), {"from": "mine"}).content.decode()
    assert f'data-url="/cases/{first.pk}/live/?from=mine"' in live


def test_saved_views(cast: Cast) -> None:
    client = signed_in(cast.pathologist)
    answer = client.post(reverse("view-list"), {"name": "Late blasts", "from": "view=late&flag=blasts_20"})
    assert answer["Location"] == "/?view=late&flag=blasts_20"
    view = SavedView.objects.get()
    page = client.get("/").content.decode()
    assert 'href="/?view=late&amp;flag=blasts_20"' in page
    assert "Late blasts" not in signed_in(cast.second_pathologist).get("/").content.decode()
    again = client.post(reverse("view-list"), {"name": "Late blasts", "from": "mine"})
    assert again.status_code == 422
    assert 'value="Late blasts"' in again.content.decode(), "what was typed stays"
    assert "Choose another name" in again.content.decode()
    saved_views.save(actor=cast.pathologist, name="Other", chosen=Filter())
    taken = client.post(reverse("view-rename", args=[view.pk]), {"name": "Other"})
    assert taken.status_code == 422
    client.post(reverse("view-rename", args=[view.pk]), {"name": "Overdue"})
    assert "Overdue" in client.get(reverse("view-list")).content.decode()
    client.post(reverse("view-delete", args=[view.pk]))
    assert [view.name for view in saved_views.of(cast.pathologist)] == ["Other"]


def test_live_rows_keep_their_list(cast: Cast) -> None:
    case = cast.case()
    SecondOpinion.objects.create(
        case=case, asked_by=cast.pathologist.user, asked_of=cast.second_pathologist.user, first_diagnosis="aml"
    )
    client = signed_in(cast.second_pathologist)
    page = client.get("/", {"view": "second"}).content.decode()
    assert f'data-url="/?rows={case.pk}&amp;view=second" data-every="30000"' in page
    live = client.get("/", {"rows": str(case.pk), "view": "second"}).content.decode()
    assert "your opinion is asked" in live
    assert f"/cases/{case.pk}/?from=second" in live


def test_list_costs_the_same_however_much_there_is(cast: Cast) -> None:
    client = signed_in(cast.pathologist)
    saved_views.save(actor=cast.pathologist, name="One", chosen=Filter())
    asked = []
    for more in (2, 60):
        for n in range(more):
            case = cast.case(held_by=cast.pathologist.user, priority="urgent" if n % 2 else "routine")
            CaseFlag.objects.create(case=case, code="few_cells", level="info")
            SecondOpinion.objects.create(
                case=case, asked_by=cast.pathologist.user, asked_of=cast.second_pathologist.user, first_diagnosis="aml"
            )
        for query in ({}, {"view": "second"}, {"q": "acc few"}, {"flag": "few_cells"}, {"after": str(case.pk)}):
            with CaptureQueriesContext(connection) as queries:
                client.get("/", query)
            asked.append(len(queries))
    assert max(asked) <= 14
    assert asked[5] <= 10


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(0.5, "under a minute"), (18, "18 min"), (-18, "18 min"), (60, "1 h"), (132, "2 h 12 min"), (24 * 60, "1 day"),
     (28 * 60, "1 day 4 h"), (53 * 60, "2 days 5 h"), (24 * 60 * 5 + 300, "5 days")],
)  # fmt: skip
def test_a_length_of_time_in_words(minutes: float, words: str) -> None:
    assert lasting(minutes * 60) == words


def test_the_clock_of_a_signed_case_stands(cast: Cast) -> None:
    case = cast.case(status="signed", signed_at=timezone.now(), due_at=timezone.now() - timedelta(days=9))
    said = Template("{% load marks %}{% clock case %}").render(Context({"case": case}))
    assert "late" not in said


def test_the_list_is_known_on_every_way_through_the_images(cast: Cast) -> None:
    case = cast.case()
    first, second, waits = (make_image(case) for _ in range(3))
    case.images.update(um_per_pixel=0.1)
    for image in (first, second):
        read(image, "blast", network="cnn", share=0.9)
        read(image, "blast", network="mobilenet", share=0.8)
    assessment.refresh(case.pk)
    client = signed_in(cast.pathologist)
    query = urlencode({"from": "view=late&q=x"})

    to_see, seen = [f"/cases/{case.pk}/?{query}"], set[str]()
    while to_see:
        path = to_see.pop()
        seen.add(path.partition("?")[0])
        page = client.get(path).content.decode()
        main = re.sub(r"(?s)^.*<main|</main>.*$", "", page)  # a live part is nothing else
        for link in map(unescape, re.findall(r'(?:href|data-url)="([^"#]+)"', main)):
            plain, _, rest = link.partition("?")
            if re.fullmatch(rf"/cases/{case.pk}/(live/)?|/images/\d+/(compare/(\d+/)?)?", plain):
                assert dict(parse_qsl(rest)).get("from") == "view=late&q=x", f"{link} on {path}"
                to_see += [] if plain in seen else [link]
    assert {f"/images/{first.pk}/", f"/images/{first.pk}/compare/", f"/images/{first.pk}/compare/{second.pk}/",
            f"/cases/{case.pk}/live/"} <= seen  # fmt: skip

    for name, sent in (
        ("image-decide", {"verdict": "agree"}),
        ("image-scale", {"um_per_pixel": "0.2", "seen": "0.1"}),
        ("image-kind", {"kind": "field"}),
        ("image-retry", {}),
    ):
        answer = client.post(f"{reverse(name, args=[first.pk])}?{query}", sent)
        assert answer["Location"] == f"/images/{first.pk}/?{query}", name
    answer = client.post(f"{reverse('image-retry', args=[waits.pk])}?{query}", {"back": "case"})
    assert answer["Location"] == f"/cases/{case.pk}/?{query}"
    page = client.get(f"/images/{first.pk}/?{query}").content.decode()
    for name in ("image-decide", "image-scale", "image-kind", "image-retry"):
        assert f'action="{reverse(name, args=[first.pk])}?{query}"' in page
    assert client.get(f"/images/{first.pk}/", {"from": "view=none&x=y"}).status_code == 200
