"""A real Chromium, driven over its own protocol; and what a test wants to know of the page in it."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from lipstream_server.api.static_page import StaticPage

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
)
SERVED = StaticPage(
    files("lipstream_client") / "web", files("lipstream_models") / "bundled" / "audio" / "reading.flac"
)

if CHROMIUM is None and not os.environ.get("CI"):
    pytest.skip(
        "expected Chromium as `chromium` on the PATH or named by CHROMIUM; install it to run these tests",
        allow_module_level=True,
    )


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    assert CHROMIUM is not None, "CI is set, and there is no chromium on the PATH: .ci/run installs it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def opened(
    browser: Browser, address: str, errors: int = 0, before: str = "", begin: str = "ready"
) -> AsyncIterator[Page]:
    """The page in the state `begin`; at its end it must have reported nothing but so many errors, which the test expects.

    before: a script that runs before the page's own.
    """
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    await page.add_init_script(before)
    said: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            said.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.set_default_timeout(60_000)
    await page.goto(f"http://{address}/")
    await state(page, begin)
    yield page
    await context.close()
    assert len(said) == errors, said


async def state(page: Page, name: str) -> None:
    """Wait for a state of the conversation."""
    await page.wait_for_selector(f"body[data-state={name}]")


async def position(page: Page) -> float:
    """Seconds of the video."""
    return float(await page.evaluate("document.querySelector('video').currentTime"))


async def play_on(page: Page, seconds: float) -> None:
    """Wait until so much more of the video has been played."""
    until = await position(page) + seconds
    await page.wait_for_function("until => document.querySelector('video').currentTime >= until", arg=until)


def upload(name: str, content: bytes, mime: str) -> dict:
    return {"name": name, "mimeType": mime, "buffer": content}


def web_file(name: str) -> str:
    return Path(str(SERVED.files / name)).read_text()
