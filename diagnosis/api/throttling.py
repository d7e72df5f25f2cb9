"""So many requests for each token in each window; the count is kept in the cache."""

from __future__ import annotations

import logging
import math
import time
from typing import TYPE_CHECKING

from redis.exceptions import RedisError
from rest_framework.request import Request
from rest_framework.throttling import SimpleRateThrottle

from accounts.permissions import Actor

if TYPE_CHECKING:
    from rest_framework.views import APIView

logger = logging.getLogger(__name__)


class TokenThrottle(SimpleRateThrottle):
    """`API_THROTTLE` requests for each token, in fixed windows: two small cache operations however high the rate.

    When the cache does not answer, requests go through: the clinic's work does not stop for a counter.
    """

    scope = "token"
    rate: str  # overrides the setting where given
    num_requests: int | None
    duration: int | None
    _retry_after = 0.0

    def get_cache_key(self, request: Request, view: APIView) -> str | None:
        actor = request.auth
        return f"throttle:{actor.token_id}" if isinstance(actor, Actor) and actor.token_id else None

    def allow_request(self, request: Request, view: APIView) -> bool:
        identity = self.get_cache_key(request, view)
        if identity is None or self.num_requests is None or not self.duration:
            return True
        now = time.time()
        window = math.floor(now / self.duration)
        key = f"{identity}:{window}"
        try:
            self.cache.add(key, 0, timeout=self.duration * 2)
            used = self.cache.incr(key)
        except (RedisError, ValueError):  # ValueError: evicted between the two
            logger.warning("The throttle's cache does not answer; requests are let through.")
            return True
        self._retry_after = (window + 1) * self.duration - now
        return used <= self.num_requests

    def wait(self) -> float:
        return math.ceil(self._retry_after)
