/** A session of the page: its connection, its player, and its source of audio. */

import { openMicrophone } from "./microphone.js";
import { Player, playableContainer } from "./player.js";
import { loudness } from "./pcm.js";
import { Recording, decodeRecording } from "./recording.js";
import { READY, backoff, isLive, nextState } from "./state.js";
import { StreamClient } from "./stream_client.js";

const NOTICE_MS = 10_000;
const SAMPLE_RATES = [8000, 48000]; // the range of the protocol

export class Conversation {
  /**
   * onChange: called after every change of `state`, `listening`, `recording`, `latency` or `notice`;
   * onUnknownAvatar: called when the server does not know the avatar any more.
   */
  constructor(video, onChange, onUnknownAvatar) {
    Object.assign(this, { onChange, onUnknownAvatar });
    this.state = READY;
    this.avatar = this.token = null;
    this.latency = null; // of the last utterance, in milliseconds to its first frame: {server, total}
    this.notice = "";
    this.level = 0;
    this.player = new Player(video, (error) => this.fail(error));
    this.client = this.microphone = this.recording = this.retryTimer = this.context = null;
    this.pendingUtterance = null; // its first frame is not on the screen yet
    this.attempt = 0;
    if (playableContainer() === null) {
      this.apply({ type: "unsupported", message: "It lacks MediaSource with H.264 or VP8." });
    }
  }

  get listening() {
    return this.microphone !== null;
  }

  apply(event) {
    this.state = nextState(this.state, event);
    this.onChange(this);
  }

  /** Show a message for a while. */
  showNotice(notice) {
    this.notice = notice;
    this.noticeUntil = performance.now() + NOTICE_MS;
    this.onChange(this);
  }

  /** Remove a message that is old. To be called now and then. */
  expireNotice() {
    if (this.notice && performance.now() > this.noticeUntil) this.showNotice("");
  }

  // The session

  /** Open a session if there is none, and resolve to whether there is one. To be called in the handler of a click. */
  start() {
    if (this.state.name === "unsupported" || this.state.name === "locked") return false;
    if (isLive(this.state)) return true;
    this.context ??= openContext();
    this.context.resume();
    this.player.unlock();
    return this.opening ?? this.open();
  }

  open() {
    clearTimeout(this.retryTimer);
    this.notice = "";
    this.apply({ type: "connecting" });
    const start = {
      avatar: this.avatar,
      audio: { rate: this.context.sampleRate },
      container: playableContainer(),
    };
    this.opening = new Promise((resolve) => {
      this.resolveOpening = (opened) => {
        this.opening = null;
        resolve(opened);
      };
    });
    const { opening } = this;
    this.client = new StreamClient(document.baseURI, start, this.token, {
      onEvent: (message) => this.handleMessage(message),
      onMedia: (fragment) => this.player.append(fragment),
      onClose: (reason) => this.handleClose(reason),
    });
    return opening;
  }

  handleMessage(message) {
    switch (message.type) {
      case "session.ready":
        this.attempt = 0;
        this.player.open(message.media_type);
        this.resolveOpening(true);
        break;
      case "utterance.started":
        this.pendingUtterance = { at: message.at_ms / 1000, startedAt: this.speechStartedAt };
        this.latency = { server: message.latency_ms, total: null };
        requestAnimationFrame(() => this.measureLatency());
        break;
      case "utterance.ended":
        if (message.interrupted) {
          this.pendingUtterance = null;
          this.player.skipTo(message.at_ms / 1000);
        }
        break;
      case "error":
        if (!message.fatal) this.showNotice(message.message);
        break;
      case "stats":
        if (message.warning) this.showNotice("The server cannot keep up: the video freezes at times.");
        break;
    }
    this.apply(message);
  }

  handleClose({ kind, message, seconds, unknownAvatar = false }) {
    this.reset();
    if (unknownAvatar) this.onUnknownAvatar();
    const wait = kind === "refused" ? seconds : kind === "lost" ? backoff(this.attempt) : null;
    if (kind === "lost") this.attempt += 1;
    if (wait !== null) this.retryTimer = setTimeout(() => this.open(), wait * 1000);
    this.apply({ type: kind, message, retryAt: wait === null ? null : performance.now() + wait * 1000 });
  }

  fail(error) {
    this.client?.close();
    this.handleClose({ kind: "ended", message: error.message });
  }

  /** End the session, or stop trying to connect. */
  stop() {
    this.client?.close();
    this.attempt = 0;
    this.handleClose({ kind: "ended", message: "" });
    this.context?.suspend();
  }

  retry() {
    this.attempt = 0;
    this.open();
  }

  reset() {
    clearTimeout(this.retryTimer);
    this.stopSpeaking();
    this.client = this.pendingUtterance = this.latency = null;
    this.player.close();
    this.resolveOpening?.(false);
  }

  /** Use another avatar. A running session is replaced by a new one. */
  async selectAvatar(avatar) {
    if (avatar === this.avatar) return;
    this.avatar = avatar;
    if (this.state.name === "unsupported" || this.state.name === "ready") return;
    this.client?.close();
    this.reset();
    await this.open();
  }

  // The source of audio: the microphone or one recording

  async toggleMicrophone() {
    if (this.listening) return this.stopSpeaking();
    if (!(await this.start())) return;
    this.stopSpeaking();
    try {
      const onLost = () => this.stopSpeaking();
      const microphone = await openMicrophone(this.context, (chunk) => this.sendAudio(chunk), onLost);
      if (!isLive(this.state) || this.listening) return microphone.close();
      this.microphone = microphone;
      this.showNotice("");
    } catch (error) {
      this.showNotice(error.message);
    }
  }

  /** fetchBlob: returns a recording's bytes, or a promise of them. */
  async playRecording(fetchBlob) {
    if (!(await this.start())) return;
    this.stopSpeaking();
    try {
      const samples = await decodeRecording(this.context, await fetchBlob());
      if (!isLive(this.state)) return;
      this.stopSpeaking();
      this.notice = "";
      this.speechStartedAt = null;
      const onEnd = () => this.stopSpeaking();
      const { sampleRate } = this.context;
      this.recording = new Recording(samples, sampleRate, (chunk) => this.sendAudio(chunk), onEnd);
      this.recording.start();
      this.onChange(this);
    } catch (error) {
      this.showNotice(error.message);
    }
  }

  sendAudio(chunk) {
    if (!this.client) return;
    if (!this.client.utteranceOpen) this.speechStartedAt = performance.now();
    this.level = loudness(chunk);
    if (!this.client.sendAudio(chunk)) this.showNotice("The network is too slow for the audio. Some of it is lost.");
  }

  /** Stop the source of audio. The audio that was sent is still spoken. */
  stopSpeaking() {
    this.closeSource();
    this.client?.endUtterance();
    this.onChange(this);
  }

  interrupt() {
    if (!isLive(this.state)) return;
    this.closeSource();
    this.player.mute();
    this.client.interrupt();
    this.onChange(this);
  }

  closeSource() {
    this.microphone?.close();
    this.recording?.stop();
    this.microphone = this.recording = null;
    this.level = 0;
  }

  /** Wait for the first frame of an utterance to be on the screen. */
  measureLatency() {
    if (!this.pendingUtterance) return;
    if (this.player.statistics.position < this.pendingUtterance.at) {
      requestAnimationFrame(() => this.measureLatency());
      return;
    }
    const { startedAt } = this.pendingUtterance;
    this.pendingUtterance = null;
    this.latency = { ...this.latency, total: performance.now() - startedAt };
    this.onChange(this);
  }
}

/** Open a context at the rate of the sound card, if the protocol allows it: some browsers refuse microphones of other rates. */
function openContext() {
  const context = new AudioContext({ latencyHint: "interactive" });
  if (context.sampleRate >= SAMPLE_RATES[0] && context.sampleRate <= SAMPLE_RATES[1]) return context;
  context.close();
  return new AudioContext({ latencyHint: "interactive", sampleRate: SAMPLE_RATES[1] });
}
