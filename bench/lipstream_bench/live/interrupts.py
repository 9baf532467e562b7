"""How soon after an interrupt a client sees the idle face."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from lipstream_client.recording import RATE
from lipstream_client.stream_client import StreamClient
from lipstream_server.protocol import (
    AudioFormat,
    MediaTag,
    SessionStart,
    TaggedMedia,
    UtteranceEnded,
)

from ..machine.quantiles import quantiles
from .server_process import ServerProcess
from .sustained import say

_WAIT_SECONDS = 10.0


@dataclass(frozen=True)
class Interrupts:
    """idle_ms: from sending `interrupt` to having the first picture that shows nobody speaking; answer_ms: to its answer."""

    count: int
    idle_ms: dict[str, float]
    answer_ms: dict[str, float]


async def interrupt(server: ServerProcess, speech: bytes, count: int) -> Interrupts:
    """Interrupts `count` utterances, each at some moment while it is shown."""
    moments = random.Random(0)  # noqa: S311  # nothing secret
    start = SessionStart(audio=AudioFormat(rate=RATE), container="jpeg")
    idles, answers = [], []
    async with StreamClient(server.url, start) as client:
        messages = aiter(client)

        async def next_picture() -> TaggedMedia:
            while True:
                message = await anext(messages)
                if isinstance(message, bytes) and (unit := TaggedMedia.unpack(message)).tag is MediaTag.JPEG:
                    return unit

        for _ in range(count):
            async with asyncio.timeout(_WAIT_SECONDS + len(speech) / 2 / RATE):
                speaking = asyncio.create_task(say(client, speech))
                while not (await next_picture()).utterance:
                    pass
                until = time.monotonic() + moments.uniform(0.2, 2.0)
                while time.monotonic() < until:
                    await next_picture()
                speaking.cancel()
                await asyncio.gather(speaking, return_exceptions=True)
                sent = time.monotonic()
                await client.interrupt()
                answered = False
                while True:
                    message = await anext(messages)
                    now = 1000 * (time.monotonic() - sent)
                    if isinstance(message, UtteranceEnded) and not answered:
                        answers.append(now)
                        answered = True
                    if isinstance(message, bytes) and answered and TaggedMedia.unpack(message).utterance == 0:
                        idles.append(now)
                        break
        await client.end()
    return Interrupts(count, quantiles(idles), quantiles(answers))
