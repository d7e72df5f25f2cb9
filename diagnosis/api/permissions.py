"""Each view says which action each of its methods is; `accounts.permissions` decides whether it is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from django.core.exceptions import PermissionDenied
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from accounts.permissions import Action, Actor, require

if TYPE_CHECKING:
    from rest_framework.views import APIView


class MayAct(BasePermission):
    """Lets a request through when the token's actor may do what `view.actions` says of the method.

    `actions` maps an HTTP method to an `Action`, or to None where any live token will do. A view or a method that
    it does not name is refused.
    """

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not isinstance(request.auth, Actor):
            return False  # answered as 401
        method = "GET" if request.method == "HEAD" else str(request.method)
        if method not in view.allowed_methods:
            raise MethodNotAllowed(method)
        actions: Mapping[str, Action | None] = getattr(view, "actions", {})
        if method not in actions:
            raise PermissionDenied("Nobody may do this.")
        action = actions[method]
        if action is not None:
            require(request.auth, action)
        return True
