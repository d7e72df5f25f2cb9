"""A portal on real PostgreSQL and Redis with limits short enough to wait for, and eyes on its database."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import psycopg2
import pytest

from tests.portal import ROOT, Portal
from tests.servers import PostgresServer, RedisServer

_numbers = itertools.count(1)

LIMITS = {
    "ANALYSIS_BATCH_MAX": "32",
    "ANALYSIS_SOFT_LIMIT": "12",
    "ANALYSIS_HARD_LIMIT": "15",
    "ANALYSIS_LEASE": "18",
    "ANALYSIS_RETRY_DELAY": "1",
    "BROKER_VISIBILITY": "40",
    "SWEEP_EVERY": "1",
    "WORKER_HEARTBEAT": "1",
    "INFERENCE_ENGINE": "onnxruntime",
}
SLOW = ("--include", "tests.served.slow")
POISONED = ("--include", "tests.served.poison")


@dataclass(frozen=True)
class Seeded:
    case: int
    images: Mapping[int, str]  # id → SHA-256 of the stored file
    token: str


class Stage:
    """One portal with its own database, and the questions that fault tests ask of it."""

    def __init__(self, portal: Portal, postgres: PostgresServer, redis: RedisServer, database: str) -> None:
        self.portal, self.postgres, self.redis, self.database = portal, postgres, redis, database

    def seed(self, images: int) -> Seeded:
        done = subprocess.run(
            [sys.executable, "-m", "tests.served.seed", str(images)],
            cwd=ROOT, env=self.portal.environment, capture_output=True, text=True,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        return Seeded(said["case"], {int(k): v for k, v in said["images"].items()}, said["token"])

    def ask(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.postgres.url(self.database))
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql, values)
                return cursor.fetchall()
        finally:
            connection.close()

    def states(self) -> Counter[str]:
        return Counter(dict(self.ask("SELECT state, count(*) FROM diagnosis_analysis GROUP BY state")))

    def wait_until(self, what: str, seconds: float = 90.0, **at_least: int) -> None:
        """Until so many analyses are in each of the named states."""
        self.portal.wait_for(
            lambda: all(self.states()[state] >= number for state, number in at_least.items()),
            f"{what} ({at_least}; now {dict(self.states())})", seconds, every=0.05,
        )  # fmt: skip

    def wait_until_settled(self, seconds: float = 150.0) -> None:
        def settled() -> bool:
            now = self.states()  # at one moment: between two looks a batch may be handed back
            return not (now["queued"] or now["running"])

        self.portal.wait_for(settled, "nothing to be queued or running", seconds)

    def readings(self) -> Counter[tuple[int, str]]:
        """How often the history says that a network read an image: written with each result, never changed."""
        rows = self.ask(
            "SELECT subject, jsonb_array_elements_text(detail->'networks') FROM diagnosis_auditevent "
            "WHERE action = 'image.read'"
        )
        return Counter((int(subject.removeprefix("image ")), network.split()[0]) for subject, network in rows)

    def assert_each_read_once(self, images: Mapping[int, str]) -> None:
        """Every image was read once by each network, nothing is left, and the case knows."""
        self.wait_until_settled()
        expected = Counter({(image, network): 1 for image in images for network in ("cnn", "mobilenet")})
        assert self.states() == {"done": 2 * len(images)}
        assert self.readings() == expected
        stored = self.ask(
            "SELECT count(*) FROM diagnosis_analysis WHERE probabilities IS NOT NULL AND activation IS NOT NULL "
            "AND lease_token IS NULL"
        )
        assert stored == [(2 * len(images),)]
        assert set(self.ask("SELECT status, (assessment->'progress'->>'done')::int FROM diagnosis_case")) == {
            ("ready", len(images))
        }


@pytest.fixture(scope="session")
def template(real_servers: tuple[PostgresServer, RedisServer]) -> str:
    """A migrated database with the shipped models registered, to be copied by each test."""
    postgres, redis = real_servers
    portal = Portal(database_url=postgres.create("served_template"), broker_url=redis.url, environment=LIMITS)
    portal.manage("migrate", "--verbosity", "0")
    portal.manage("register_models")
    return "served_template"


@pytest.fixture
def stage(real_servers: tuple[PostgresServer, RedisServer], template: str) -> Iterator[Stage]:
    postgres, redis = real_servers
    redis.flush()
    database = f"served_{next(_numbers)}"
    url = postgres.create(database, template)
    portal = Portal(database_url=url, broker_url=redis.url, environment=LIMITS)
    try:
        yield Stage(portal, postgres, redis, database)
    finally:
        portal.stop()
        for server in real_servers:
            if server.process is None:
                server.start()
