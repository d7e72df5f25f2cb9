"""Fixtures that every room shares. What needs a server or a browser says here, and only here, when there is none."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests import servers
from tests.cast import Cast, make_cast
from tests.triggers import flush_past_the_triggers  # noqa: F401

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run, unless REQUIRE_ALL=1 (as in .ci/run): then let it fail."""
    if os.environ.get("REQUIRE_ALL") == "1":
        return
    missing_servers = [
        name
        for name, found in (("PostgreSQL", servers.postgres_binaries()), ("Redis", servers.redis_binary()))
        if not found
    ]
    for item in items:
        if item.get_closest_marker("served") and missing_servers:
            item.add_marker(pytest.mark.skip(reason=f"not run: {' and '.join(missing_servers)} not installed"))
        if item.get_closest_marker("browser") and not servers.chromium_binary():
            item.add_marker(pytest.mark.skip(reason="not run: Chromium not installed"))


@pytest.fixture
def cast(db: None) -> Cast:
    return make_cast()


@pytest.fixture(scope="session")
def real_servers() -> Iterator[tuple[servers.PostgresServer, servers.RedisServer]]:
    """A PostgreSQL and a Redis that a test may stop, restart and flush; they are up again when a test ends."""
    with servers.running() as pair:
        yield pair


@pytest.fixture(scope="session")
def chromium() -> Iterator[object]:
    """A Playwright browser on the machine's own Chromium.

    Playwright keeps an event loop in this thread, for which Django would refuse its database to the tests beside it.
    """
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "1"
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=servers.chromium_binary(), headless=True, args=CHROMIUM_FLAGS
        )
        yield browser
        browser.close()
