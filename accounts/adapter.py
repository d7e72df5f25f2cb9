"""How django-allauth behaves here: administrators invite, nobody signs themselves up, one address a person."""

from __future__ import annotations

import hashlib
import logging
from base64 import urlsafe_b64encode
from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.internal.flows.login import get_authentication_records
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.socialaccount.adapter import DefaultSocialAccountAdapter
from allauth.socialaccount.models import SocialLogin
from cryptography.fernet import Fernet, MultiFernet
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from accounts import events
from accounts.middleware import actor_of
from accounts.models import Laboratory, User
from accounts.permissions import actor_for

logger = logging.getLogger(__name__)


class AccountAdapter(DefaultAccountAdapter):
    """A person has one address, `User.email`, given by an administrator; allauth's own address book stays empty."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def reauthenticate(self, user: User, password: str) -> bool:
        found = self.authenticate(self.request, email=user.email, password=password)
        return found is not None and found.pk == user.pk

    def send_notification_mail(
        self,
        template_prefix: str,
        user: User,
        context: dict[str, Any] | None = None,
        email: str | None = None,
    ) -> None:
        """Tell the laboratories' audit and the person what changed in how they sign in (allauth calls this for each).

        The change stands when the mail server is away.
        """
        for laboratory in Laboratory.objects.filter(memberships__user=user).distinct():
            events.security_changed.send(
                sender=User,
                actor=actor_for(user, laboratory),
                laboratory=laboratory,
                what=template_prefix.rpartition("/")[2],
            )
        try:
            super().send_notification_mail(template_prefix, user, context, email or user.email)
        except OSError:
            logger.exception("No mail went to %s about %s", user.email, template_prefix)

    def post_login(self, request: HttpRequest, user: User, **kwargs: Any) -> HttpResponse:
        actor, _ = actor_of(user, request.session)
        if actor is not None:
            methods = [record["method"] for record in get_authentication_records(request, user)]
            events.signed_in.send(sender=User, actor=actor, laboratory=actor.laboratory, methods=methods)
        return super().post_login(request, user, **kwargs)

    def logout(self, request: HttpRequest) -> None:
        actor = getattr(request, "actor", None)
        super().logout(request)
        if actor is not None:
            events.signed_out.send(sender=User, actor=actor, laboratory=actor.laboratory)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Tell every laboratory of the person whose account was tried; attempts beyond the rate limit end before."""
        email = str(credentials.get("email", ""))
        for laboratory in Laboratory.objects.filter(memberships__user__email__iexact=email).distinct():
            events.sign_in_failed.send(
                sender=User, actor=None, laboratory=laboratory, email=email, address=self.get_client_ip(request)
            )


class SocialAccountAdapter(DefaultSocialAccountAdapter):
    """The hospital's sign-in lets in whom an administrator has added, and nobody else."""

    def pre_social_login(self, request: HttpRequest, sociallogin: SocialLogin) -> None:
        """Connect a first sign-in to the person with that address, if the provider says the address is theirs.

        `verified` comes from the provider's `email_verified`; only a true boolean counts, for the text "false" is
        true to Python. Anybody else meets the closed sign-up page.
        """
        if sociallogin.is_existing or request.user.is_authenticated:
            return
        addresses = {address.email.lower() for address in sociallogin.email_addresses if address.verified is True}
        user = User.objects.filter(email__in=addresses, is_active=True, memberships__isnull=False).distinct().first()
        if user is not None:
            sociallogin.connect(request, user)


class MFAAdapter(DefaultMFAAdapter):
    """Keeps second-factor secrets encrypted in the database, under the installation's secret key."""

    def encrypt(self, text: str) -> str:
        return _vault().encrypt(text.encode()).decode()

    def decrypt(self, encrypted_text: str) -> str:
        return _vault().decrypt(encrypted_text.encode()).decode()


def _vault() -> MultiFernet:
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet(
        [Fernet(urlsafe_b64encode(hashlib.sha256(b"leukolens.mfa:" + str(key).encode()).digest())) for key in keys]
    )
