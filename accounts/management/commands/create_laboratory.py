"""`manage.py create_laboratory NAME ADMINISTRATOR_EMAIL`: the first step on a fresh served installation."""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.core.validators import validate_email
from django.db import transaction
from django.urls import reverse
from django.utils.text import slugify

from accounts import events
from accounts.models import Laboratory, Membership, Role, User
from accounts.people import password_key


class Command(BaseCommand):
    help = "Create a laboratory with its first administrator, who then adds everybody else on the People page."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help='what people call it: "Haematology, General Hospital"')
        parser.add_argument("email", help="the first administrator's address; an existing account is kept as it is")
        parser.add_argument("--full-name", default="", help="the administrator's name, for a new account")
        parser.add_argument(
            "--password-stdin",
            action="store_true",
            help="read the new account's password from standard input instead of printing a link to choose one",
        )
        parser.add_argument("--address", default="", help="where people reach this installation, for the link")

    def handle(self, *, name: str, email: str, full_name: str, password_stdin: bool, address: str, **_: Any) -> None:
        email, slug = email.strip().lower(), slugify(name)[:60]
        try:
            validate_email(email)
        except ValidationError as error:
            raise CommandError(f"{email} is no e-mail address.") from error
        if not slug:
            raise CommandError("Give the laboratory a name with letters or digits.")
        if Laboratory.objects.filter(slug=slug).exists():
            raise CommandError(f"A laboratory called {slug} is there already. Add people to it on its People page.")
        user = User.objects.filter(email=email).first()
        if user and password_stdin:
            raise CommandError(f"{email} has an account and keeps its password. Leave --password-stdin out.")
        if user and not user.is_active:
            raise CommandError(f"The account of {email} is closed.")
        password = sys.stdin.readline().rstrip("\n") if password_stdin else None
        if password is not None:
            try:
                validate_password(password, User(email=email, full_name=full_name))
            except ValidationError as error:
                raise CommandError(" ".join(error.messages)) from error
        with transaction.atomic():
            laboratory = Laboratory.objects.create(name=name.strip(), slug=slug)
            user = user or User.objects.create_user(email, password, full_name=full_name)
            Membership.objects.create(user=user, laboratory=laboratory, role=Role.ADMINISTRATOR)
            events.role_changed.send(
                sender=Membership, actor=None, laboratory=laboratory, user=user, before=[], after=[Role.ADMINISTRATOR]
            )
        self.stdout.write(f"{laboratory} is there; {user.email} is its administrator.")
        if not user.has_usable_password():
            path = reverse("account_reset_password_from_key", kwargs={"uidb36": "UID", "key": "KEY"})
            site = address.rstrip("/") or f"{'https' if settings.HTTPS else 'http'}://{settings.ALLOWED_HOSTS[0]}"
            link = f"{site}{path.replace('UID-KEY', password_key(user))}"
            self.stdout.write(f"To choose the password (once, within three days):\n{link}")
