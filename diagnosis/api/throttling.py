"""So many requests for each token in each window; the count is kept in the cache."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from django.http import HttpResponseBase
from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from accounts import tokens
from accounts.permissions import Actor

if TYPE_CHECKING:
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Quota:
    """What a token may in each window, and how far it has come in this one."""

    requests: int
    seconds: int  # of a window
    left: int
    resets_in: int  # seconds

    def tell(self, response: HttpResponseBase) -> None:
        """The fields of draft-ietf-httpapi-ratelimit-headers."""
        response.headers["RateLimit-Policy"] = f'"token";q={self.requests};w={self.seconds}'
        response.headers["RateLimit"] = f'"token";r={self.left};t={self.resets_in}'


class TokenThrottle(SimpleRateThrottle):
    """The token's own rate, or `API_THROTTLE`, in fixed windows: two small cache operations however high the rate.

    What was counted is left on the view as `quota`. When the cache does not answer, requests go through: the clinic's
    work does not stop for a counter.
    """

    scope = "token"
    rate: str  # overrides the setting where given
    num_requests: int | None
    duration: int | None
    _retry_after = 0

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        actor = request.auth
        return f"throttle:{actor.token_id}" if isinstance(actor, Actor) and actor.token_id else None

    def limit(self, actor: Actor) -> tuple[int, int]:
        """How many requests in how many seconds."""
        if actor.requests_per_hour is None:
            return self.num_requests or 0, self.duration or 1
        requests, seconds = self.parse_rate(tokens.rate(actor.requests_per_hour))
        return requests or 0, seconds or 1

    def allow_request(self, request: Request, view: APIView) -> bool:
        identity = self.get_cache_key(request, view)
        if identity is None:
            return True
        requests, seconds = self.limit(cast(Actor, request.auth))
        now = time.time()
        window = math.floor(now / seconds)
        key = f"{identity}:{window}"
        try:
            self.cache.add(key, 0, timeout=seconds * 2)
            used = self.cache.incr(key)
        except (RedisError, ValueError):  # ValueError: evicted between the two
            logger.warning("The throttle's cache does not answer; requests are let through.")
            return True
        self._retry_after = math.ceil((window + 1) * seconds - now)
        view.quota = Quota(requests, seconds, max(0, requests - used), self._retry_after)  # type: ignore[attr-defined]
        return used <= requests

    def wait(self) -> float:
        return self._retry_after
