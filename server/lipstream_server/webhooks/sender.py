"""Sends the webhooks that wait in the database, again where nobody took them, until it is given up."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence

from ..clips.state import Delivery, DeliveryState
from ..config.settings import WebhookSettings
from ..observability.logs import about, log_event
from ..observability.metrics import Metrics
from ..storage.storage import Storage
from .client import Answer, WebhookPostError, post
from .signature import secret_bytes, signed_headers
from .table import Outgoing, due, save_delivery
from .target import WebhookUrlError, target_of

log = logging.getLogger(__name__)
_MOST_AT_ONCE = 8
_JITTER = 0.2  # of a pause, more or less
_LONGEST_WISH = 3600.0  # that a receiver's Retry-After is listened to for
_GONE = 410
_FAULT_SECONDS = 60.0


class WebhookSender:
    """settings: with a secret. bell: is set by others when something may be there to be sent."""

    def __init__(
        self, storage: Storage, settings: WebhookSettings, bell: asyncio.Event, metrics: Metrics
    ) -> None:
        if settings.secret is None:
            raise ValueError("webhooks are sent with a secret only")
        self._secret = secret_bytes(settings.secret.get_secret_value())
        self._storage, self._settings, self._bell, self._metrics = storage, settings, bell, metrics
        self._under_way: set[str] = set()

    async def run(self) -> None:
        """Until it is cancelled; what was being sent then is sent again after the next start."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._bell.clear()
                later = None
                if (room := _MOST_AT_ONCE - len(self._under_way)) > 0:
                    found, later = await self._storage.transact(
                        due, time.time(), room, frozenset(self._under_way)
                    )
                    for outgoing in found:
                        self._under_way.add(outgoing.clip)
                        tasks.create_task(self._send(outgoing), name=f"webhook {outgoing.clip}")
                    room -= len(found)
                await self._wait(later if room else None)

    async def _wait(self, later: float | None) -> None:
        """For the bell, or until that time."""
        try:
            async with asyncio.timeout(None if later is None else max(0.0, later - time.time())):
                await self._bell.wait()
        except TimeoutError:
            pass

    async def _send(self, outgoing: Outgoing) -> None:
        with about(clip=outgoing.clip):
            try:
                await self._try(outgoing)
            except Exception:
                log.exception("what became of a webhook could not be kept, so it is sent again")
                await asyncio.sleep(_FAULT_SECONDS)
            finally:
                self._under_way.discard(outgoing.clip)
                self._bell.set()

    async def _try(self, outgoing: Outgoing) -> None:
        answer, said = await self._posted(outgoing)
        after = attempted(outgoing.delivery, answer, time.time(), self._settings.pauses, _jitter())
        await self._storage.transact(save_delivery, outgoing.clip, after)
        outcome = "failed" if after.state is DeliveryState.PENDING else after.state.value
        self._metrics.record_webhook(outcome)
        log_event(log, "webhook", outcome=outcome, attempts=after.attempts, answer=said)

    async def _posted(self, outgoing: Outgoing) -> tuple[Answer | None, str]:
        """The answer, if there is one, and what is logged of it."""
        body = outgoing.body.encode()
        try:
            target = target_of(outgoing.url, self._settings.hosts)
            headers = signed_headers(self._secret, outgoing.id, time.time(), body)
            answer = await post(target, body, headers, self._settings.seconds)
        except TimeoutError:
            return None, f"none within {self._settings.seconds:g} s"
        except (WebhookUrlError, WebhookPostError, OSError) as error:
            return None, str(error)
        except Exception:
            log.exception("a webhook could not be sent")
            return None, "a fault of this server"
        return answer, str(answer.status)


def attempted(
    before: Delivery, answer: Answer | None, now: float, pauses: Sequence[float], jitter: float
) -> Delivery:
    """After one more attempt. answer: None where there was none. pauses: after each attempt that failed; with none left it is
    given up. jitter: factor of a pause.
    """
    attempts = before.attempts + 1
    if answer is not None and 200 <= answer.status < 300:
        return Delivery(DeliveryState.DELIVERED, attempts, None)
    if attempts > len(pauses) or (answer is not None and answer.status == _GONE):
        return Delivery(DeliveryState.GIVEN_UP, attempts, None)
    wish = 0.0 if answer is None or answer.retry_after is None else min(answer.retry_after, _LONGEST_WISH)
    return Delivery(DeliveryState.PENDING, attempts, now + max(pauses[attempts - 1] * jitter, wish))


def _jitter() -> float:
    return random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # nobody gains by guessing it
