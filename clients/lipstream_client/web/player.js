/** Plays fragments as they arrive, as close to live as the network allows. */

import { BufferTarget, chooseRate } from "./playback_rate.js";

const KEEP_SECONDS = 4; // a key frame comes every two seconds: a jump back to one is always possible
const TRIM_SECONDS = 10;

const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource; // the latter only on iPhones

/** Return the first container that this browser plays as it arrives, or null. */
export function playableContainer(supported = (type) => Source?.isTypeSupported(type) ?? false) {
  if (supported('video/mp4; codecs="avc1.42C00D,mp4a.40.2"')) return "fmp4";
  if (supported('video/webm; codecs="vp8,opus"')) return "webm";
  return null;
}

export class Player {
  /** onFailure: called once with an Error when playback is impossible. */
  constructor(video, onFailure) {
    this.video = video;
    this.onFailure = onFailure;
    this.queue = [];
    this.buffer = null;
    this.source = null;
    this.stalls = 0;
    this.skipTarget = null;
    video.disableRemotePlayback = true; // required by ManagedMediaSource
    video.addEventListener("waiting", () => this.handleStall());
  }

  /** Start a new stream of this type. Fragments that come before the source is open wait for it. */
  open(mediaType) {
    this.close();
    const source = new Source();
    this.source = source;
    this.target = new BufferTarget();
    this.url = URL.createObjectURL(source);
    this.stalls = 0;
    this.adjustedAt = performance.now();
    source.addEventListener("sourceopen", () => this.attach(source, mediaType), { once: true });
    this.video.src = this.url;
    this.waitForBuffer();
    this.play();
  }

  /** Allow playback later. To be called in the handler of a click: some browsers require that. */
  unlock() {
    this.video.play().catch(() => undefined); // there is nothing to play yet
  }

  /** Play with audio, or muted until the next click where a browser requires one. */
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
    buffer.addEventListener("updateend", () => buffer === this.buffer && this.handleUpdate());
    buffer.addEventListener("error", () => buffer === this.buffer && this.fail("a fragment could not be read"));
    this.appendNext();
  }

  append(fragment) {
    if (!this.source) return;
    this.queue.push(fragment);
    this.appendNext();
  }

  /** Skip everything before this time, as soon as media after it is there. Muted until then. */
  skipTo(seconds) {
    this.skipTarget = seconds;
    this.adjustPlayback();
  }

  /** Mute at once, until `skipTo` is done. */
  mute() {
    if (this.source) this.video.muted = true;
  }

  /** buffered: seconds that wait to be played; position: seconds. */
  get statistics() {
    const quality = this.video.getVideoPlaybackQuality?.();
    return {
      buffered: this.buffered,
      position: this.video.currentTime,
      dropped: quality?.droppedVideoFrames ?? 0,
      total: quality?.totalVideoFrames ?? 0,
      stalls: this.stalls,
    };
  }

  close() {
    if (!this.source) return;
    this.source = this.buffer = this.skipTarget = null;
    this.queue = [];
    this.video.muted = false;
    this.video.removeAttribute("src");
    this.video.load();
    URL.revokeObjectURL(this.url);
  }

  get start() {
    return this.buffer?.buffered.length ? this.buffer.buffered.start(0) : 0;
  }

  get end() {
    const ranges = this.buffer?.buffered;
    return ranges?.length ? ranges.end(ranges.length - 1) : 0;
  }

  get buffered() {
    return Math.max(0, this.end - this.video.currentTime);
  }

  /** Append one fragment. A SourceBuffer that is updating accepts no other call. */
  appendNext() {
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

  handleUpdate() {
    this.adjustPlayback();
    if (this.video.currentTime - this.start > TRIM_SECONDS) this.trim(KEEP_SECONDS);
    this.appendNext();
  }

  /** Remove what was played more than `keep` seconds ago; its end triggers the next append. Return whether there was any. */
  trim(keep) {
    const until = this.video.currentTime - keep;
    if (this.buffer.updating) return true;
    if (until <= this.start) return false;
    this.buffer.remove(this.start, until);
    return true;
  }

  /** Stay close to the end of the buffer. */
  adjustPlayback() {
    if (!this.buffer?.buffered.length) return;
    const { video } = this;
    if (this.skipTarget !== null) return this.skip();
    if (this.waiting && this.buffered < this.target.seconds) return;
    this.waiting = false;
    const { rate, jump } = chooseRate(this.buffered, this.target.seconds, video.playbackRate);
    if (jump) video.currentTime = this.end - this.target.seconds;
    if (video.playbackRate !== rate) video.playbackRate = rate;
    const now = performance.now();
    this.target.decrease((now - this.adjustedAt) / 1000);
    this.adjustedAt = now;
  }

  skip() {
    const { video } = this;
    if (video.currentTime < this.skipTarget) {
      if (this.end <= this.skipTarget) return;
      video.currentTime = this.skipTarget;
      this.waitForBuffer();
    }
    this.skipTarget = null;
    video.muted = false;
  }

  handleStall() {
    if (!this.buffer || this.waiting || this.video.seeking) return;
    this.stalls += 1;
    this.target.increase();
    this.waitForBuffer();
  }

  /** Stop until enough is buffered. Not by pausing: playing again after a pause may need a click. */
  waitForBuffer() {
    this.waiting = true;
    this.video.playbackRate = 0;
  }

  fail(reason) {
    this.close();
    this.onFailure(new Error(`The video cannot be played: ${reason}.`));
  }
}
