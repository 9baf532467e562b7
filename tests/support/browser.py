"""Chromium, driven over its own protocol, and helpers for tests of the page in it."""

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
    """Run a headless Chromium."""
    assert CHROMIUM is not None, "CI is set, and there is no chromium on the PATH: .ci/run installs it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_page(
    browser: Browser, address: str, errors: int = 0, before: str = "", begin: str = "ready"
) -> AsyncIterator[Page]:
    """Open the page, wait for the state ``begin``, and check at the end that its console is clean.

    Args:
        browser: A running browser.
        address: Host and port of the server.
        errors: Number of errors and warnings that the test expects on the console.
        before: A script that runs before the page's own.
        begin: The state to wait for.
    """
    context = await browser.new_context(viewport={"width": 1280, "height": 800})
    page = await context.new_page()
    await page.add_init_script(before)
    console: list[str] = []

    def record(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            console.append(message.text)

    page.on("console", record)
    page.on("pageerror", lambda error: console.append(str(error)))
    page.set_default_timeout(60_000)
    await page.goto(f"http://{address}/")
    await wait_for_state(page, begin)
    yield page
    await context.close()
    assert len(console) == errors, console


async def wait_for_state(page: Page, name: str) -> None:
    """Wait for a state of the conversation."""
    await page.wait_for_selector(f"body[data-state={name}]")


async def video_position(page: Page) -> float:
    """Return the position of the video in seconds."""
    return float(await page.evaluate("document.querySelector('video').currentTime"))


async def play_for(page: Page, seconds: float) -> None:
    """Wait until so much more of the video has been played."""
    until = await video_position(page) + seconds
    await page.wait_for_function("until => document.querySelector('video').currentTime >= until", arg=until)


def file_upload(name: str, content: bytes, mime: str) -> dict:
    """Return a file as Playwright's `set_input_files` takes it."""
    return {"name": name, "mimeType": mime, "buffer": content}


def web_file(name: str) -> str:
    """Return the text of a file of the page."""
    return Path(str(SERVED.files / name)).read_text()
