"""The desk of a large laboratory: how long the server takes for the worklist and for a case's page.

    python scripts/bench_desk.py            (called by `make bench`; BENCH_CASES and BENCH_IMAGES make it smaller)

Seeds a PostgreSQL of its own, asks the real pages through all middleware as pathologists would (views, filters,
searches, pages, opened cases) and adds `worklist_p95_ms` and `case_page_p95_ms` to `var/bench.json`. Then it looks at
the laboratory's figures, which are printed only.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import servers  # noqa: E402

CASES = int(os.environ.get("BENCH_CASES", "100000"))
IMAGES = int(os.environ.get("BENCH_IMAGES", str(CASES * 10)))
LOOKS = int(os.environ.get("BENCH_LOOKS", "400"))  # of each page
OUT = ROOT / "var" / "bench.json"

Look = tuple[str, str]  # what sort of look it is, and its address


def main() -> int:
    if not servers.postgres_binaries():
        print("worklist_p95_ms and case_page_p95_ms were not measured: PostgreSQL is not installed")
        return 0
    folder = tempfile.mkdtemp(prefix="leukolens-bench-")
    postgres = servers.PostgresServer()
    try:
        postgres.start()
        os.environ |= {"EMBEDDED": "1", "DEBUG": "0", "VAR_DIR": folder, "DATABASE_URL": postgres.url("bench"),
                       "DJANGO_SETTINGS_MODULE": "config.settings", "LOG_LEVEL": "ERROR"}  # fmt: skip
        postgres.create("bench")
        figures = measured()
    finally:
        postgres.remove()
        shutil.rmtree(folder, ignore_errors=True)
    OUT.parent.mkdir(exist_ok=True)
    known = json.loads(OUT.read_text()) if OUT.exists() else {}
    OUT.write_text(json.dumps(known | figures, indent=2) + "\n")
    return 0


def measured() -> dict[str, dict[str, object]]:
    import django

    django.setup()
    from desk_seed import seed
    from django.conf import settings
    from django.core.management import call_command
    from django.db import connection
    from django.test import Client

    from accounts.models import Role, User
    from diagnosis.dashboard import tally
    from diagnosis.dashboard.period import PERIODS

    settings.ALLOWED_HOSTS = ["testserver"]
    settings.SECURE_SSL_REDIRECT = False
    call_command("migrate", verbosity=0)
    began = time.perf_counter()
    laboratory = seed(cases=CASES, images=IMAGES)
    connection.close()  # with what the seeding had set
    print(f"seeded {CASES:,} cases and {IMAGES:,} images in {time.perf_counter() - began:.0f} s", flush=True)
    clients = []
    for user in User.objects.filter(memberships__role=Role.PATHOLOGIST)[:4]:
        client = Client()
        client.force_login(user)
        clients.append(client)

    draw = random.Random(7)
    figures: dict[str, dict[str, object]] = {}
    for name, looks in (("worklist_p95_ms", list_looks), ("case_page_p95_ms", case_looks)):
        times, on_cpu = ask(clients, [looks(draw) for _ in range(LOOKS)])
        values = sorted(value for sort in times.values() for value in sort)
        p95 = statistics.quantiles(values, n=20)[-1]
        load = os.getloadavg()[0]
        note = (
            f"server time through all middleware, {len(values)} looks, median {statistics.median(values):.0f} ms, "
            f"longest {values[-1]:.0f} ms, 95 % kept a core busy for at most "
            f"{statistics.quantiles(on_cpu, n=20)[-1]:.0f} ms; {CASES:,} cases, {IMAGES:,} images, PostgreSQL, one "
            f"process, {os.cpu_count()} cores"
            + (f" with other work on them (load {load:.1f}, measured at nice {os.nice(0)})" if load > 1.5 else "")
        )
        figures[name] = {"value": round(p95, 1), "unit": "ms", "note": note}
        print(f"{name:28}{p95:10.1f} {'ms':10} {note}", flush=True)
        for sort, taken in sorted(times.items(), key=lambda item: -max(item[1])):
            print(f"    {sort:26} n {len(taken):4}  median {statistics.median(taken):6.1f}  longest {max(taken):6.1f}")
    began = time.perf_counter()
    days = tally(laboratory=laboratory)
    print(f"counted the decisions of {days} days in {time.perf_counter() - began:.1f} s")
    times, _ = ask(clients, [(f"figures of {days} days", f"/laboratory/?days={days}") for days in PERIODS] * 5)
    for sort, taken in times.items():
        print(f"    {sort:26} n {len(taken):4}  median {statistics.median(taken):6.1f}  longest {max(taken):6.1f}")
    return figures


def ask(clients: list[object], looks: list[Look]) -> tuple[dict[str, list[float]], list[float]]:
    """Milliseconds by sort of look, and how many of them Python and PostgreSQL were on a core for each look.

    Each look is checked to be a page. The first fifth only warms up, and is asked again.
    """
    from django.db import connection

    times, on_cpu = defaultdict[str, list[float]](list), list[float]()
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        backend = Path(f"/proc/{cursor.fetchone()[0]}/schedstat")

    def busy() -> float:
        at_postgres = int(backend.read_text().split()[0]) / 1e6 if backend.exists() else 0.0
        return time.process_time() * 1000 + at_postgres

    for number, (sort, path) in enumerate(looks[: len(looks) // 5] + looks):
        client = clients[number % len(clients)]
        was_busy, began = busy(), time.perf_counter()
        answer = client.get(path)  # type: ignore[attr-defined]
        taken, worked = (time.perf_counter() - began) * 1000, busy() - was_busy
        if answer.status_code != 200:
            raise RuntimeError(f"{path} answered {answer.status_code}")
        if number >= len(looks) // 5:
            times[sort].append(taken)
            on_cpu.append(worked)
    return times, on_cpu


def list_looks(draw: random.Random) -> Look:
    """A look at the list as people take them: mostly a view's first page, then searches, then further pages."""
    from desk_seed import ENDS, FORENAMES, OPEN_IN, STEMS

    from diagnosis.assessment.words import FLAG_WORDS
    from diagnosis.listing import VIEWS

    number, newest = draw.randint(1, CASES), draw.randint(CASES - CASES // OPEN_IN + 1, CASES)
    name = f"{draw.choice(STEMS)}{draw.choice(ENDS)}"
    sorts: dict[str, tuple[int, Callable[[], dict[str, object]]]] = {
        "open": (20, dict),
        "view": (30, lambda: {"view": draw.choice(list(VIEWS))}),
        "page of the open": (8, lambda: {"after": newest}),
        "page of the signed": (4, lambda: {"view": "signed", "after": number}),
        "page of all": (4, lambda: {"view": "all", draw.choice(["after", "before"]): number}),
        "search: number": (6, lambda: {"q": f"{number:06d}"}),
        "search: surname": (6, lambda: {"q": name}),
        "search: both names": (4, lambda: {"q": f"{name} {draw.choice(FORENAMES)}"}),
        "search: record number": (4, lambda: {"q": f"{number * 7919 % 10_000_000:07d}"}),
        "search: two letters": (3, lambda: {"q": name[:2]}),
        "search: all have it": (2, lambda: {"q": "acc-2"}),
        "search: nobody has it": (2, lambda: {"q": "xylophon"}),
        "search: a flag": (2, lambda: {"q": draw.choice(["disagree", "blasts", "APL"])}),
        "filter: flag": (3, lambda: {"flag": draw.choice(list(FLAG_WORDS)), "view": draw.choice(["", "all"])}),
        "filter: state": (2, lambda: {"status": draw.choice(["ready", "reviewed", "signed"])}),
    }
    sort = draw.choices(list(sorts), [weight for weight, _ in sorts.values()])[0]
    return sort, f"/?{urlencode(sorts[sort][1]())}"


def case_looks(draw: random.Random) -> Look:
    """A case opened from a list: mostly an open one."""
    from desk_seed import OPEN_IN

    first_open = CASES - CASES // OPEN_IN + 1
    if draw.random() < 0.7:
        return "open case", f"/cases/{draw.randint(first_open, CASES)}/?from={draw.choice(['', 'mine', 'unassigned'])}"
    return "signed case", f"/cases/{draw.randint(1, first_open - 1)}/?from={draw.choice(['signed', 'all'])}"


if __name__ == "__main__":
    sys.exit(main())
