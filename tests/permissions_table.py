"""Who gets what: one row for each route, read by tests/test_permissions.py.

A row names methods and the statuses for the roles in this order:

    anonymous  stranger  technician  pathologist  administrator  (API: and a pathologist's token without scopes)

The stranger holds every role, in another laboratory. A method that a row does not name is answered by `others`:
405 to everybody on pages; in the API 401 to whoever brings no token, and 405 to the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")

Body = dict[str, Any]


@dataclass(frozen=True)
class Route:
    path: str
    body: Body  # what the route accepts, sent by POST and PATCH; "{case}" and the like are filled in
    others: str
    lines: dict[str, str]

    def expected(self, method: str) -> str:
        return self.lines.get(method, self.others)


def page(path: str, body: Body | None = None, *, others: str = "405 405 405 405 405", **lines: str) -> Route:
    return Route(path, body or {}, others, lines)


def api(path: str, body: Body | None = None, **lines: str) -> Route:
    return Route(path, body or {}, "401 405 405 405 405 405", lines)


def free(path: str, *, others: str = "405", **lines: str) -> Route:
    """The same for everybody: one status."""
    return Route(path, {}, others, lines)


NEW_PASSWORD = {"password1": "nine unrelated green words", "password2": "nine unrelated green words"}
NEW_CASE = {
    "mrn": "1-2",
    "accession_number": "NEW-1",
    "specimen": "peripheral_blood",
    "stain": "may_grunwald_giemsa",
    "priority": "routine",
}

#: By session cookie.
PAGES: dict[str, Route] = {
    # ---- the clinic. The saved view is the pathologist's.      anon str tec pat adm
    "case-list": page("/", GET="302 200 200 200 200"),
    "case-next": page("/next/", POST="302 302 403 302 403"),
    "view-list": page(
        "/views/", {"name": "Mine", "from": "mine"}, GET="302 200 200 200 200", POST="302 302 302 302 302"
    ),
    "view-rename": page("/views/{view}/rename/", {"name": "Ours"}, POST="302 404 404 302 404"),
    "view-delete": page("/views/{view}/delete/", POST="302 302 302 302 302"),
    "case-new": page("/cases/new/", NEW_CASE, GET="302 200 200 200 403", POST="302 302 302 302 403"),
    "case-patient": page("/cases/new/patient/", GET="302 204 204 204 403"),
    "case": page("/cases/{case}/", GET="302 404 200 200 200"),
    "case-claim": page("/cases/{case}/claim/", {"take_over": "1"}, POST="302 404 403 302 403"),
    "case-release": page("/cases/{case}/release/", POST="302 404 403 302 403"),
    "case-clinical": page(
        "/cases/{case}/clinical/", {"revision": "0", "wbc": "4"}, GET="302 404 200 200 403", POST="302 404 302 302 403"
    ),
    "case-edit": page(
        "/cases/{case}/request/",
        {"priority": "urgent", "specimen": "peripheral_blood", "stain": "giemsa"},
        GET="302 404 200 200 403",
        POST="302 404 302 302 403",
    ),
    "patient-edit": page(
        "/cases/{case}/patient/", {"sex": "female"}, GET="302 404 200 200 403", POST="302 404 302 302 403"
    ),
    "case-live": page("/cases/{case}/live/", GET="302 404 200 200 200"),
    "case-history": page("/cases/{case}/history/", GET="302 404 200 200 200"),
    "case-upload": page("/cases/{case}/images/", {"files": "a picture"}, POST="302 404 200 200 403"),
    # ---- the sign-out; one case is signed, the template is the laboratory's
    "case-report": page("/cases/{signed}/report/", GET="302 404 302 302 302"),
    "case-draft": page(
        "/cases/{case}/report/draft/", {"revision": "0", "comment": "Blasts."}, POST="302 404 403 302 403"
    ),
    "case-key-images": page(
        "/cases/{case}/report/images/",
        {"revision": "0", "key_images": "{image}"},
        GET="302 404 403 200 403",
        POST="302 404 403 302 403",
    ),
    "case-sign": page("/cases/{case}/report/sign/", GET="302 404 403 200 403", POST="302 404 403 200 403"),
    "case-change": page(
        "/cases/{signed}/report/change/", {"reason": "More."}, GET="302 404 403 200 403", POST="302 404 403 302 403"
    ),
    "case-addendum": page(
        "/cases/{signed}/report/addendum/",
        {"reason": "More.", "addendum": "More."},
        GET="302 404 403 200 403",
        POST="302 404 403 200 403",
    ),
    "case-correction": page(
        "/cases/{signed}/report/correction/",
        {"reason": "A slip.", "diagnosis_text": "Mended."},
        GET="302 404 403 200 403",
        POST="302 404 403 200 403",
    ),
    "case-cancel-amendment": page("/cases/{signed}/report/cancel/", POST="302 404 403 302 403"),
    "report": page("/cases/{signed}/report/1/", GET="302 404 200 200 200"),
    "report-pdf": page("/cases/{signed}/report/1/pdf", GET="302 404 200 200 200"),
    "templates": page(
        "/templates/", {"title": "Flow", "text": "Advised."}, GET="302 200 403 200 200", POST="302 302 403 302 302"
    ),
    "template": page(
        "/templates/{template}/",
        {"title": "Flow", "text": "Advised."},
        GET="302 404 403 200 200",
        POST="302 404 403 302 302",
    ),
    "template-delete": page("/templates/{template}/delete/", POST="302 404 403 302 302"),
    "case-review": page(
        "/cases/{case}/review/",
        {
            "sent": '{{"step": "6f1f3c52-0c0a-4a55-9d0c-3c8f5f0a1b2c", "act": "decide", "decisions": '
            '[{{"image": {image}, "verdict": "override", "label": "monocyte", "expected": null}}]}}'
        },
        POST="302 404 403 200 403",
    ),
    "image": page("/images/{image}/", GET="302 404 200 200 200"),
    "image-decide": page(
        "/images/{image}/decide/", {"verdict": "override", "label": "monocyte"}, POST="302 404 403 302 403"
    ),
    "image-key": page("/images/{image}/key/", {"chosen": "1"}, POST="302 404 403 302 403"),
    "image-retry": page("/images/{image}/retry/", POST="302 404 302 302 403"),
    "image-kind": page("/images/{image}/kind/", {"kind": "field"}, POST="302 404 302 302 403"),
    "image-scale": page("/images/{image}/scale/", {"um_per_pixel": "0.1"}, POST="302 404 302 302 403"),
    "compare-networks": page("/images/{image}/compare/", GET="302 404 200 200 200"),
    "compare-images": page("/images/{image}/compare/{image}/", GET="302 404 200 200 200"),
    "image-file": page("/images/{image}/file", GET="302 404 200 200 200"),
    "image-thumb": page("/images/{image}/thumb", GET="302 404 200 200 200"),
    "image-heat": page("/images/{image}/heat/{analysis}.png", GET="302 404 200 200 200"),
    # ---- second opinions; the open one was asked by the pathologist, of a colleague, on another case
    "opinion-list": page("/opinions/", GET="302 200 403 200 200"),
    "opinion-ask": page(
        "/cases/{case}/opinion/",
        {"colleagues": "{colleague}", "diagnosis": "9861/3", "question": "And you?"},
        GET="302 404 403 200 403",
        POST="302 404 403 302 403",
    ),
    "opinion-answer": page(
        "/opinions/{opinion}/", {"diagnosis": "9866/3"}, GET="302 404 403 302 403", POST="302 404 403 409 403"
    ),
    "opinion-decline": page("/opinions/{opinion}/decline/", {"reason": "On leave."}, POST="302 404 403 409 403"),
    "opinion-withdraw": page("/opinions/{opinion}/withdraw/", POST="302 404 403 302 403"),
    "opinion-adjudicate": page(
        "/cases/{case}/opinion/adjudicate/",
        {"diagnosis": "9866/3", "reason": "Faggot cells."},
        GET="302 404 403 200 403",
        POST="302 404 403 409 403",
    ),
    "opinion-adopt": page("/cases/{case}/opinion/adopt/", {"revision": "0"}, POST="302 404 403 302 403"),
    # ---- notices are one's own; this one is the pathologist's
    "notice-list": page("/notices/", GET="302 200 200 200 200"),
    "notice-unread": page("/notices/unread", GET="302 200 200 200 200"),
    "notice-all-read": page("/notices/read/", POST="302 302 302 302 302"),
    "notice-outbox": page("/notices/outbox/", POST="302 302 403 403 302"),
    "notice-settings": page("/notices/settings/", GET="302 200 200 200 200", POST="302 302 302 302 302"),
    "notice-open": page("/notices/{notice}/", GET="302 404 404 302 404"),
    "notice-read": page("/notices/{notice}/read/", POST="302 302 302 302 302"),
    # ---- batches. The batch is the technician's, and one picture of it waits in the tray.
    "batch-list": page("/batches/", GET="302 200 200 200 200", POST="302 302 302 302 403"),
    "batch-rules": page("/batches/rules/", {"revision": "0"}, GET="302 200 200 200 200", POST="302 302 302 302 403"),
    "batch": page("/batches/{batch}/", GET="302 404 200 200 200"),
    "batch-live": page("/batches/{batch}/live/", GET="302 404 200 200 200"),
    "batch-files": page("/batches/{batch}/files/", {"files": "a picture"}, POST="302 404 302 302 403"),
    "batch-manifest": page("/batches/{batch}/list/", POST="302 404 302 302 403"),
    "batch-match": page("/batches/{batch}/match/", POST="302 404 302 302 403"),
    "batch-retry": page("/batches/{batch}/retry/", POST="302 404 302 302 403"),
    "batch-outcomes": page("/batches/{batch}/outcomes.csv", GET="302 404 200 200 200"),
    "labels": page("/labels/?case={case}", {"ticked": "{case}"}, GET="302 404 200 200 200", POST="302 404 422 422 422"),
    "label-settings": page(
        "/labels/settings/", {"revision": "0"}, GET="302 200 403 403 200", POST="302 302 403 403 302"
    ),
    "tray": page("/tray/", {"accession": "NO-1"}, GET="302 200 200 200 200", POST="302 422 422 422 403"),
    "tray-thumb": page("/tray/{waiting}/thumb", GET="302 404 200 200 200"),
    # ---- the laboratory's own figures
    "laboratory": page("/laboratory/", GET="302 200 403 200 200"),
    "laboratory-overrides": page("/laboratory/overrides/", GET="302 200 403 200 200"),
    "laboratory-table": page("/laboratory/volumes.csv", GET="302 200 403 200 200"),
    "laboratory-export": page(
        "/laboratory/export/",
        {"tasks": ["cell"], "signed": "no"},
        GET="302 200 403 403 200",
        POST="302 422 403 403 200",  # nothing is decided in the stranger's laboratory
    ),
    "webhook-list": page("/laboratory/webhooks/", GET="302 200 403 403 200", POST="302 422 403 403 422"),
    "webhook": page("/laboratory/webhooks/{webhook}/", GET="302 404 403 403 200"),
    "webhook-change": page("/laboratory/webhooks/{webhook}/change/", {"what": "pause"}, POST="302 404 403 403 302"),
    "webhook-replay": page("/laboratory/webhooks/{webhook}/{delivery}/", POST="302 404 403 403 302"),
    # ---- the models are the same for every laboratory. This one's report is not on the machine.
    "model-list": page("/models/", GET="302 200 200 200 200"),
    "model": page("/models/{release}/", GET="302 200 200 200 200"),
    "model-report": page("/models/{release}/report.json", GET="302 404 404 404 404"),
    # ---- one's own account, and the people of the laboratory. The token is the pathologist's; the person to change
    # is the first laboratory's technician.
    "accounts:profile": page("/account/profile/", GET="302 200 200 200 200"),
    "accounts:switch": page("/account/laboratory/switch/", {"laboratory": "{laboratory}"}, POST="302 404 302 302 302"),
    # The stranger's own laboratory has another name than the page that is sent has seen.
    "accounts:laboratory": page(
        "/account/laboratory/",
        {
            "name": "Northern Laboratory",
            "routine_hours": "48",
            "urgent_hours": "4",
            "seen_name": "North Laboratory",
            "seen_routine_hours": "48",
            "seen_urgent_hours": "4",
        },
        GET="302 200 403 403 200",
        POST="302 409 403 403 302",
    ),
    "accounts:tokens": page(
        "/account/tokens/",
        {"name": "scanner", "scopes": ["cases:read"], "days": "1"},
        GET="302 200 200 200 200",
        POST="302 200 200 200 200",
    ),
    "accounts:token-revoke": page("/account/tokens/{token}/revoke/", POST="302 404 404 302 404"),
    "accounts:people": page(
        "/account/people/",
        {"full_name": "Nora New", "email": "nora@north.example", "roles": ["technician"]},
        GET="302 200 403 403 200",
        POST="302 302 403 403 302",
    ),
    "accounts:person-roles": page(
        "/account/people/{person}/roles/", {"roles": ["pathologist"]}, POST="302 404 403 403 302"
    ),
    "accounts:person-remove": page("/account/people/{person}/remove/", POST="302 404 403 403 302"),
    "accounts:person-invite": page("/account/people/{person}/invite/", POST="302 404 403 403 302"),
    # ---- signing in and out (allauth takes PUT for POST in its forms)
    "account_login": page(
        "/account/login/",
        GET="200 302 302 302 302",
        POST="200 302 302 302 302",
        PUT="200 302 302 302 302",
        others="405 302 302 302 302",
    ),
    "mfa_login_webauthn": page(
        "/account/2fa/webauthn/login/",
        GET="302 302 302 302 302",
        POST="302 302 302 302 302",
        PUT="302 302 302 302 302",
        others="405 302 302 302 302",
    ),
    "mfa_authenticate": page("/account/2fa/authenticate/", others="302 302 302 302 302"),
    "account_confirm_login_code": page("/account/login/code/confirm/", others="302 302 302 302 302"),
    "account_logout": page("/account/logout/", GET="302 200 200 200 200", POST="302 302 302 302 302"),
    "account_signup": page("/account/signup/", NEW_PASSWORD | {"email": "x@example.org"}, others="200 302 302 302 302"),
    "account_inactive": page("/account/inactive/", GET="200 200 200 200 200"),
    "openid_connect_login": page("/account/oidc/oidc/login/", others="404 404 404 404 404"),
    "openid_connect_callback": page("/account/oidc/oidc/login/callback/", others="404 404 404 404 404"),
    "socialaccount_signup": page("/account/3rdparty/signup/", others="302 302 302 302 302"),
    "socialaccount_login_cancelled": page("/account/3rdparty/login/cancelled/", GET="200 200 200 200 200"),
    "socialaccount_login_error": page("/account/3rdparty/login/error/", GET="401 401 401 401 401"),
    # ---- a forgotten password; an address is not changed here
    "account_reset_password": page(
        "/account/password/reset/",
        {"email": "nobody@example.org"},
        GET="200 200 200 200 200",
        POST="302 302 302 302 302",
        PUT="200 200 200 200 200",
    ),
    "account_reset_password_done": page("/account/password/reset/done/", GET="200 200 200 200 200"),
    "account_reset_password_from_key": page("/account/password/reset/key/1-x/", others="200 200 200 200 200"),
    "account_reset_password_from_key_done": page("/account/password/reset/key/done/", GET="200 200 200 200 200"),
    "account_email": page("/account/email/", others="302 302 302 302 302"),
    "account_email_verification_sent": page("/account/confirm-email/", GET="200 200 200 200 200"),
    "account_confirm_email": page("/account/confirm-email/x/", GET="200 200 200 200 200", POST="404 404 404 404 404"),
    # ---- security settings, the password confirmed just before. Only the pathologist has a key and recovery codes.
    "account_reauthenticate": page(
        "/account/reauthenticate/",
        GET="302 200 200 200 200",
        POST="302 200 200 200 200",
        PUT="302 200 200 200 200",
        others="302 405 405 405 405",
    ),
    "mfa_reauthenticate": page(
        "/account/2fa/reauthenticate/",
        GET="302 302 302 200 302",
        POST="302 302 302 200 302",
        PUT="302 302 302 200 302",
        others="302 302 302 405 302",
    ),
    "mfa_reauthenticate_webauthn": page(
        "/account/2fa/webauthn/reauthenticate/",
        GET="302 302 302 200 302",
        POST="302 302 302 302 302",
        PUT="302 302 302 302 302",
        others="302 302 302 405 302",
    ),
    "account_change_password": page(
        "/account/password/change/",
        NEW_PASSWORD | {"oldpassword": "a long enough test password"},
        GET="302 200 200 200 200",
        POST="302 302 302 302 302",
        PUT="302 200 200 200 200",
        others="302 405 405 405 405",
    ),
    "account_set_password": page("/account/password/set/", others="302 302 302 302 302"),
    "mfa_index": page("/account/2fa/", GET="302 200 200 200 200", others="302 405 405 405 405"),
    "mfa_activate_totp": page(
        "/account/2fa/totp/activate/",
        GET="302 200 200 200 200",
        POST="302 200 200 200 200",
        PUT="302 200 200 200 200",
        others="302 405 405 405 405",
    ),
    "mfa_deactivate_totp": page("/account/2fa/totp/deactivate/", others="302 404 404 404 404"),
    "mfa_view_recovery_codes": page(
        "/account/2fa/recovery-codes/", GET="302 404 404 200 404", others="302 405 405 405 405"
    ),
    "mfa_download_recovery_codes": page(
        "/account/2fa/recovery-codes/download/", GET="302 404 404 200 404", others="302 404 404 405 404"
    ),
    "mfa_generate_recovery_codes": page(
        "/account/2fa/recovery-codes/generate/",
        GET="302 200 200 200 200",
        POST="302 200 200 302 200",
        PUT="302 200 200 302 200",
        others="302 405 405 405 405",
    ),
    "mfa_list_webauthn": page("/account/2fa/webauthn/", GET="302 200 200 200 200", others="302 405 405 405 405"),
    "mfa_add_webauthn": page(
        "/account/2fa/webauthn/add/",
        GET="302 200 200 200 200",
        POST="302 200 200 200 200",
        PUT="302 200 200 200 200",
        others="302 405 405 405 405",
    ),
    "mfa_edit_webauthn": page(
        "/account/2fa/webauthn/keys/{key}/edit/",
        {"name": "Red key"},
        GET="302 404 404 200 404",
        POST="302 404 404 302 404",
        PUT="302 404 404 200 404",
        others="302 405 405 405 405",
    ),
    "mfa_remove_webauthn": page(
        "/account/2fa/webauthn/keys/{key}/remove/",
        GET="302 404 404 200 404",
        POST="302 404 404 302 404",
        DELETE="302 404 404 302 404",
        others="302 405 405 405 405",
    ),
    "socialaccount_connections": page(
        "/account/3rdparty/",
        GET="302 200 200 200 200",
        POST="302 200 200 200 200",
        PUT="302 200 200 200 200",
        others="302 405 405 405 405",
    ),
}

#: By bearer token.
API: dict[str, Route] = {
    # ----                                                       anon str tec pat adm bare
    "api:cases": api(
        "/api/v1/cases/",
        {"accession_number": "NEW-1", "patient": {"mrn": "1-2"}},
        GET="401 200 200 200 200 403",
        POST="401 201 201 201 403 403",
    ),
    "api:cases-bulk": api(
        "/api/v1/cases/bulk/",
        {"cases": [{"accession_number": "BULK-1", "patient": {"mrn": "1-2"}}]},
        POST="401 201 201 201 403 403",
    ),
    "api:case": api(
        "/api/v1/cases/{case}/",
        {"priority": "urgent"},
        GET="401 404 200 200 200 403",
        PATCH="401 404 200 200 403 403",
    ),
    "api:case-claim": api("/api/v1/cases/{case}/claim/", {"take_over": True}, POST="401 404 403 200 403 403"),
    "api:case-release": api("/api/v1/cases/{case}/release/", POST="401 404 403 200 403 403"),
    "api:case-clinical": api(
        "/api/v1/cases/{case}/clinical/",
        {"expected_revision": 0, "wbc": 4.0},
        GET="401 404 200 200 200 403",
        PATCH="401 404 200 200 403 403",
    ),
    "api:case-decisions": api(
        "/api/v1/cases/{case}/decisions/",
        {"decisions": [{"image": 1, "verdict": "override", "label": "monocyte"}]},
        POST="401 404 403 200 403 403",
    ),
    "api:case-undo": api("/api/v1/cases/{case}/decisions/undo/", POST="401 404 403 409 403 403"),  # nothing to undo
    "api:case-redo": api("/api/v1/cases/{case}/decisions/redo/", POST="401 404 403 409 403 403"),
    "api:case-images": api(
        "/api/v1/cases/{case}/images/",
        {"file": "a picture"},
        GET="401 404 200 200 200 403",
        POST="401 404 201 201 403 403",
    ),
    "api:case-image-batch": api(
        "/api/v1/cases/{case}/images/batch/", {"file": "a picture"}, POST="401 404 200 200 403 403"
    ),
    "api:case-history": api("/api/v1/cases/{case}/history/", GET="401 404 200 200 200 403"),
    "api:case-reports": api("/api/v1/cases/{signed}/reports/", GET="401 404 200 200 200 403"),
    "api:case-report": api("/api/v1/cases/{signed}/reports/1/", GET="401 404 200 200 200 403"),
    "api:case-report-pdf": api("/api/v1/cases/{signed}/reports/1/pdf/", GET="401 404 200 200 200 403"),
    "api:image": api(
        "/api/v1/images/{image}/", {"kind": "field"}, GET="401 404 200 200 200 403", PATCH="401 404 200 200 403 403"
    ),
    "api:image-file": api("/api/v1/images/{image}/file/", GET="401 404 200 200 200 403"),
    "api:image-decision": api(
        "/api/v1/images/{image}/decision/",
        {"verdict": "override", "label": "monocyte"},
        POST="401 404 403 201 403 403",
    ),
    "api:image-retry": api("/api/v1/images/{image}/retry/", POST="401 404 200 200 403 403"),
    "api:batches": api(
        "/api/v1/batches/", {"name": "Morning"}, GET="401 200 200 200 200 403", POST="401 201 201 201 403 403"
    ),
    "api:batch": api("/api/v1/batches/{batch}/", GET="401 404 200 200 200 403"),
    "api:batch-manifest": api(
        "/api/v1/batches/{batch}/manifest/", {"file": "a picture"}, POST="401 404 422 422 403 403"
    ),
    "api:batch-match": api("/api/v1/batches/{batch}/match/", POST="401 404 200 200 403 403"),
    "api:batch-retry": api("/api/v1/batches/{batch}/retry/", POST="401 404 200 200 403 403"),
    "api:batch-files": api("/api/v1/batches/{batch}/files/", GET="401 404 200 200 200 403"),
    "api:batch-file": api("/api/v1/batches/{batch}/files/{waiting}/", GET="401 404 200 200 200 403"),
    "api:file-assign": api(
        "/api/v1/batches/{batch}/files/{waiting}/assign/",
        {"accession_number": "NO-1"},
        POST="401 404 400 400 403 403",
    ),
    "api:file-discard": api("/api/v1/batches/{batch}/files/{waiting}/discard/", POST="401 404 200 200 403 403"),
    "api:file-retry": api("/api/v1/batches/{batch}/files/{waiting}/retry/", POST="401 404 200 200 403 403"),
    "api:patients": api("/api/v1/patients/", GET="401 200 200 200 200 403"),
    "api:patient": api(
        "/api/v1/patients/{patient}/",
        {"name": "Rendered Person"},
        GET="401 404 200 200 200 403",
        PATCH="401 404 200 200 403 403",
    ),
    "api:export": api("/api/v1/export/", GET="401 200 403 403 200 403"),
    "api:export-file": api("/api/v1/export/file/", GET="401 409 403 403 200 403"),
    "api:webhooks": api(
        "/api/v1/webhooks/",
        {"name": "LIS", "url": "ftp://lis.example/", "topics": ["report.signed"]},
        GET="401 200 403 403 200 403",
        POST="401 400 403 403 400 403",
    ),
    "api:webhook": api(
        "/api/v1/webhooks/{webhook}/",
        {"active": False},
        GET="401 404 403 403 200 403",
        PATCH="401 404 403 403 200 403",
        DELETE="401 404 403 403 204 403",
    ),
    "api:webhook-secret": api("/api/v1/webhooks/{webhook}/secret/", POST="401 404 403 403 200 403"),
    "api:webhook-ping": api("/api/v1/webhooks/{webhook}/ping/", POST="401 404 403 403 202 403"),
    "api:webhook-replay": api("/api/v1/webhooks/{webhook}/replay/", POST="401 404 403 403 200 403"),
    "api:webhook-deliveries": api("/api/v1/webhooks/{webhook}/deliveries/", GET="401 404 403 403 200 403"),
    "api:webhook-delivery": api("/api/v1/webhooks/{webhook}/deliveries/{delivery}/", GET="401 404 403 403 200 403"),
    "api:delivery-replay": api(
        "/api/v1/webhooks/{webhook}/deliveries/{delivery}/replay/", POST="401 404 403 403 200 403"
    ),
    "api:models": api("/api/v1/models/", GET="401 200 200 200 200 403"),
    "api:me": api("/api/v1/me/", GET="401 200 200 200 200 200"),
    # ---- FHIR, by the same tokens
    "fhir:Patient-search": api("/fhir/R4/Patient", GET="401 200 200 200 200 403"),
    "fhir:Patient-search-form": api("/fhir/R4/Patient/_search", {"_id": "{patient}"}, POST="401 200 200 200 200 403"),
    "fhir:Patient": api("/fhir/R4/Patient/{patient}", GET="401 404 200 200 200 403"),
    "fhir:DiagnosticReport-search": api("/fhir/R4/DiagnosticReport", GET="401 200 200 200 200 403"),
    "fhir:DiagnosticReport-search-form": api(
        "/fhir/R4/DiagnosticReport/_search", {"patient": "{patient}"}, POST="401 200 200 200 200 403"
    ),
    "fhir:DiagnosticReport": api("/fhir/R4/DiagnosticReport/{case}", GET="401 404 200 200 200 403"),
    "fhir:Observation-search": api("/fhir/R4/Observation", GET="401 400 400 400 400 403"),
    "fhir:Observation-search-form": api(
        "/fhir/R4/Observation/_search", {"patient": "{patient}"}, POST="401 200 200 200 200 403"
    ),
    "fhir:Observation": api("/fhir/R4/Observation/differential-{case}", GET="401 404 200 200 200 403"),
    "fhir:Media-search": api("/fhir/R4/Media", GET="401 200 200 200 200 403"),
    "fhir:Media-search-form": api("/fhir/R4/Media/_search", {"patient": "{patient}"}, POST="401 200 200 200 200 403"),
    "fhir:Media": api("/fhir/R4/Media/{image}", GET="401 404 200 200 200 403"),
    "fhir:Binary": api("/fhir/R4/Binary/{report}", GET="401 404 200 200 200 403"),
}

#: By session cookie and by bearer token alike, in the tus protocol.
BOTH: dict[str, Route] = {
    # ----                                   anon str tec pat adm
    "uploads": page("/uploads/", POST="401 201 201 201 403", others="401 405 405 405 405"),
    "upload": page(
        "/uploads/{upload}/",
        PATCH="401 404 204 204 403",
        DELETE="401 404 204 204 403",
        others="401 405 405 405 405",
    ),
}

#: The same for everybody: no data of any laboratory.
FREE: dict[str, Route] = {
    "fhir:metadata": free("/fhir/R4/metadata", GET="200"),
    "fhir:unknown": free("/fhir/R4/nothing", others="404"),
    "api:schema": free("/api/v1/schema/", GET="200"),
    "api:docs": free("/api/v1/docs/", GET="200"),
    "verify": free("/verify/", GET="200"),
    "verify-code": free("/verify/{code}/", GET="200"),
    "healthz": free("/healthz", GET="200"),
    "readyz": free("/readyz", GET="503"),  # no worker has been seen in this test
    "metrics": free("/metrics", GET="200"),  # counts only; the proxy keeps it inside
    "api:unknown": free("/api/v1/nothing/", others="404"),
}
