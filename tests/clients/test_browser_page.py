"""The page in Chromium, against a server with the stub engine, whose bar is as long as the audio is loud."""

import asyncio
import io
import json
import re
import wave
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser import (
    SERVED,
    chromium,
    file_upload,
    open_page,
    play_for,
    video_position,
    wait_for_state,
    web_file,
)
from live_server import (
    CALM,
    ask,
    get,
    running,
    tone,
)
from PIL import Image
from playwright.async_api import Browser, Page
from portraits import encoded
from pydantic import SecretStr

from lipstream_client.rest import RestClient
from lipstream_server.config.settings import AccessSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")
GOLDEN = (Path(__file__).parents[1] / "data" / "stream_messages.json").read_text()

# Returns the share of the bottom row of the frame that the bar covers, 0 to 1.
BAR_SHARE = """() => {
  const video = document.querySelector("video");
  const canvas = document.createElement("canvas");
  canvas.width = 64; canvas.height = 64;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(video, 0, 0, 64, 64);
  const row = context.getImageData(0, 58, 64, 1).data;
  let white = 0;
  for (let i = 0; i < 64; i += 1) white += Math.min(row[4 * i], row[4 * i + 1], row[4 * i + 2]) > 180;
  return white / 64;
}"""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with chromium() as instance:
        yield instance


def recording_upload(seconds: float, level: float = 0.5) -> dict:
    """Return a WAV file with a tone, as Playwright takes files."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(tone(seconds, level=level))
    return file_upload("speech.wav", file.getvalue(), "audio/wav")


async def play_recording(page: Page, seconds: float) -> None:
    await page.set_input_files("#recording", recording_upload(seconds))


async def shown_duration(page: Page, name: str) -> float:
    """Return the seconds of a duration that the page shows as 123 ms or 1.23 s."""
    value, unit = (await page.inner_text(f"#{name}")).split()
    return float(value) / {"ms": 1000, "s": 1}[unit]


async def plays_without_drops(page: Page) -> bool:
    """Return whether one of ten seconds passes without a dropped frame; a busy machine may need a few."""
    dropped = "document.querySelector('video').getVideoPlaybackQuality().droppedVideoFrames"
    for _ in range(10):
        before = await page.evaluate(dropped)
        await play_for(page, 1)
        if await page.evaluate(dropped) == before:
            return True
    return False


async def bar_share(page: Page) -> float:
    """Return the share of the bottom row of the frame that the bar covers."""
    return float(await page.evaluate(BAR_SHARE))


async def wait_for_bar(page: Page, condition: str) -> None:
    """Wait until the bar's share fulfils a condition such as "> 0.2"."""
    await page.wait_for_function(f"() => ({BAR_SHARE})() {condition}")


async def test_page_has_and_keeps_a_strict_content_security_policy() -> None:
    settings = CALM.replace(access=AccessSettings(allowed_hosts=("*",)))
    async with running(settings=settings, page=SERVED) as address:
        status, headers, body = await get(address, "/")
        assert status == 200
        policy = headers["content-security-policy"]
        for rule in ("default-src 'self'", "frame-ancestors 'none'", f"connect-src 'self' ws://{address} "):
            assert rule in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        for name in re.findall(r'(?:src|href)="(page/[^"]+)"', body):
            assert (await get(address, f"/{name}"))[0] == 200
        status, cached, _ = await ask(address, "GET", "/", if_none_match=headers["etag"])
        assert (status, cached["content-security-policy"]) == (304, policy)
        _, odd, _ = await ask(address, "GET", "/", host="x; script-src *")
        assert "connect-src 'self';" in odd["content-security-policy"]
        for path in ("/page/..%2fcommand.py", "/page/nothing.js"):
            assert (await get(address, path))[0] == 404
    assert not re.search(r"<style|\bstyle=|\bon\w+=|<script(?![^>]*\bsrc=)", web_file("index.html"))
    for file in SERVED.files.iterdir():
        assert not re.search(r"innerHTML|insertAdjacentHTML|\beval\(|document\.write", file.read_text())


async def test_javascript_protocol_reproduces_golden_messages(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address) as page:
        result = await page.evaluate(
            """async (text) => {
              const wire = await import("/page/protocol.js");
              const { client, server, tagged } = JSON.parse(text);
              const bytes = (hex) => Uint8Array.from(hex.match(/../g) ?? [], (pair) => parseInt(pair, 16));
              const hex = (view) => [...view].map((byte) => byte.toString(16).padStart(2, "0")).join("");
              return {
                client: client.map((message) => {
                  const { type, ...fields } = wire.readClient(JSON.stringify(message));
                  return JSON.parse(wire.writeClient(type, fields));
                }),
                server: server.map((message) => wire.readServer(JSON.stringify(message))),
                tagged: tagged.map((each) => {
                  const unit = wire.unpackTagged(bytes(each.bytes).buffer);
                  const { position, utterance, payload } = unit;
                  const tag = Object.keys(wire.MediaTag).find((name) => wire.MediaTag[name] === unit.tag);
                  return { tag, utterance, position, payload: hex(payload), bytes: hex(wire.packTagged(unit)) };
                }),
              };
            }""",
            GOLDEN,
        )
        assert result == json.loads(GOLDEN)
        refused = await page.evaluate(
            """async (messages) => {
              const { readServer, readClient, writeClient, unpackTagged, ProtocolError } =
                await import("/page/protocol.js");
              const refused = (work) => {
                try { work(); } catch (error) { return error instanceof ProtocolError; }
                return false;
              };
              return [
                ...messages.map((json) => refused(() => readServer(json))),
                refused(() => readClient('{"type": "interrupt", "why": 1}')),
                refused(() => writeClient("session.start", { audio: { rate: 96000 } })),
                refused(() => writeClient("session.start", { audio: { type: "x" } })),
                refused(() => writeClient("audio.append")),
                refused(() => unpackTagged(new ArrayBuffer(15))),
                refused(() => unpackTagged(new Uint8Array(16).fill(9).buffer)),
              ];
            }""",
            [
                "",
                "null",
                "[]",
                "{}",
                '{"type": "toString"}',
                '{"type": "pong", "id": 7}',
                '{"type": "pong", "more": null}',
                '{"type": "utterance.started", "utterance": 1, "at_ms": 0}',
                '{"type": "utterance.started", "utterance": 1.5, "at_ms": 0, "latency_ms": 0}',
                '{"type": "session.closing", "reason": "bored"}',
            ],
        )
        assert all(refused)


async def test_video_shows_speech_and_drops_no_frames(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address) as page:
        await page.click("#start")
        await wait_for_state(page, "idle")
        await play_for(page, 0.5)
        assert await bar_share(page) == 0
        await play_recording(page, 1.0)
        await wait_for_state(page, "speaking")
        await wait_for_bar(page, "> 0.2")
        await page.wait_for_function("() => document.getElementById('latency-total').textContent !== '–'")
        server, total = [await shown_duration(page, name) for name in ("latency-server", "latency-total")]
        assert 0 < server <= total
        await wait_for_state(page, "idle")
        await wait_for_bar(page, "== 0")
        assert await plays_without_drops(page)
        await page.click("#end")
        await wait_for_state(page, "ready")


async def test_interrupt_mutes_the_page_at_once(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address) as page:
        await play_recording(page, 20)  # also opens the session
        await wait_for_bar(page, "> 0.2")
        # In one task of the page: audio is back as soon as the server has answered.
        assert await page.evaluate(
            "() => { document.getElementById('interrupt').click(); return document.querySelector('video').muted }"
        )
        interrupted_at = await video_position(page)
        await wait_for_bar(page, "== 0")
        assert (
            await video_position(page) - interrupted_at < 2
        )  # seconds of media; generous, for a busy machine
        await wait_for_state(page, "idle")
        await page.wait_for_function("() => !document.querySelector('video').muted")
        await play_for(page, 0.5)
        assert await bar_share(page) == 0  # nothing of the interrupted speech follows
        assert await page.get_attribute("#sample", "aria-pressed") == "false"


async def test_microphone_and_sample_move_the_bar(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address) as page:
        await page.click("#talk")  # Chromium's fake microphone beeps
        await page.wait_for_selector("#talk[aria-pressed=true]")
        await wait_for_bar(page, "> 0.05")
        await page.click("#talk")
        await page.wait_for_selector("#talk[aria-pressed=false]")
        await wait_for_state(page, "idle")
        await wait_for_bar(page, "== 0")
        await page.click("#sample")
        await wait_for_bar(page, "> 0.05")
        await page.keyboard.press("Escape")
        await wait_for_state(page, "idle")


async def test_page_retries_a_full_server_after_its_retry_time(browser: Browser) -> None:
    settings = CALM.replace(max_sessions=1, retry_after_seconds=3)
    async with running(page=SERVED, settings=settings) as address, open_page(browser, address) as first:
        await first.click("#start")
        await wait_for_state(first, "idle")
        async with open_page(browser, address) as second:
            await second.click("#start")
            await wait_for_state(second, "refused")
            assert "Trying again in" in await second.inner_text("#countdown")
            assert await second.inner_text("#status") == "The server is busy"
            await first.click("#end")
            await wait_for_state(second, "idle")  # without a click
            await second.click("#end")
            await wait_for_state(second, "ready")


async def test_page_reconnects_to_a_lost_server(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address, errors=1) as page:
        await page.evaluate("import('/page/stream_client.js')")
        await page.click("#start")
        await wait_for_state(page, "idle")
        await page.context.set_offline(True)  # open sockets stay, new ones fail
        await page.click("#end")
        await page.click("#start")
        await wait_for_state(page, "lost")
        assert await page.is_visible("#retry")
        await page.context.set_offline(False)
        await page.click("#retry")
        await wait_for_state(page, "idle")


async def test_uploaded_portrait_is_selected(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address, errors=1) as page:
        await page.set_input_files("#portrait", file_upload("notes.png", b"not an image", "image/png"))
        await page.wait_for_function(
            "() => document.getElementById('notice').textContent.includes('expected a PNG')"
        )
        image = encoded(Image.new("RGB", (8, 8), "orange"), "PNG")
        name = "<img src=x onerror=alert(1)>.png"
        await page.set_input_files("#portrait", file_upload(name, image, "image/png"))
        tile = page.locator(".avatars li", has_text="<img src=x onerror=alert(1)>")
        await tile.wait_for()
        assert await tile.locator("input").is_checked()
        await page.click("#start")
        await wait_for_state(page, "idle")
        await play_for(page, 0.3)
        await page.get_by_label("Green", exact=True).check()  # another avatar, another session
        await wait_for_state(page, "idle")
        await page.wait_for_function(
            """() => {
              const video = document.querySelector("video");
              if (!(video.currentTime > 0)) return false;
              const canvas = document.createElement("canvas");
              canvas.width = canvas.height = 1;
              const context = canvas.getContext("2d");
              context.drawImage(video, 0, 0, 1, 1);
              const [red, green] = context.getImageData(0, 0, 1, 1).data;
              return green > 140 && red < 90;
            }"""
        )


async def test_removed_avatar_leaves_the_list(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address) as page:
        image = encoded(Image.new("RGB", (8, 8), "orange"), "PNG")
        await page.set_input_files("#portrait", file_upload("orange.png", image, "image/png"))
        tile = page.get_by_label("orange", exact=True)
        await tile.wait_for(state="attached")
        await page.wait_for_selector("#upload:not(:disabled)")
        avatar = await tile.get_attribute("value")
        assert (await ask(address, "DELETE", f"/v1/avatars/{avatar}"))[0] == 204
        await page.click("#start")
        await page.wait_for_function(
            "() => document.getElementById('card-text').textContent.includes('any more')"
        )
        await tile.wait_for(state="detached")
        assert await page.get_by_label("Red", exact=True).is_checked()
        await page.click("#start")
        await wait_for_state(page, "idle")


async def test_page_falls_back_to_vp8_and_explains_a_missing_media_source(browser: Browser) -> None:
    no_mp4 = """
      const supported = MediaSource.isTypeSupported;
      MediaSource.isTypeSupported = (type) => !type.startsWith("video/mp4") && supported.call(MediaSource, type);
    """
    nothing = "delete window.MediaSource; delete window.ManagedMediaSource;"
    async with running(page=SERVED) as address:
        async with open_page(browser, address, before=no_mp4) as page:
            await page.click("#start")
            await wait_for_state(page, "idle")
            await play_for(page, 0.5)
        async with open_page(browser, address, before=nothing, begin="unsupported") as page:
            assert "MediaSource" in await page.inner_text("#card-text")
            assert await page.is_disabled("#talk")


async def test_page_fits_small_screens_and_names_every_control(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address) as page:
        for width, height in ((320, 568), (390, 844), (844, 390), (960, 600), (1280, 800)):
            await page.set_viewport_size({"width": width, "height": height})
            assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            assert await page.evaluate(
                "[...document.querySelectorAll('.stage *')].every((each) =>"
                " each.getBoundingClientRect().right <= each.closest('.stage').getBoundingClientRect().right)"
            )
        unnamed = await page.evaluate(
            "[...document.querySelectorAll('button, input')].filter((each) =>"
            " !(each.textContent.trim() || each.ariaLabel || each.labels?.length)).length"
        )
        assert unnamed == 0


async def test_playback_rate_and_helper_functions_give_expected_values(browser: Browser) -> None:
    async with running(page=SERVED) as address, open_page(browser, address) as page:
        result = await page.evaluate(
            """async () => {
              const { chooseRate, BufferTarget, FAST, SLOW } = await import("/page/playback_rate.js");
              const { dueSamples } = await import("/page/recording.js");
              const { describeClose } = await import("/page/stream_client.js");
              const { toS16, mixToMono } = await import("/page/pcm.js");
              const { avatarName } = await import("/page/avatars.js");
              const target = new BufferTarget();
              const first = target.seconds;
              target.increase();
              const stalled = target.seconds;
              target.decrease(1000);
              return {
                steady: chooseRate(0.2, 0.2, 1),
                behind: chooseRate(0.5, 0.2, 1).rate === FAST && chooseRate(0.25, 0.2, FAST).rate === FAST,
                caught: chooseRate(0.2, 0.2, FAST).rate,
                thin: chooseRate(0.05, 0.2, 1).rate === SLOW && chooseRate(0.19, 0.2, SLOW).rate === SLOW,
                far: chooseRate(3, 0.2, 1),
                target: stalled > first && target.seconds < first,
                due: [dueSamples(0, 1000, 5000), dueSamples(1, 1000, 5000), dueSamples(9, 1000, 5000)],
                kinds: [1000, 1013, 4401, 4404, 4408, 1012, 1006].map((code) => describeClose(code, null).kind),
                pcm: [...toS16(Float32Array.of(0, 2, -2, 0.5))],
                mixed: [...mixToMono([Float32Array.of(1, 0), Float32Array.of(0, 0)])],
                name: avatarName("my_aunt.and.me.jpeg"),
              };
            }"""
        )
    assert result == {
        "steady": {"rate": 1, "jump": False},
        "behind": True,
        "caught": 1,
        "thin": True,
        "far": {"rate": 1, "jump": True},
        "target": True,
        "due": [120, 1120, 5000],
        "kinds": ["ended", "refused", "locked", "ended", "ended", "lost", "lost"],
        "pcm": [0, 32767, -32767, 16384],
        "mixed": [0.5, 0],
        "name": "my aunt.and.me",
    }


async def test_sample_is_the_bundled_recording() -> None:
    from lipstream_models.bundled import recording_path

    assert Path(str(SERVED.sample)) == recording_path()


async def test_page_with_a_token_gets_into_a_server_with_keys(browser: Browser, tmp_path: Path) -> None:
    key = SecretStr("a-key-that-is-in-the-settings")
    settings = CALM.replace(access=AccessSettings(key=key))
    async with running(settings=settings, page=SERVED, data=tmp_path, keyed=True) as address:
        rest = RestClient(f"http://{address}", key=key.get_secret_value())
        token = await asyncio.to_thread(rest.create_token, "green")
        expired = await asyncio.to_thread(rest.create_token, "green", connect_seconds=0.01)
        # The one error is Chromium's own line about the 401.
        async with open_page(browser, address, errors=1, begin="locked") as page:
            assert "can give you one" in await page.inner_text("#card-text")
            await page.fill("#token", "a mistake")
            await page.press("#token", "Enter")
            await page.wait_for_function(
                "() => document.querySelector('#card-text').textContent.includes('not a token')"
            )
            await page.fill("#token", expired)
            await page.click("#pass button")
            await page.click("#start")
            await page.wait_for_function(
                "() => document.querySelector('#card-text').textContent.includes('is over')"
            )
            await wait_for_state(page, "locked")
            await page.goto(f"http://{address}/#token={token}")
            await wait_for_state(page, "ready")
            assert page.url == f"http://{address}/"
            assert not await page.is_visible("#avatars")
            await play_recording(page, 20)
            await wait_for_bar(page, "> 0.2")
            await page.click("#end")
            await wait_for_state(page, "ready")
