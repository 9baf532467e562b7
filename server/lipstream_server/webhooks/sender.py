"""The sender of webhooks: delivers the messages of the outbox, with retries, until it gives up."""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Sequence

from ..clips.state import Delivery, DeliveryState
from ..config.settings import WebhookSettings
from ..config.values import decode_webhook_secret
from ..observability.logs import log_context, log_event
from ..observability.metrics import Metrics
from ..storage.storage import Storage
from .client import WebhookPostError, WebhookResponse, post_webhook
from .outbox import WebhookOutbox
from .signature import signed_headers
from .table import OutgoingWebhook, due_webhooks, save_delivery
from .target import WebhookUrlError, parse_target

log = logging.getLogger(__name__)
_MAX_CONCURRENT = 8
_JITTER = 0.2  # share of a pause, more or less
_MAX_RETRY_AFTER = 3600.0  # seconds of a receiver's Retry-After that are respected
_GONE = 410
_STORAGE_RETRY_SECONDS = 60.0


class WebhookSender:
    """Sends webhooks.

    Args:
        storage: Open for as long as the sender runs.
        settings: Settings of webhooks, with a secret.
        outbox: Says when a message may have been added.
        metrics: Counts the outcomes.
    """

    def __init__(
        self, storage: Storage, settings: WebhookSettings, outbox: WebhookOutbox, metrics: Metrics
    ) -> None:
        if settings.secret is None:
            raise ValueError("expected settings with webhooks.secret, which signs webhooks")
        self._secret = decode_webhook_secret(settings.secret.get_secret_value())
        self._storage, self._settings, self._metrics = storage, settings, metrics
        self._changed = outbox.changed
        self._in_flight: set[str] = set()

    async def run(self) -> None:
        """Send webhooks until cancelled; one that is cut short is sent again after the next start."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                self._changed.clear()
                next_due = None
                if (room := _MAX_CONCURRENT - len(self._in_flight)) > 0:
                    webhooks, next_due = await self._storage.transact(
                        due_webhooks, time.time(), room, frozenset(self._in_flight)
                    )
                    for webhook in webhooks:
                        self._in_flight.add(webhook.clip)
                        tasks.create_task(self._send(webhook), name=f"webhook {webhook.clip}")
                    room -= len(webhooks)
                await self._wait_for_change(next_due if room else None)

    async def _wait_for_change(self, until: float | None) -> None:
        """Wait for a change of the outbox, or until a time."""
        try:
            async with asyncio.timeout(None if until is None else max(0.0, until - time.time())):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _send(self, webhook: OutgoingWebhook) -> None:
        with log_context(clip=webhook.clip):
            try:
                await self._attempt(webhook)
            except Exception:
                log.exception("the outcome of a webhook could not be stored, so it is sent again")
                await asyncio.sleep(_STORAGE_RETRY_SECONDS)
            finally:
                self._in_flight.discard(webhook.clip)
                self._changed.set()

    async def _attempt(self, webhook: OutgoingWebhook) -> None:
        response, summary = await self._post(webhook)
        delivery = delivery_after_attempt(
            webhook.delivery, response, time.time(), self._settings.retry_delays_seconds, _random_jitter()
        )
        await self._storage.transact(save_delivery, webhook.clip, delivery)
        outcome = "failed" if delivery.state is DeliveryState.PENDING else delivery.state.value
        self._metrics.record_webhook(outcome)
        log_event(log, "webhook", outcome=outcome, attempts=delivery.attempts, answer=summary)

    async def _post(self, webhook: OutgoingWebhook) -> tuple[WebhookResponse | None, str]:
        """Return the response, if there was one, and its summary for the log."""
        body = webhook.body.encode()
        try:
            target = parse_target(webhook.url, self._settings.allowed_hosts)
            headers = signed_headers(self._secret, webhook.id, time.time(), body)
            response = await post_webhook(target, body, headers, self._settings.attempt_timeout_seconds)
        except TimeoutError:
            return None, f"none within {self._settings.attempt_timeout_seconds:g} s"
        except (WebhookUrlError, WebhookPostError, OSError) as error:
            return None, str(error)
        except Exception:
            log.exception("a webhook could not be sent")
            return None, "a fault of this server"
        return response, str(response.status)


def delivery_after_attempt(
    before: Delivery, response: WebhookResponse | None, now: float, pauses: Sequence[float], jitter: float
) -> Delivery:
    """Return the delivery after one more attempt.

    Args:
        before: The delivery before the attempt.
        response: The response; None where there was none.
        now: Seconds since 1970.
        pauses: Seconds after each failed attempt; with none left the webhook is given up.
        jitter: Factor of the pause.
    """
    attempts = before.attempts + 1
    if response is not None and 200 <= response.status < 300:
        return Delivery(DeliveryState.DELIVERED, attempts, None)
    if attempts > len(pauses) or (response is not None and response.status == _GONE):
        return Delivery(DeliveryState.GIVEN_UP, attempts, None)
    requested = 0.0
    if response is not None and response.retry_after is not None:
        requested = min(response.retry_after, _MAX_RETRY_AFTER)
    return Delivery(DeliveryState.PENDING, attempts, now + max(pauses[attempts - 1] * jitter, requested))


def _random_jitter() -> float:
    return random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311  # guessing it gains nothing
