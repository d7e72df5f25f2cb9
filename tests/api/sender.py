"""A server process of its own for one request: `python -m tests.api.sender TOKEN PATH KEY BODY [die]`.

Says that it is ready, waits for a line, sends, and prints the status, whether it was a replay, and the code of a
refusal. With `die` it ends as a killed one does, after the case was written and before the answer was kept.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import django


def main() -> None:
    django.setup()

    from rest_framework.test import APIClient

    from diagnosis import repeats

    token, path, key, body, *die = sys.argv[1:]

    def killed(*_: Any) -> None:
        os._exit(9)

    if die:
        repeats.finish = killed
    client = APIClient(SERVER_NAME="localhost", headers={"Authorization": f"Bearer {token}", "Idempotency-Key": key})
    print("ready", flush=True)
    sys.stdin.readline()
    answer = client.post(path, body, content_type="application/json")
    print(answer.status_code, answer.get("Idempotency-Replayed", "-"), answer.json().get("code", "-"), flush=True)


if __name__ == "__main__":
    main()
