"""`make test`: every check and test that this machine can run, and one clear line for each that it cannot."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests import servers  # noqa: E402

PYTEST = [sys.executable, "-m", "pytest", "-q"]
STEPS = [
    "tests/accounts",
    "tests/diagnosis",
    "tests/api",
    "tests/fhir",
    "tests/test_permissions.py",
    "tests/test_blinding.py",
]


def main() -> int:
    os.chdir(ROOT)
    os.environ["BIN"] = str(Path(sys.executable).parent)
    os.environ["OMP_NUM_THREADS"] = "1"  # two test processes share the cores
    missing = [
        name
        for name, found in (("PostgreSQL", servers.postgres_binaries()), ("Redis", servers.redis_binary()))
        if not found
    ]
    why_no_servers = f"{' and '.join(missing)} not installed" if missing else ""
    why_no_browser = "" if servers.chromium_binary() else "Chromium not installed"
    in_process = ["-m", "not browser and not served"]
    stages: list[tuple[str, list[str], str]] = [
        ("lint", ["sh", "scripts/lint.sh"], ""),
        ("unit and API tests on SQLite", [*PYTEST, "-n", "2", *in_process, "tests"], ""),
        (
            "the steps on PostgreSQL",
            [sys.executable, "-m", "tests.servers", "--", *PYTEST, "-n", "2", *in_process, *STEPS],
            why_no_servers,
        ),
        ("faults: real workers, PostgreSQL, Redis", [*PYTEST, "-n", "2", "-m", "served", "tests"], why_no_servers),
        ("pages in Chromium", [*PYTEST, "-n", "2", "-m", "browser", "tests"], why_no_browser),
    ]
    results = []
    for name, command, why_not in stages:
        if why_not:
            results.append(f"NOT RUN  {name}: {why_not}")
            continue
        print(f"\n== {name}", flush=True)
        began = time.monotonic()
        code = subprocess.run(command).returncode
        results.append(f"{'ok      ' if code == 0 else 'FAILED  '} {name} ({time.monotonic() - began:.0f} s)")
    print("\n" + "\n".join(results))
    failed = any(line.startswith("FAILED") for line in results)
    skipped = any(line.startswith("NOT RUN") for line in results)
    return 1 if failed or (skipped and os.environ.get("REQUIRE_ALL") == "1") else 0


if __name__ == "__main__":
    sys.exit(main())
