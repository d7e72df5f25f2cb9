"""The API's page obeys the policy of all pages: no script and no style in it, nothing refused by the browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.test import Client

from tests.cast import PASSWORD, Cast

URL = "/api/v1/docs/"


def test_nothing_inline_and_the_policy_of_every_page(client: Client) -> None:
    answer = client.get(URL)
    html = answer.content.decode()
    assert answer.status_code == 200
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "style-src 'self'" in policy
    assert "unsafe" not in policy
    assert "Research use only – not for diagnostic use" in html
    assert not re.search(r"<style|style=|<script(?![^>]*\bsrc=)[^>]*>|\son\w+=", html)


def test_its_script_and_the_schema_are_served(client: Client) -> None:
    script = client.get(f"{URL}?script=")
    assert script["Content-Type"].startswith("application/javascript")
    assert b'url: "' in script.content
    schema = client.get("/api/v1/schema/?format=json").json()
    assert schema["openapi"] == "3.1.0"
    assert schema["components"]["securitySchemes"]["token"]["scheme"] == "bearer"


@pytest.mark.django_db
def test_whoever_is_signed_in_keeps_their_frame(client: Client, cast: Cast) -> None:
    assert client.login(username=cast.technician.user.email, password=PASSWORD)
    assert "Tess Technician" in client.get(URL).content.decode()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_browser_refuses_nothing(live_server: Any, chromium: Any, scheme: str) -> None:
    page = chromium.new_page(color_scheme=scheme)
    page.set_default_timeout(120_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{live_server.url}{URL}")
    page.locator("#operations-images-upload_image .opblock-summary-control").click()
    page.locator("#operations-images-upload_image .opblock-body").get_by_text("One file a request").wait_for()
    page.locator(".auth-wrapper .authorize").click()
    page.locator(".modal-ux input").fill("ll_something")
    assert page.evaluate("document.documentElement.classList.contains('dark-mode')") is (scheme == "dark")
    page.close()
    assert complaints == []
