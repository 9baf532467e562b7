/** One session over one WebSocket: audio and commands out, events and media in. */

import {
  CloseCode,
  PATH,
  ProtocolError,
  SUBPROTOCOL,
  TOKEN_SUBPROTOCOL,
  readServer,
  writeClient,
} from "./protocol.js";
import { toS16 } from "./pcm.js";

const BUSY = "It has no free session, or it is still loading its model.";
const MAX_BUFFERED_SECONDS = 2; // of audio that the network has not taken

/**
 * Describe for a person how a session ended.
 * kind: refused (try again then), lost (try again soon), ended (only on request), locked (with another token).
 */
export function describeClose(code, fatalError) {
  const message = fatalError?.message;
  switch (code) {
    case CloseCode.NORMAL:
      return { kind: "ended", message: "" };
    case CloseCode.BUSY:
      return { kind: "refused", message: BUSY, seconds: fatalError?.retry_after ?? 5 };
    case CloseCode.UNAUTHORIZED:
      return { kind: "locked", message: `${message ?? "The server does not accept this token"}.` };
    case CloseCode.UNKNOWN:
      return { kind: "ended", message: "The server does not know this avatar any more.", unknownAvatar: true };
    case CloseCode.IDLE:
      return { kind: "ended", message: "The session was unused for too long, or reached its longest duration." };
    case CloseCode.PROTOCOL:
    case CloseCode.TOO_BIG:
      return { kind: "ended", message: message ?? "The server did not understand this page. Reload it." };
    case CloseCode.SLOW_READER:
      return { kind: "lost", message: "The connection was too slow for the video." };
    case CloseCode.RESTART:
    case CloseCode.GOING_AWAY:
      return { kind: "lost", message: "The server is restarting." };
    default:
      return { kind: "lost", message: message ?? "The connection was lost." };
  }
}

export class StreamClient {
  /**
   * token: of a server that requires one, or null.
   * Handlers: onEvent (a server's message), onMedia (an ArrayBuffer), onClose (what describeClose returns; once, and not
   * after `close`).
   */
  constructor(base, start, token, { onEvent, onMedia, onClose }) {
    const url = new URL(PATH, base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.rate = start.audio.rate;
    this.fatalError = null;
    this.utteranceOpen = false;
    this.socket = new WebSocket(url, token ? [SUBPROTOCOL, TOKEN_SUBPROTOCOL + token] : [SUBPROTOCOL]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send("session.start", start);
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.receive(data, onEvent) : onMedia(data));
    this.socket.onclose = ({ code }) => onClose(describeClose(code, this.fatalError));
  }

  receive(json, onEvent) {
    try {
      const message = readServer(json);
      if (message.type === "error" && message.fatal) this.fatalError = message;
      onEvent(message);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.fatalError = { message: `The server speaks another version of the protocol: ${error.message}` };
      this.socket.close(CloseCode.PROTOCOL);
    }
  }

  send(type, fields) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(writeClient(type, fields));
  }

  /** Send mono float samples at the session's rate. Return false if they were dropped, because the network is behind. */
  sendAudio(samples) {
    const { socket } = this;
    if (socket.readyState !== WebSocket.OPEN) return false;
    if (socket.bufferedAmount > MAX_BUFFERED_SECONDS * this.rate * 2) return false;
    socket.send(toS16(samples));
    this.utteranceOpen = true;
    return true;
  }

  endUtterance() {
    if (this.utteranceOpen) this.send("utterance.end");
    this.utteranceOpen = false;
  }

  interrupt() {
    this.utteranceOpen = false;
    this.send("interrupt");
  }

  /** End the session. No handler is called any more. */
  close() {
    const { socket } = this;
    socket.onmessage = socket.onclose = null;
    if (socket.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close(1000);
    else {
      this.send("session.end");
      socket.close(1000);
    }
  }
}
