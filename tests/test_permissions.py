"""Authorisation as data: who gets what from every address, by every method.

`tests/permissions_table.py` holds one row for each route of the URL resolver. Every cell is really asked, with a
body that the route would accept, and rolled back. A route that is not in the table fails, and so does a row whose
route is gone.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest
from allauth.mfa.models import Authenticator
from django.core.cache import cache
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, resolve

from accounts import tokens
from accounts.models import ApiToken
from accounts.permissions import Actor, Scope, grantable_scopes
from diagnosis import queue, saved_views, signout, webhooks
from diagnosis.batches import arriving, opening, store
from diagnosis.listing import Filter
from diagnosis.models import Analysis, Notice, SecondOpinion
from tests.accounts.softkey import SoftKey
from tests.api.conftest import read_all
from tests.cast import PASSWORD, Cast
from tests.diagnosis.hooks import make_endpoint
from tests.diagnosis.signing import signed_case
from tests.permissions_table import API, BOTH, FREE, METHODS, PAGES, Route
from tests.smears import make_image, make_release, picture

TABLE = PAGES | API | BOTH | FREE


def routes(resolver: URLResolver | None = None, prefix: str = "", namespace: str = "") -> Iterator[tuple[str, str]]:
    """Every route as (name with its namespaces, pattern); a route without a name goes by its pattern."""
    for entry in (resolver or get_resolver()).url_patterns:
        pattern = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            inner = f"{namespace}{entry.namespace}:" if entry.namespace else namespace
            yield from routes(entry, pattern, inner)
        else:
            assert isinstance(entry, URLPattern)
            yield (namespace + entry.name if entry.name else pattern), pattern


def test_every_route_is_in_the_table() -> None:
    known = {name for name, _ in routes()}
    assert known - set(TABLE) == set(), "say in tests/permissions_table.py who may do what there"
    assert set(TABLE) - known == set(), "these routes are gone: take their rows out"


@dataclass(frozen=True)
class World:
    """What the requests are about, and who asks."""

    ids: dict[str, int | str]
    pages: dict[str, Client]  # by role: signed in with a session
    bearers: dict[str, Client]  # by role: with a token that carries all scopes their roles can fill
    no_scopes: Client  # a pathologist's token without any scope

    def path(self, name: str) -> str:
        return TABLE[name].path.format(**self.ids)


@pytest.fixture
def world(cast: Cast, settings: Any, tmp_path: Any) -> Iterator[World]:
    """One case of the first laboratory with everything that a route can name: nothing here is the stranger's."""
    settings.MEDIA_ROOT, settings.UPLOADS_ROOT = tmp_path, tmp_path / "uploads"
    cache.clear()
    case = cast.case()
    for network in ("cnn", "mobilenet"):
        make_release("cell", network)
    image = make_image(case, data=picture(1))
    queue.enqueue(image)
    read_all("blast")
    hook = make_endpoint(cast)
    analysis = Analysis.objects.filter(image=image).first()
    assert analysis is not None
    actors = {
        "stranger": cast.stranger,
        "technician": cast.technician,
        "pathologist": cast.pathologist,
        "administrator": cast.administrator,
    }
    pages = {"anonymous": Client()} | {role: signed_in(actor) for role, actor in actors.items()}
    report = signed_case(cast)
    own, _ = tokens.issue(actor=cast.pathologist, name="of the pathologist", scopes=[Scope.CASES_READ], days=1)
    batch = opening.open_batch(actor=cast.technician)
    unnamed = picture(3)
    waiting = arriving.begin(actor=cast.technician, batch=batch, path="no number.png", length=len(unnamed))
    arriving.receive(actor=cast.technician, file=waiting, offset=0, body=io.BytesIO(unnamed), size=None)
    ids = {
        "case": case.pk,
        "patient": case.patient_id,
        "image": image.pk,
        "webhook": hook.pk,
        "delivery": webhooks.ping(actor=cast.administrator, endpoint=hook).pk,
        "report": report.pk,
        "analysis": analysis.pk,
        "release": analysis.release_id,
        "token": own.pk,
        "person": cast.technician.user.pk,
        "key": add_key(pages["pathologist"]),
        "laboratory": cast.laboratory.pk,
        "signed": report.case_id,
        "code": report.content_hash,
        "template": signout.save_template(actor=cast.pathologist, title="Advice", text="Advised.").pk,
        "colleague": cast.second_pathologist.user.pk,
        "opinion": SecondOpinion.objects.create(
            case=cast.case(),
            asked_by=cast.pathologist.user,
            asked_of=cast.second_pathologist.user,
            first_diagnosis="9861/3",
        ).pk,
        "notice": Notice.objects.create(
            user=cast.pathologist.user, laboratory=cast.laboratory, event="case_alarm", case=case
        ).pk,
        "batch": batch.pk,
        "upload": arriving.begin(actor=cast.technician, batch=batch, path="a.jpg", length=5).upload,
        "waiting": waiting.pk,
        "view": saved_views.save(actor=cast.pathologist, name="Of the pathologist", chosen=Filter(view="late")).pk,
    }
    _, bare = tokens.issue(actor=cast.pathologist, name="bare", scopes=[], days=1)
    yield World(
        ids=ids,
        pages=pages,
        bearers={"anonymous": Client()} | {role: bearer(actor) for role, actor in actors.items()},
        no_scopes=Client(headers={"Authorization": f"Bearer {bare}"}),
    )
    cache.clear()


def signed_in(actor: Actor) -> Client:
    """A browser that signed in and confirmed its password just now, so that no page asks for it again."""
    client = Client(raise_request_exception=False)
    client.post("/account/login/", {"login": actor.user.email, "password": PASSWORD})
    client.post("/account/reauthenticate/", {"password": PASSWORD})
    return client


def bearer(actor: Actor) -> Client:
    _, plaintext = tokens.issue(actor=actor, name="all", scopes=grantable_scopes(actor), days=1)
    return Client(headers={"Authorization": f"Bearer {plaintext}"}, raise_request_exception=False)


def add_key(client: Client) -> int:
    page = client.get("/account/2fa/webauthn/add/")
    credential = SoftKey().create(page.context["js_data"]["creation_options"], passwordless=True)
    client.post("/account/2fa/webauthn/add/", {"name": "Blue key", "credential": credential})
    return Authenticator.objects.get(type=Authenticator.Type.WEBAUTHN).pk


def ask(world: World, client: Client, name: str, method: str) -> int:
    """The status of one request, after which everything is as before: rows, cookies and counts."""
    kept = {key: morsel.value for key, morsel in client.cookies.items()}
    with transaction.atomic():
        response = getattr(client, method.lower())(world.path(name), **sent(world, name, method))
        if response.streaming:
            b"".join(response.streaming_content)
        transaction.set_rollback(True)
    client.cookies.clear()
    client.cookies.load(kept)
    cache.clear()
    return int(response.status_code)


def sent(world: World, name: str, method: str) -> dict[str, Any]:
    """The body that the route accepts, as its door wants it: a form on pages, JSON in the API, files as a form."""
    if name in BOTH and method != "GET":
        headers = {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Offset": "0"}
        body = "application/offset+octet-stream"
        return {"data": b"", "content_type": body, "headers": headers, "CONTENT_TYPE": body}
    if method not in ("POST", "PATCH"):
        return {}
    body = {
        key: SimpleUploadedFile("smear.png", picture(2), "image/png")
        if value == "a picture"
        else value.format(**world.ids)
        if isinstance(value, str)
        else value
        for key, value in TABLE[name].body.items()
    }
    if name.endswith("-search-form"):
        return {"data": urlencode(body), "content_type": "application/x-www-form-urlencoded"}
    if name in API and "file" not in body:
        return {"data": body, "content_type": "application/json"}
    return {"data": body} if method == "POST" else {}


def walk(world: World, rows: dict[str, Route], clients: list[Client]) -> list[str]:
    """What is so, as the table says it: one line for each route and method."""
    return [
        f"{name} {method}: " + " ".join(str(ask(world, client, name, method)) for client in clients)
        for name in rows
        for method in METHODS
    ]


def said(rows: dict[str, Route], column: int | None = None) -> list[str]:
    """The table as lines; with a column, that role's status alone."""
    lines = []
    for name, row in rows.items():
        for method in METHODS:
            expected = row.expected(method)
            lines.append(f"{name} {method}: {expected if column is None else expected.split()[column]}")
    return lines


@pytest.mark.timeout(600)
def test_pages(world: World) -> None:
    """A page answers each role as the table says."""
    assert walk(world, PAGES, list(world.pages.values())) == said(PAGES)


def test_a_token_opens_no_page(world: World) -> None:
    assert walk(world, PAGES, [world.bearers["administrator"]]) == said(PAGES, column=0)


@pytest.mark.timeout(600)
def test_api(world: World) -> None:
    """The API answers each role's token as the table says, and a token without scopes."""
    assert walk(world, API, [*world.bearers.values(), world.no_scopes]) == said(API)


def test_uploads_by_session_and_by_token(world: World) -> None:
    for clients, column in ((world.pages.values(), None), (world.bearers.values(), None), ([world.no_scopes], 4)):
        store.create(UUID(str(world.ids["upload"])))  # what is deleted on disk is not rolled back
        assert walk(world, BOTH, list(clients)) == said(BOTH, column)


def test_a_session_opens_nothing_of_the_api(world: World) -> None:
    assert walk(world, API, [world.pages["pathologist"]]) == said(API, column=0)


def test_what_anybody_may_have_is_the_same_for_everybody(world: World) -> None:
    for client in (*world.pages.values(), *world.bearers.values()):
        assert walk(world, FREE, [client]) == said(FREE)


def test_no_other_site_can_make_a_browser_write(world: World) -> None:
    """Every unsafe request to a page needs the page's own token (CSRF), whoever asks."""
    client = Client(enforce_csrf_checks=True)
    client.cookies = world.pages["administrator"].cookies
    for name in PAGES | BOTH:
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert getattr(client, method.lower())(world.path(name)).status_code == 403, (name, method)


def test_paths_lead_to_the_routes_that_the_table_names(world: World) -> None:
    for name in TABLE:
        match = resolve(world.path(name).partition("?")[0])
        assert name in (match.view_name, match.route), name


def test_asking_changes_nothing(world: World) -> None:
    """No cell rests on the one before it."""
    before = ApiToken.objects.count()
    assert ask(world, world.pages["technician"], "accounts:tokens", "POST") == 200
    assert ApiToken.objects.count() == before
    assert ask(world, world.pages["technician"], "account_logout", "POST") == 302
    assert ask(world, world.pages["technician"], "accounts:profile", "GET") == 200
