"""`Authorization: Bearer TOKEN`, and nothing else: no cookie opens the API, so no other site can use one."""

from __future__ import annotations

from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from accounts import tokens
from accounts.models import User
from accounts.permissions import Actor


class BearerTokenAuthentication(BaseAuthentication):
    """Sets `request.user` to the person and `request.auth` to the `Actor` that the token makes of them."""

    def authenticate(self, request: Request) -> tuple[User, Actor] | None:
        scheme, _, token = get_authorization_header(request).decode("latin-1").partition(" ")
        if not scheme:
            return None
        if scheme.lower() != "bearer" or not token.strip():
            raise AuthenticationFailed("Send the token as “Authorization: Bearer TOKEN”.")
        actor = tokens.authenticate(token.strip())
        if actor is None:
            raise AuthenticationFailed("This token is unknown, expired or revoked. Make a new one on the tokens page.")
        return actor.user, actor

    def authenticate_header(self, request: Request) -> str:
        return 'Bearer realm="LeukoLens"'
