/** A session of the page: its connection, its player, and whatever speaks into it. */

import { openMicrophone } from "./microphone.js";
import { Player, playableContainer } from "./player.js";
import { loudness } from "./pcm.js";
import { Recording, decodeRecording } from "./recording.js";
import { READY, backoff, isLive, next } from "./state.js";
import { StreamClient } from "./stream_client.js";

const NOTICE_MS = 10_000;
const RATES = [8000, 48000]; // that the protocol takes

export class Conversation {
  /**
   * changed: called after every change of `state`, `listening`, `recording`, `delay` or `notice`; stale: when the server
   * does not know the avatar any more.
   */
  constructor(video, changed, stale) {
    Object.assign(this, { changed, stale });
    this.state = READY;
    this.avatar = this.token = null;
    this.delay = null; // of the last utterance: milliseconds to its first picture, there (server) and here (seen)
    this.notice = "";
    this.level = 0;
    this.player = new Player(video, (error) => this.fail(error));
    this.client = this.microphone = this.recording = this.timer = this.awaited = this.context = null;
    this.attempt = 0;
    if (playableContainer() === null) {
      this.apply({ type: "unsupported", message: "It lacks MediaSource with H.264 or VP8." });
    }
  }

  get listening() {
    return this.microphone !== null;
  }

  apply(event) {
    this.state = next(this.state, event);
    this.changed(this);
  }

  /** A remark that is shown for a while. */
  say(notice) {
    this.notice = notice;
    this.noticeUntil = performance.now() + NOTICE_MS;
    this.changed(this);
  }

  /** Open a session if there is none; resolves to whether there is one. Called by a touch, or sound stays off. */
  start() {
    if (this.state.name === "unsupported" || this.state.name === "locked") return false;
    if (isLive(this.state)) return true;
    this.context ??= openContext();
    this.context.resume();
    this.player.bless();
    return this.opening ?? this.open();
  }

  open() {
    clearTimeout(this.timer);
    this.notice = "";
    this.apply({ type: "connecting" });
    const start = {
      avatar: this.avatar,
      audio: { rate: this.context.sampleRate },
      container: playableContainer(),
    };
    this.opening = new Promise((resolve) => {
      this.settle = (opened) => {
        this.opening = null;
        resolve(opened);
      };
    });
    const { opening } = this;
    this.client = new StreamClient(document.baseURI, start, this.token, {
      event: (message) => this.obey(message),
      media: (fragment) => this.player.append(fragment),
      closed: (verdict) => this.over(verdict),
    });
    return opening;
  }

  obey(message) {
    switch (message.type) {
      case "session.ready":
        this.attempt = 0;
        this.player.open(message.media_type);
        this.settle(true);
        break;
      case "utterance.started":
        this.awaited = { at: message.at_ms / 1000, waited: message.latency_ms, since: this.since };
        this.delay = { server: message.latency_ms, seen: null };
        requestAnimationFrame(() => this.watch());
        break;
      case "utterance.ended":
        if (message.interrupted) {
          this.awaited = null;
          this.player.skipTo(message.at_ms / 1000);
        }
        break;
      case "error":
        if (!message.fatal) this.say(message.message);
        break;
      case "stats":
        if (message.warning) this.say("The server cannot keep up: the picture stands still at times.");
        break;
    }
    this.apply(message);
  }

  over({ kind, message, seconds, stale = false }) {
    this.drop();
    if (stale) this.stale();
    const wait = kind === "refused" ? seconds : kind === "lost" ? backoff(this.attempt) : null;
    if (kind === "lost") this.attempt += 1;
    if (wait !== null) this.timer = setTimeout(() => this.open(), wait * 1000);
    this.apply({ type: kind, message, retryAt: wait === null ? null : performance.now() + wait * 1000 });
  }

  fail(error) {
    this.client?.close();
    this.over({ kind: "ended", message: error.message });
  }

  /** End the session, or stop trying. */
  stop() {
    this.client?.close();
    this.attempt = 0;
    this.over({ kind: "ended", message: "" });
    this.context?.suspend();
  }

  retry() {
    this.attempt = 0;
    this.open();
  }

  drop() {
    clearTimeout(this.timer);
    this.quiet();
    this.client = this.awaited = this.delay = null;
    this.player.close();
    this.settle?.(false);
  }

  /** Another face: the session begins anew if there is one. */
  async choose(avatar) {
    if (avatar === this.avatar) return;
    this.avatar = avatar;
    if (this.state.name === "unsupported" || this.state.name === "ready") return;
    this.client?.close();
    this.drop();
    await this.open();
  }

  // What speaks: the microphone or one recording.

  async toggleMicrophone() {
    if (this.listening) return this.quiet();
    if (!(await this.start())) return;
    this.quiet();
    try {
      const gone = () => this.quiet();
      const microphone = await openMicrophone(this.context, (piece) => this.hear(piece), gone);
      if (!isLive(this.state) || this.listening) return microphone.close();
      this.microphone = microphone;
      this.say("");
    } catch (error) {
      this.say(error.message);
    }
  }

  /** fetchBlob: gives a recording's bytes, or a promise of them. */
  async play(fetchBlob) {
    if (!(await this.start())) return;
    this.quiet();
    try {
      const samples = await decodeRecording(this.context, await fetchBlob());
      if (!isLive(this.state)) return;
      this.quiet();
      this.notice = "";
      this.since = null;
      const ended = () => this.quiet();
      const { sampleRate } = this.context;
      this.recording = new Recording(samples, sampleRate, (piece) => this.hear(piece), ended);
      this.recording.begin();
      this.changed(this);
    } catch (error) {
      this.say(error.message);
    }
  }

  hear(piece) {
    if (!this.client) return;
    if (!this.client.spoken) this.since = performance.now();
    this.level = loudness(piece);
    if (!this.client.hear(piece)) this.say("The network does not take the sound as fast as it is spoken.");
  }

  /** Stop what speaks; what was said is still shown. */
  quiet() {
    this.microphone?.close();
    this.recording?.stop();
    this.microphone = this.recording = null;
    this.level = 0;
    this.client?.endUtterance();
    this.changed(this);
  }

  interrupt() {
    if (!isLive(this.state)) return;
    this.microphone?.close();
    this.recording?.stop();
    this.microphone = this.recording = null;
    this.level = 0;
    this.player.hush();
    this.client.interrupt();
    this.changed(this);
  }

  /** To be called now and then: takes away a remark that is old. */
  tick() {
    if (this.notice && performance.now() > this.noticeUntil) this.say("");
  }

  /** Wait for the first picture of an utterance to be on the screen. */
  watch() {
    if (!this.awaited) return;
    if (this.player.figures.position < this.awaited.at) {
      requestAnimationFrame(() => this.watch());
      return;
    }
    const { since } = this.awaited;
    this.awaited = null;
    this.delay = { ...this.delay, seen: performance.now() - since };
    this.changed(this);
  }
}

/** At the rate of the sound card, if the protocol takes it: microphones of other rates are refused by some browsers. */
function openContext() {
  const context = new AudioContext({ latencyHint: "interactive" });
  if (context.sampleRate >= RATES[0] && context.sampleRate <= RATES[1]) return context;
  context.close();
  return new AudioContext({ latencyHint: "interactive", sampleRate: 48000 });
}
