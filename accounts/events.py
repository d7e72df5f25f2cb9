"""What happens to accounts that a laboratory's audit wants to know.

Accounts know no clinic, so they only tell; whoever keeps the audit listens. Each signal carries `laboratory`
and `actor` (`Actor` or None), and what is named beside it. A listener that fails undoes what it was told of:
nothing happens unrecorded.
"""

from django.dispatch import Signal

token_created = Signal()  # token: ApiToken
token_revoked = Signal()  # token: ApiToken
signed_in = Signal()  # methods: how, such as ["password", "mfa"]
signed_out = Signal()
sign_in_failed = Signal()  # email and address (the client's) of the attempt; actor is None
security_changed = Signal()  # what: password_changed, totp_activated, webauthn_removed …, as allauth's mails are called
role_changed = Signal()  # user: User, before and after: lists of roles; no roles: not in the laboratory
laboratory_changed = Signal()  # changes: field → [before, after]
