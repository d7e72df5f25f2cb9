"""The account pages in a real browser: passkeys, the policy, the keyboard, and what axe-core finds."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache

from accounts.models import Role
from tests.cast import PASSWORD, Cast, make_cast

pytestmark = pytest.mark.browser
AXE = Path(__file__).parents[2] / "node_modules" / "axe-core" / "axe.min.js"
WORKLIST = re.compile(r"^https?://[^/]+/$")
SHOTS = os.environ.get("SCREENSHOTS", "")


@pytest.fixture
def cast(transactional_db: None) -> Cast:
    return make_cast()


@pytest.fixture
def page(chromium: Any, live_server: Any, cast: Cast) -> Iterator[Any]:
    """A page of a fresh browser profile; in the end nothing may have gone against the policy."""
    cache.clear()
    context = chromium.new_context(
        base_url=live_server.url.replace("127.0.0.1", "localhost"), permissions=["clipboard-read", "clipboard-write"]
    )
    found = context.new_page()
    complaints: list[str] = []
    found.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    found.on("pageerror", lambda error: complaints.append(str(error)))
    yield found
    assert not complaints
    context.close()


def sign_in(page: Any, email: str) -> None:
    page.goto("/account/login/")
    page.get_by_label("Email").fill(email)
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(WORKLIST)


def shot(page: Any, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


def assert_accessible(page: Any) -> None:
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run({resultTypes: ['violations']})")["violations"]
    assert [(v["id"], [n["html"] for n in v["nodes"]]) for v in found] == [], page.url


def test_a_passkey_is_added_and_signs_in(page: Any, cast: Cast) -> None:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    session.send(
        "WebAuthn.addVirtualAuthenticator",
        {
            "options": {
                "protocol": "ctap2",
                "transport": "internal",
                "hasResidentKey": True,
                "hasUserVerification": True,
                "isUserVerified": True,
                "automaticPresenceSimulation": True,
            }
        },
    )
    sign_in(page, cast.technician.user.email)
    page.goto("/account/profile/")
    page.get_by_role("link", name="Second factor and passkeys").click()
    page.get_by_role("link", name="Add one").click()
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Confirm").click()
    page.get_by_label("Name").fill("Bench computer")
    page.get_by_label("Passkey: sign in with it alone").check()
    page.get_by_role("button", name="Add it").click()
    page.get_by_role("heading", name="Recovery codes").wait_for()
    page.goto("/account/2fa/webauthn/")
    assert page.get_by_text("Bench computer").first.is_visible()

    page.goto("/account/profile/")
    page.get_by_role("button", name="Sign out").last.click()
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.wait_for_url(WORKLIST)
    page.goto("/account/profile/")
    assert page.get_by_role("heading", name="Tess Technician").is_visible()


def test_a_passkey_that_does_not_work_is_said_in_words(page: Any) -> None:
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")  # a device without any passkey
    page.goto("/account/login/")
    page.evaluate("() => { navigator.credentials.get = () => Promise.reject(new DOMException('', 'NotAllowedError')) }")
    page.get_by_role("button", name="Sign in with a passkey").click()
    page.get_by_role("alert").get_by_text("cancelled or took too long").wait_for()


def test_a_token_is_made_copied_and_revoked(page: Any, cast: Cast) -> None:
    sign_in(page, cast.technician.user.email)
    page.goto("/account/tokens/")
    page.get_by_label("Name").fill("scanner-2")
    page.get_by_label("Upload images").check()
    page.get_by_label("Requests an hour").fill("500")
    page.get_by_role("button", name="Make the token").click()
    token = page.locator("#new-token").inner_text()
    assert token.startswith("ll_")
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == token
    assert page.get_by_role("cell", name="500/hour").is_visible()
    shot(page, "token-made")
    assert_accessible(page)
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390, "the table scrolls, the page does not"
    page.get_by_role("button", name="Revoke scanner-2").click()
    page.get_by_text("it stopped working now").wait_for()
    assert page.get_by_text(token).count() == 0


@pytest.mark.parametrize(("theme", "width"), [("light", 1280), ("dark", 390)])
def test_the_pages_are_for_everybody(page: Any, cast: Cast, theme: str, width: int) -> None:
    """No axe-core violation and no sideways scrolling, light and dark, wide and on a phone."""
    page.emulate_media(color_scheme=theme)
    page.set_viewport_size({"width": width, "height": 844})
    where = ["/account/login/", "/account/password/reset/", "/account/signup/", "/account/inactive/"]
    inside = ["/account/profile/", "/account/people/", "/account/tokens/", "/account/password/change/"]
    confirmed = ["/account/2fa/", "/account/2fa/totp/activate/", "/account/2fa/webauthn/add/", "/account/3rdparty/"]
    assert Role.ADMINISTRATOR in cast.administrator.roles

    def look(path: str) -> None:
        page.goto(path)
        shot(page, f"{theme}-{path.strip('/').replace('/', '-')}")
        assert_accessible(page)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path

    for path in where:
        look(path)
    sign_in(page, cast.administrator.user.email)
    for path in inside:
        look(path)
    page.goto("/account/people/")
    page.get_by_text("Tess Technician", exact=True).click()
    shot(page, f"{theme}-people-open")
    assert_accessible(page)
    page.goto("/account/reauthenticate/")
    page.get_by_label("Password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(WORKLIST)
    for path in confirmed:
        look(path)
