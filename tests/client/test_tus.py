"""One file over lines that break: all of its bytes, once, and an end where nothing gets through."""

from __future__ import annotations

import os
import random
from pathlib import Path

import httpx
import pytest

from leukolens_client import Client, FileChanged, Refused, Unreachable
from leukolens_client.files import Parcel, parcel
from leukolens_client.tus import Pace, Sender
from tests.client.fake import URL, FakePortal, cut, once, said

KIB = 1024
SIZE = 700 * KIB


@pytest.fixture
def picture(tmp_path: Path) -> Parcel:
    path = tmp_path / "field 1.jpg"
    path.write_bytes(random.Random(1).randbytes(SIZE))
    return parcel(path, "S26-0123/field 1.jpg")


@pytest.fixture
def sender(client: Client) -> Sender:
    client.open_batch()
    return Sender(client.wire, Pace(128 * KIB))


def test_a_small_file_is_one_request(portal: FakePortal, client: Client, picture: Parcel) -> None:
    client.open_batch()
    outcome = Sender(client.wire).send(picture, batch=1, accession="S26-0123", kind="cell", um_per_pixel=0.25)
    assert (outcome.status, outcome.case, outcome.image, outcome.has_arrived) == ("accepted", 1, 1, True)
    assert portal.count("POST", "/uploads/") == 1
    assert portal.stored() == {picture.name: picture.path.read_bytes()}


@pytest.mark.parametrize("seed", range(20))
def test_however_often_the_line_breaks_it_comes_once_and_whole(
    portal: FakePortal, sender: Sender, picture: Parcel, seed: int
) -> None:
    """Each request may be lost on its way there or, once it is done, on its way back."""
    draw = random.Random(seed)

    def breaks(request: httpx.Request) -> None:
        if draw.random() < 0.35:
            raise draw.choice([httpx.ReadError, httpx.ConnectError, httpx.WriteTimeout])("cut", request=request)

    portal.before = portal.after = breaks
    seen: list[int] = []
    assert sender.send(picture, batch=1, progress=seen.append).status == "accepted"
    portal.before = portal.after = lambda request: None
    assert portal.stored() == {picture.name: picture.path.read_bytes()}
    assert portal.sent_bytes == SIZE
    assert seen == sorted(seen)
    assert seen[-1] == SIZE


def test_another_run_sends_only_what_is_missing(portal: FakePortal, sender: Sender, picture: Parcel) -> None:
    def dies(request: httpx.Request) -> None:
        if portal.sent_bytes >= SIZE // 2:
            raise KeyboardInterrupt

    portal.before = dies
    with pytest.raises(KeyboardInterrupt):
        sender.send(picture, batch=1)
    portal.before = lambda request: None
    assert 0 < portal.sent_bytes < SIZE
    assert Sender(sender.wire, Pace(64 * KIB)).send(picture, batch=1).status == "accepted"
    assert portal.sent_bytes == SIZE
    assert Sender(sender.wire).send(picture, batch=1).status == "accepted"
    assert portal.sent_bytes == SIZE
    assert portal.stored() == {picture.name: picture.path.read_bytes()}


def test_pieces_shrink_while_a_line_breaks_and_grow_again(portal: FakePortal, sender: Sender, picture: Parcel) -> None:
    longest = 100 * KIB

    def breaks(request: httpx.Request) -> None:
        if len(request.content) > longest:
            raise httpx.WriteError("cut", request=request)

    portal.before = breaks
    sender.send(picture, batch=1)
    assert portal.sent_bytes == SIZE
    assert 64 * KIB <= sender.pace.size <= 128 * KIB


def test_a_proxy_that_takes_no_large_bodies_gets_smaller_ones_for_good(
    portal: FakePortal, client: Client, picture: Parcel
) -> None:
    client.open_batch()

    def nginx(request: httpx.Request) -> httpx.Response | None:
        if len(request.content) > 200 * KIB:
            return httpx.Response(413, html="<html>413 Request Entity Too Large</html>")
        return None

    portal.before = nginx
    sender = Sender(client.wire, Pace(1024 * KIB))
    assert sender.send(picture, batch=1).status == "accepted"
    assert sender.pace.largest == 128 * KIB
    refused = sum(len(request.content) > 200 * KIB for request in portal.requests)
    assert refused == 3  # 1 MiB would have held all of it; 512 and 256 KiB


def test_a_piece_that_was_damaged_on_the_way_is_sent_again(portal: FakePortal, sender: Sender, picture: Parcel) -> None:
    portal.before = once(lambda request: said(460, "The checksum does not fit.") if request.method == "PATCH" else None)
    assert sender.send(picture, batch=1).status == "accepted"
    assert portal.stored()[picture.name] == picture.path.read_bytes()


def test_an_upload_that_the_server_gave_up_is_begun_anew(portal: FakePortal, sender: Sender, picture: Parcel) -> None:
    def expires(request: httpx.Request) -> None:
        if request.method == "PATCH" and portal.sent_bytes > SIZE // 2 and portal.count("POST", "/uploads/") == 1:
            next(iter(portal.uploads.values())).given_up = True

    portal.before = expires
    assert sender.send(picture, batch=1).status == "accepted"
    assert portal.stored() == {picture.name: picture.path.read_bytes()}


@pytest.mark.parametrize("status", [500, 503, 507])
def test_a_server_that_cannot_just_now_is_asked_again(
    portal: FakePortal, sender: Sender, picture: Parcel, status: int
) -> None:
    portal.before = once(lambda request: said(status, "Later.") if request.method == "PATCH" else None)
    assert sender.send(picture, batch=1).status == "accepted"


def test_where_no_piece_gets_through_it_ends_though_the_server_answers(portal: FakePortal, picture: Parcel) -> None:
    portal.before = cut("PATCH")
    with Client(URL, "ll_right", transport=portal.transport, patience=0.3) as client:
        client.open_batch()
        with pytest.raises(Unreachable, match="connection broke"):
            Sender(client.wire, Pace(128 * KIB)).send(picture, batch=1)


def test_a_refusal_is_raised_with_its_words(portal: FakePortal, sender: Sender, picture: Parcel) -> None:
    portal.before = lambda request: said(413, "This picture is larger than 64 MiB.")
    with pytest.raises(Refused, match="larger than 64 MiB"):
        sender.send(picture, batch=1)
    assert portal.count("POST", "/uploads/") == 1


@pytest.mark.parametrize("status", [400, 403, 404, 405, 413])
def test_what_a_proxy_says_is_no_refusal_of_the_file(
    portal: FakePortal, sender: Sender, picture: Parcel, status: int
) -> None:
    portal.before = once(lambda request: httpx.Response(status, html="<html>of a proxy</html>"))
    assert sender.send(picture, batch=1).status == "accepted"
    assert portal.stored() == {picture.name: picture.path.read_bytes()}


def test_a_file_that_changes_on_the_way_is_given_up_on_both_sides(
    portal: FakePortal, sender: Sender, picture: Parcel
) -> None:
    def overwritten(request: httpx.Request) -> None:
        if request.method == "PATCH":
            picture.path.write_bytes(b"other" * 1000)

    portal.before = once(overwritten)
    with pytest.raises(FileChanged, match="changed while it was sent") as caught:
        sender.send(picture, batch=1)
    assert not caught.value.gone
    assert portal.count("DELETE") == 1
    assert portal.stored() == {}


def test_a_file_that_vanishes_on_the_way_is_told(portal: FakePortal, sender: Sender, picture: Parcel) -> None:
    def removed(request: httpx.Request) -> None:
        if request.method == "PATCH":
            os.unlink(picture.path)

    portal.before = once(removed)
    with pytest.raises(FileChanged, match="not there any more") as caught:
        sender.send(picture, batch=1)
    assert caught.value.gone
    assert portal.stored() == {}


def test_an_empty_file_gets_its_outcome(portal: FakePortal, sender: Sender, tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    assert sender.send(parcel(tmp_path / "empty.jpg", "empty.jpg"), batch=1).status == "accepted"
    assert portal.stored() == {"empty.jpg": b""}


def test_an_upload_that_is_said_to_be_elsewhere_is_not_followed(
    portal: FakePortal, sender: Sender, picture: Parcel
) -> None:
    portal.before = lambda request: httpx.Response(
        201, headers={"Location": "https://else.example/uploads/1/", "Upload-Offset": "0"}
    )
    with pytest.raises(Refused, match="not followed"):
        sender.send(picture, batch=1)
