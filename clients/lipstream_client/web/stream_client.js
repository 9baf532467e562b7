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

const BUSY = "All its places are taken, or it is still loading its model.";
const MOST_WAITING_SECONDS = 2; // of audio that the network has not taken

/**
 * How a session ended, for a person. kind: refused (try again then), lost (try again soon), ended (only if asked to), locked
 * (with another token).
 */
export function verdict(code, failure) {
  const said = failure?.message;
  switch (code) {
    case CloseCode.NORMAL:
      return { kind: "ended", message: "" };
    case CloseCode.BUSY:
      return { kind: "refused", message: BUSY, seconds: failure?.retry_after ?? 5 };
    case CloseCode.UNAUTHORIZED:
      return { kind: "locked", message: `${said ?? "The server does not take this token"}.` };
    case CloseCode.UNKNOWN:
      return { kind: "ended", message: "The server does not know this avatar any more.", stale: true };
    case CloseCode.IDLE:
      return { kind: "ended", message: "The server ended the session: it was unused, or at its longest." };
    case CloseCode.PROTOCOL:
    case CloseCode.TOO_BIG:
      return { kind: "ended", message: said ?? "The server did not understand this page. Reload it." };
    case CloseCode.SLOW_READER:
      return { kind: "lost", message: "The connection was too slow for the video." };
    case CloseCode.RESTART:
    case CloseCode.GOING_AWAY:
      return { kind: "lost", message: "The server is being restarted." };
    default:
      return { kind: "lost", message: said ?? "The connection was lost." };
  }
}

export class StreamClient {
  /** token: of a server that asks for one, or null. Handlers: event (a server's message), media (an ArrayBuffer), closed (a verdict, once, unless `close` was called). */
  constructor(base, start, token, { event, media, closed }) {
    const url = new URL(PATH, base);
    url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
    this.rate = start.audio.rate;
    this.failure = null;
    this.spoken = false; // whether audio of an utterance has been sent that has not been ended
    this.socket = new WebSocket(url, token ? [SUBPROTOCOL, TOKEN_SUBPROTOCOL + token] : [SUBPROTOCOL]);
    this.socket.binaryType = "arraybuffer";
    this.socket.onopen = () => this.send("session.start", start);
    this.socket.onmessage = ({ data }) => (typeof data === "string" ? this.receive(data, event) : media(data));
    this.socket.onclose = ({ code }) => closed(verdict(code, this.failure));
  }

  receive(json, event) {
    try {
      const message = readServer(json);
      if (message.type === "error" && message.fatal) this.failure = message;
      event(message);
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error;
      this.failure = { message: `The server speaks another version of the protocol: ${error.message}` };
      this.socket.close(4400); // the verdict follows from this code
    }
  }

  send(type, fields) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(writeClient(type, fields));
  }

  /** Mono float samples at the session's rate. Returns false when they were dropped, because the network is behind. */
  hear(samples) {
    const { socket } = this;
    if (socket.readyState !== WebSocket.OPEN) return false;
    if (socket.bufferedAmount > MOST_WAITING_SECONDS * this.rate * 2) return false;
    socket.send(toS16(samples));
    this.spoken = true;
    return true;
  }

  endUtterance() {
    if (this.spoken) this.send("utterance.end");
    this.spoken = false;
  }

  interrupt() {
    this.spoken = false;
    this.send("interrupt");
  }

  /** Go; the server flushes and frees the place. Nothing is called any more. */
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
