/** Fragments in, a picture with sound out, as close to live as the network allows. */

import { Cushion, pace } from "./pace.js";

const KEEP_SECONDS = 4; // a key picture comes every two: a jump back to one is always possible
const TRIM_SECONDS = 10;

const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource; // the latter alone on iPhones

/** The first container that this browser plays as it arrives, or null. */
export function playableContainer(supported = (type) => Source?.isTypeSupported(type) ?? false) {
  if (supported('video/mp4; codecs="avc1.42C00D,mp4a.40.2"')) return "fmp4";
  if (supported('video/webm; codecs="vp8,opus"')) return "webm";
  return null;
}

export class Player {
  /** failed: called once with an Error when no more can be played. */
  constructor(video, failed) {
    this.video = video;
    this.failed = failed;
    this.queue = [];
    this.buffer = null;
    this.source = null;
    this.stalls = 0;
    this.skip = null;
    video.disableRemotePlayback = true; // ManagedMediaSource asks for it
    video.addEventListener("waiting", () => this.ranDry());
  }

  /** Begin anew with a stream of this type; what is appended before the source is open waits for it. */
  open(mediaType) {
    this.close();
    const source = new Source();
    this.source = source;
    this.cushion = new Cushion();
    this.url = URL.createObjectURL(source);
    this.stalls = 0;
    this.followed = performance.now();
    source.addEventListener("sourceopen", () => this.attach(source, mediaType), { once: true });
    this.video.src = this.url;
    this.hold();
    this.play();
  }

  /** To be called within a touch: some browsers let only an element play that was told to by one. */
  bless() {
    this.video.play().catch(() => undefined); // there is nothing to play yet
  }

  /** With sound, or silent until the next touch where a browser insists on one. */
  play() {
    const { video } = this;
    video.play().catch((error) => {
      if (error.name !== "NotAllowedError") return;
      video.muted = true;
      video.play().catch(() => undefined);
      document.addEventListener("pointerdown", () => (video.muted = false), { once: true });
    });
  }

  attach(source, mediaType) {
    if (source !== this.source) return;
    try {
      source.duration = Infinity;
      this.buffer = source.addSourceBuffer(mediaType);
    } catch (error) {
      this.fail(`this browser does not play ${mediaType}: ${error.message}`);
      return;
    }
    const { buffer } = this;
    buffer.addEventListener("updateend", () => buffer === this.buffer && this.updated());
    buffer.addEventListener("error", () => buffer === this.buffer && this.fail("a fragment could not be read"));
    this.pump();
  }

  append(fragment) {
    if (!this.source) return;
    this.queue.push(fragment);
    this.pump();
  }

  /** Show nothing before this time, once it is there; what comes before it is skipped. Silent until then. */
  skipTo(seconds) {
    this.skip = seconds;
    this.follow();
  }

  /** Silence at once, until `skipTo` has done its work. */
  hush() {
    if (this.source) this.video.muted = true;
  }

  /** ahead: seconds that wait to be played; position: seconds. */
  get figures() {
    const quality = this.video.getVideoPlaybackQuality?.();
    return {
      ahead: this.ahead,
      position: this.video.currentTime,
      dropped: quality?.droppedVideoFrames ?? 0,
      total: quality?.totalVideoFrames ?? 0,
      stalls: this.stalls,
    };
  }

  close() {
    if (!this.source) return;
    this.source = this.buffer = this.skip = null;
    this.queue = [];
    this.video.muted = false;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.url);
  }

  get end() {
    const ranges = this.buffer?.buffered;
    return ranges?.length ? ranges.end(ranges.length - 1) : 0;
  }

  get ahead() {
    return Math.max(0, this.end - this.video.currentTime);
  }

  /** One thing at a time: a SourceBuffer that is updating takes no other order. */
  pump() {
    const { buffer } = this;
    if (!buffer || buffer.updating || !this.queue.length || this.source.readyState !== "open") return;
    try {
      buffer.appendBuffer(this.queue[0]);
      this.queue.shift();
    } catch (error) {
      if (error.name !== "QuotaExceededError") this.fail(error.message);
      else if (!this.trim(1)) this.fail("the browser’s media buffer is full");
    }
  }

  updated() {
    this.follow();
    if (this.video.currentTime - this.start > TRIM_SECONDS) this.trim(KEEP_SECONDS);
    this.pump();
  }

  get start() {
    return this.buffer?.buffered.length ? this.buffer.buffered.start(0) : 0;
  }

  /** Forget what was played more than `keep` seconds ago; the end of that pumps on. Returns whether there was any. */
  trim(keep) {
    const until = this.video.currentTime - keep;
    if (this.buffer.updating) return true;
    if (until <= this.start) return false;
    this.buffer.remove(this.start, until);
    return true;
  }

  /** Keep close to the end. */
  follow() {
    if (!this.buffer?.buffered.length) return;
    const { video } = this;
    if (this.skip !== null) return this.skipAhead();
    if (this.held && this.ahead < this.cushion.seconds) return;
    this.held = false;
    const { rate, jump } = pace(this.ahead, this.cushion.seconds, video.playbackRate);
    if (jump) video.currentTime = this.end - this.cushion.seconds;
    if (video.playbackRate !== rate) video.playbackRate = rate;
    const now = performance.now();
    this.cushion.wentWell((now - this.followed) / 1000);
    this.followed = now;
  }

  skipAhead() {
    const { video } = this;
    if (video.currentTime < this.skip) {
      if (this.end <= this.skip) return;
      video.currentTime = this.skip;
      this.hold();
    }
    this.skip = null;
    video.muted = false;
  }

  ranDry() {
    if (!this.buffer || this.held || this.video.seeking) return;
    this.stalls += 1;
    this.cushion.ranDry();
    this.hold();
  }

  /** Stand still until enough waits. A pause would do, but going on after one may need a touch again. */
  hold() {
    this.held = true;
    this.video.playbackRate = 0;
  }

  fail(reason) {
    this.close();
    this.failed(new Error(`The video cannot be played: ${reason}.`));
  }
}
