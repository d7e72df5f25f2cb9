"""The demo laboratory and its people. Passwords and the API token are random for each installation."""

from __future__ import annotations

import json
import secrets

from django.conf import settings

from accounts import tokens
from accounts.models import Laboratory, Membership, Role, User
from accounts.permissions import Actor, Scope, actor_for

CREDENTIALS = settings.VAR / "demo-credentials.json"

TECHNICIAN = "technician@demo.example"
PATHOLOGIST = "pathologist@demo.example"
SECOND = "second.pathologist@demo.example"
THIRD = "third.pathologist@demo.example"
ADMINISTRATOR = "administrator@demo.example"
PEOPLE = (
    (TECHNICIAN, "Demo Technician", Role.TECHNICIAN),
    (PATHOLOGIST, "Demo Pathologist", Role.PATHOLOGIST),
    (SECOND, "Second Pathologist", Role.PATHOLOGIST),
    (THIRD, "Third Pathologist", Role.PATHOLOGIST),
    (ADMINISTRATOR, "Demo Administrator", Role.ADMINISTRATOR),
)
PARTICULARS = {
    "name": "Demo Laboratory",
    "address": "Invented Street 1\n00000 Nowhere",
    "phone": "+00 000 000000",
    "director": "Dr Demo Director (invented)",
    "accreditation": "Not accredited: a demonstration",
}


def make_people(url: str) -> dict[str, object]:
    """The laboratory, its people and an API token, made once; their credentials as written to CREDENTIALS.

    That file (mode 0600) keeps them, because the demo prints them at every start.
    """
    laboratory, _ = Laboratory.objects.get_or_create(slug="demo", defaults=PARTICULARS)
    known = json.loads(CREDENTIALS.read_text()) if CREDENTIALS.exists() else {}
    passwords = {person["email"]: person["password"] for person in known.get("users", [])}
    for email, name, role in PEOPLE:
        user = User.objects.filter(email=email).first()
        if user is None or email not in passwords:
            passwords[email] = "-".join(secrets.token_hex(2) for _ in range(3))
            user = user or User(email=email, full_name=name)
            user.set_password(passwords[email])
            user.save()
        Membership.objects.get_or_create(user=user, laboratory=laboratory, role=role)
    token = known.get("api_token", "")
    if not token or tokens.authenticate(token) is None:
        _, token = tokens.issue(
            actor=demo_actor(TECHNICIAN),
            name="demo",
            scopes=[Scope.CASES_READ, Scope.CASES_WRITE, Scope.IMAGES_WRITE, Scope.AUDIT_READ],
            days=365,
        )
    credentials: dict[str, object] = {
        "url": url,
        "api_token": token,
        "users": [{"email": email, "password": passwords[email], "role": str(role)} for email, _, role in PEOPLE],
    }
    CREDENTIALS.parent.mkdir(parents=True, exist_ok=True)
    CREDENTIALS.touch(mode=0o600)
    CREDENTIALS.write_text(json.dumps(credentials, indent=2) + "\n")
    return credentials


def demo_actor(email: str) -> Actor:
    actor = actor_for(User.objects.get(email=email), Laboratory.objects.get(slug="demo"))
    if actor is None:
        raise LookupError(f"{email} holds no role in the demo laboratory any more; give one back on the people page")
    return actor
