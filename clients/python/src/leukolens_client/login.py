"""Which portal, and who: from the environment, or as `leukolens login` kept it."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from leukolens_client import places
from leukolens_client.errors import LeukoLensError
from leukolens_client.wire import plain_url


@dataclass(frozen=True, slots=True)
class Login:
    url: str
    token: str


class NoLogin(LeukoLensError):
    """Nothing says which portal, or with which token."""


def path() -> Path:
    return places.config_folder() / "login.json"


def keep(login: Login) -> Path:
    """Keep it for this person alone (mode 0600)."""
    where = path()
    places.private_folder(where.parent)
    part = where.with_suffix(".part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"url": login.url, "token": login.token}, file)
    part.replace(where)
    return where


def forget() -> bool:
    """False where nothing was kept."""
    try:
        path().unlink()
    except FileNotFoundError:
        return False
    return True


def current() -> Login:
    """`LEUKOLENS_URL` and `LEUKOLENS_TOKEN` win over what is kept; a kept token goes to the portal that it was kept for
    and to no other. Raises `NoLogin`, ValueError for an address that is none."""
    kept = _kept()
    url = plain_url(os.environ["LEUKOLENS_URL"]) if os.environ.get("LEUKOLENS_URL") else kept and kept.url
    if not url:
        raise NoLogin("No portal is known. Run: leukolens login https://lab.example")
    token = os.environ.get("LEUKOLENS_TOKEN", "").strip() or (kept.token if kept and kept.url == url else "")
    if not token:
        raise NoLogin(f"No token for {url} is known. Run: leukolens login {url}")
    return Login(url, token)


def _kept() -> Login | None:
    where = path()
    try:
        with where.open(encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            said = json.load(file)
        login = Login(str(said["url"]), str(said["token"]))
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError):
        raise NoLogin(f"{where} cannot be read. Sign in again: leukolens login https://…") from None
    if sys.platform != "win32" and mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise NoLogin(f"Others on this machine can read {where}. Revoke that token and sign in again with a new one.")
    return login
