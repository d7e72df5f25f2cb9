"""allauth's forms for passkeys and security keys, with a sentence instead of a crash for what is no credential."""

from __future__ import annotations

from typing import Any

from allauth.mfa.adapter import get_adapter
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn.forms import (
    AddWebAuthnForm,
    AuthenticateWebAuthnForm,
    LoginWebAuthnForm,
    ReauthenticateWebAuthnForm,
)
from django import forms

#: What fido2 raises, beside allauth's own ValidationError, for an answer that no browser gives.
_BROKEN = (AttributeError, KeyError, TypeError, ValueError)


class CredentialField(forms.JSONField):
    """The browser's answer, a JSON object; allauth would skip its checks for `false` and `0`."""

    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        answer = super().to_python(value)
        if answer is not None and not isinstance(answer, dict):
            raise get_adapter().validation_error("incorrect_code")
        return answer


class AddKeyForm(AddWebAuthnForm):
    credential = CredentialField()
    passwordless = forms.BooleanField(
        label="Passkey: sign in with it alone",
        required=False,
        help_text="Needs a device that checks your fingerprint, face or PIN. Otherwise it stands beside the password.",
    )
    field_order = ["name", "passwordless", "credential"]

    def clean(self) -> dict[str, Any]:
        try:
            return dict(super().clean())
        except _BROKEN as error:
            raise get_adapter().validation_error("incorrect_code") from error


class AuthenticateKeyForm(AuthenticateWebAuthnForm):
    credential = CredentialField()

    def clean_credential(self) -> Authenticator:
        try:
            return super().clean_credential()
        except _BROKEN as error:
            raise get_adapter().validation_error("incorrect_code") from error


class LoginKeyForm(AuthenticateKeyForm, LoginWebAuthnForm):
    pass


class ReauthenticateKeyForm(AuthenticateKeyForm, ReauthenticateWebAuthnForm):
    pass
