"""`manage.py reset_second_factor EMAIL`: for somebody who lost phone, key and recovery codes together."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from allauth.mfa.models import Authenticator
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts import events
from accounts.models import Laboratory, User


class Command(BaseCommand):
    help = "Take every second factor, passkey and recovery code off an account; its password stays."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")

    @transaction.atomic
    def handle(self, *, email: str, **_: Any) -> None:
        user = User.objects.filter(email=email.strip().lower()).first()
        if user is None:
            raise CommandError(f"Nobody signs in as {email}.")
        count, _rows = Authenticator.objects.filter(user=user).delete()
        if not count:
            raise CommandError(f"{user.email} has no second factor.")
        for laboratory in Laboratory.objects.filter(memberships__user=user).distinct():
            events.security_changed.send(
                sender=User, actor=None, laboratory=laboratory, what=f"second_factor_reset of {user.email}"
            )
        self.stdout.write(f"{user.email} signs in by password alone now. Ask them to set up a second factor again.")
