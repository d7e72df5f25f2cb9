"""Signatures as Standard Webhooks 1.0 has them, and secrets that the database keeps encrypted."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from hashlib import sha256

from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings

PREFIX = "whsec_"


def new_secret() -> str:
    return PREFIX + base64.b64encode(secrets.token_bytes(32)).decode()


def sealed(secret: str) -> str:
    return _box().encrypt(secret.encode()).decode()


def opened(kept: str) -> str:
    """Raises `cryptography.fernet.InvalidToken` where neither SECRET_KEY nor a fallback made it."""
    return _box().decrypt(kept.encode()).decode()


def headers(*, secret: str, message: str, at: int, body: str) -> dict[str, str]:
    """`message` is the same for each attempt; `at`, in seconds, is that of the attempt."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    said = hmac.new(key, f"{message}.{at}.{body}".encode(), sha256).digest()
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at),
        "webhook-signature": f"v1,{base64.b64encode(said).decode()}",
    }


def _box() -> MultiFernet:
    keys = (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)
    return MultiFernet(
        [Fernet(base64.urlsafe_b64encode(hashlib.sha256(f"webhooks {key}".encode()).digest())) for key in keys]
    )
