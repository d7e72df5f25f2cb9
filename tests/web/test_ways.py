"""A case opened from a list stays so: every page of it leads back to that list, and what is sent comes back there."""

import re
from html import unescape
from urllib.parse import urlsplit

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from diagnosis.models import Case
from tests.cast import Cast
from tests.diagnosis.signing import read_case, ready_case, signed_case
from tests.smears import picture
from tests.web.test_signout import signature

pytestmark = pytest.mark.django_db
FROM = "from=mine"
# Files, what is fetched beside the page or printed, and the form of holding, which names the list in a field.
APART = re.compile(r"/(pdf|file|thumb|live/|claim/|release/|labels/?)$|\.png$")


@pytest.fixture
def pathologist(cast: Cast, client: Client) -> Client:
    client.force_login(cast.pathologist.user)
    return client


def addresses(page: str) -> set[str]:
    """Where the links and forms of a page lead, as far as that is within a case."""
    found = {unescape(each) for each in re.findall(r'(?:href|action)="(/(?:cases/\d|images/)[^"]*)"', page)}
    return {each for each in found if not APART.search(urlsplit(each).path)}


def walked(client: Client, case: Case) -> dict[str, set[str]]:
    """Path of every page of the case that links lead to -> the addresses on it."""
    seen: dict[str, set[str]] = {}
    ahead = [f"/cases/{case.pk}/?{FROM}"]
    while ahead:
        address = ahead.pop()
        path = urlsplit(address).path
        if path in seen or not path.startswith((f"/cases/{case.pk}/", "/images/")):
            continue
        answer = client.get(address)
        if answer.status_code == 302:
            ahead.append(answer["Location"])
            seen[path] = {answer["Location"]}
        elif answer.status_code == 200:
            seen[path] = addresses(answer.content.decode())
            ahead.extend(each for each in seen[path] if FROM in each)
        else:
            assert answer.status_code == 405, (address, answer.status_code)  # where a form is sent to
            seen[path] = set()
    return seen


@pytest.mark.parametrize("made", [read_case, ready_case, signed_case])
def test_no_page_of_a_case_forgets_the_list(cast: Cast, pathologist: Client, made: object) -> None:
    case = made(cast)  # type: ignore[operator]
    case = case if isinstance(case, Case) else case.case
    pages = walked(pathologist, case)
    assert len(pages) > 6
    forgetful = {
        (page, address)
        for page, found in pages.items()
        for address in found
        if FROM not in urlsplit(address).query and urlsplit(address).path != page
    }
    assert not forgetful


def test_what_is_sent_comes_back_to_the_list(cast: Cast, pathologist: Client) -> None:
    case = ready_case(cast)
    page = pathologist.get(f"/cases/{case.pk}/request/?{FROM}")
    form = page.context["form"]
    values = {field.html_name: field.value() or "" for field in form}
    answer = pathologist.post(f"/cases/{case.pk}/request/?{FROM}", values)
    assert answer["Location"] == f"/cases/{case.pk}/?{FROM}"

    page = pathologist.get(f"/cases/{case.pk}/report/sign/?{FROM}")
    answer = pathologist.post(f"/cases/{case.pk}/report/sign/?{FROM}", signature(page))
    assert answer["Location"] == f"/cases/{case.pk}/report/1/?{FROM}"
    assert f'href="/cases/{case.pk}/?{FROM}"' in pathologist.get(answer["Location"]).content.decode()


def test_a_picture_that_was_just_uploaded_knows_the_list(cast: Cast, client: Client) -> None:
    client.force_login(cast.technician.user)
    case = cast.case()
    for number, accept in enumerate(("application/json", "text/html")):
        sent = {"files": SimpleUploadedFile("one.png", picture(number))}
        answer = client.post(f"/cases/{case.pk}/images/?{FROM}", sent, headers={"Accept": accept})
        assert f"/images/{case.images.latest('pk').pk}/?{FROM}" in answer.content.decode()
