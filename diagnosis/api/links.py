"""Where one answer leads on to the next request, as OpenAPI links: for clients that walk, and for tests that do."""

from __future__ import annotations

from typing import Any

_ID = "$response.body#/id"
_FIRST = "$response.body#/results/0/id"

_PATH = "$request.path."

#: Of which operation's answers, what can be asked next, with which parameters from where.
_LINKS: list[tuple[str, str, dict[str, str]]] = [
    (
        "create_case",
        "get_case change_case upload_image list_images_of_case save_clinical_data claim_case list_history_of_case",
        {"case_id": _ID},
    ),
    ("create_cases", "get_case", {"case_id": "$response.body#/ids/0"}),
    ("list_cases", "get_case list_reports_of_case", {"case_id": _FIRST}),
    ("list_patients", "get_patient correct_patient", {"patient_id": _FIRST}),
    ("upload_image", "get_image correct_kind get_image_file retry_image decide_image", {"image_id": _ID}),
    ("list_images_of_case", "get_image", {"image_id": _FIRST}),
    (
        "list_reports_of_case",
        "get_report get_report_pdf",
        {"case_id": f"{_PATH}case_id", "version": "$response.body#/results/0/version"},
    ),
    ("open_batch", "get_batch list_files_of_batch send_manifest match_batch retry_batch", {"batch_id": _ID}),
    ("list_batches", "get_batch list_files_of_batch", {"batch_id": _FIRST}),
    (
        "list_files_of_batch",
        "get_file_of_batch assign_file discard_file retry_file",
        {"batch_id": f"{_PATH}batch_id", "file_id": _FIRST},
    ),
    (
        "create_webhook",
        "get_webhook change_webhook delete_webhook rotate_webhook_secret ping_webhook replay_webhook "
        "list_deliveries_of_webhook",
        {"webhook_id": _ID},
    ),
    ("ping_webhook", "get_delivery replay_delivery", {"webhook_id": f"{_PATH}webhook_id", "delivery_id": _ID}),
]


def everywhere(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """drf-spectacular's hook."""
    operations = {each["operationId"]: each for methods in result["paths"].values() for each in methods.values()}
    for source, targets, parameters in _LINKS:
        links = {name: {"operationId": name, "parameters": parameters} for name in targets.split() if operations[name]}
        for status in {"200", "201", "202"} & operations[source]["responses"].keys():
            operations[source]["responses"][status]["links"] = links
    return result
