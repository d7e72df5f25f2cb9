"""What every refusal looks like."""

from typing import Any

from django.http import HttpResponse


def assert_problem(answer: HttpResponse, status: int, code: str) -> dict[str, Any]:
    """The problem details of `answer`, which must be of this status and code and complete."""
    assert answer.status_code == status, answer.content
    assert answer["Content-Type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert {"type", "title", "status", "code", "detail"} <= set(problem)
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["detail"].endswith(".")
    return problem
