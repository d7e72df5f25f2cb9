"""From a reviewed case to a signed report and on to its next versions. The one writer of drafts, reports, comment
templates, and of a case's `signed_at`, `report_version` and `amending`.

A report is signed once and never changed: an amendment, an addendum or a correction is another version beside it.
`docs/signout.md` says what a signature here is and what it is not.
"""

from diagnosis.signout.amending import amend, arrived_since, cancel_amendment
from diagnosis.signout.drafting import DraftConflict, draft_of, save_draft, set_key_image
from diagnosis.signout.gaps import Missing, missing
from diagnosis.signout.refusals import NotReady, PreviewChanged, SignoutRefused
from diagnosis.signout.signing import Proposal, preview, proposal_of, sign
from diagnosis.signout.templates import delete_template, save_template
from diagnosis.signout.verifying import Standing, check

__all__ = [
    "DraftConflict",
    "Missing",
    "NotReady",
    "PreviewChanged",
    "Proposal",
    "SignoutRefused",
    "Standing",
    "amend",
    "arrived_since",
    "cancel_amendment",
    "check",
    "delete_template",
    "draft_of",
    "missing",
    "preview",
    "proposal_of",
    "save_draft",
    "save_template",
    "set_key_image",
    "sign",
]
