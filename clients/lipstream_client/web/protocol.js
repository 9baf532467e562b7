/**
 * The wire: every message of `GET /v1/stream`, as docs/protocol.md describes it.
 *
 * Control is JSON in text messages, media is binary. Unknown types and keys are refused, values are not coerced, and
 * defaults are filled in. tests/data/stream_messages.json holds the messages that both sides must read and write alike.
 */

export const PATH = "/v1/stream";
export const SUBPROTOCOL = "lipstream.v1";
export const TOKEN_SUBPROTOCOL = "lipstream.token."; // followed by the token
export const MAX_MESSAGE_BYTES = 1 << 20;

/** The codes with which the server closes a connection. */
export const CloseCode = Object.freeze({
  NORMAL: 1000,
  GOING_AWAY: 1001,
  TOO_BIG: 1009,
  INTERNAL: 1011,
  RESTART: 1012,
  BUSY: 1013,
  PROTOCOL: 4400,
  UNAUTHORIZED: 4401,
  UNKNOWN: 4404,
  IDLE: 4408,
  SLOW_READER: 4429,
});

export class ProtocolError extends Error {}

// A validator takes a value and its path, and returns the value or throws.

function refuse(path, expected, value) {
  const shown = JSON.stringify(value)?.slice(0, 80) ?? typeof value;
  throw new ProtocolError(`${path}: expected ${expected}, got ${shown}`);
}

const text = (min = 0, max = Infinity) => (value, path) =>
  typeof value === "string" && value.length >= min && value.length <= max
    ? value
    : refuse(path, `a string of ${min} to ${max} characters`, value);

const integer = (min = Number.MIN_SAFE_INTEGER, max = Number.MAX_SAFE_INTEGER) => (value, path) =>
  Number.isSafeInteger(value) && value >= min && value <= max
    ? value
    : refuse(path, `an integer from ${min} to ${max}`, value);

const number = (value, path) => (Number.isFinite(value) ? value : refuse(path, "a number", value));

const flag = (value, path) => (typeof value === "boolean" ? value : refuse(path, "true or false", value));

const oneOf = (...values) => (value, path) =>
  values.includes(value) ? value : refuse(path, `one of ${values.join(", ")}`, value);

const nullable = (validate) => (value, path) => (value === null ? null : validate(value, path));

/** fields: name to [validator], or to [validator, default]. */
const record = (fields) => (value, path) => {
  if (typeof value !== "object" || value === null || Array.isArray(value)) refuse(path, "an object", value);
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(fields, key)) refuse(`${path}.${key}`, "no such key", value[key]);
  }
  const result = {};
  for (const [key, [validate, ...defaults]] of Object.entries(fields)) {
    if (Object.hasOwn(value, key)) result[key] = validate(value[key], `${path}.${key}`);
    else if (defaults.length) [result[key]] = defaults;
    else refuse(`${path}.${key}`, "a value", undefined);
  }
  return result;
};

const NAME = nullable(text(1, 200));
const ID = nullable(text(0, 200));
const CONTAINER = oneOf("fmp4", "webm", "jpeg", "rgb");
const AUDIO = { encoding: "s16le", rate: 16000, channels: 1 };

const audioFormat = record({
  encoding: [oneOf("s16le", "f32le"), AUDIO.encoding],
  rate: [integer(8000, 48000), AUDIO.rate],
  channels: [oneOf(1, 2), AUDIO.channels],
});

const CLIENT = {
  "session.start": record({
    avatar: [NAME, null],
    audio: [audioFormat, AUDIO],
    container: [CONTAINER, "fmp4"],
    preset: [NAME, null],
    idle: [oneOf("alive", "still"), "alive"],
  }),
  "audio.append": record({ audio: [text(0, MAX_MESSAGE_BYTES)] }),
  "utterance.end": record({}),
  interrupt: record({}),
  "session.end": record({}),
  ping: record({ id: [ID, null] }),
  stats: record({}),
};

const ERRORS = oneOf(
  "bad_message",
  "bad_audio",
  "not_started",
  "already_started",
  "unknown_avatar",
  "unknown_preset",
  "buffer_full",
  "unauthorized",
  "busy",
  "too_many_errors",
  "internal",
  "engine_lost",
);

const REASONS = oneOf(
  "ended",
  "protocol",
  "unauthorized",
  "unknown",
  "busy",
  "idle",
  "expired",
  "slow_reader",
  "shutdown",
  "internal",
  "engine_lost",
);

const LATENCY = record(
  Object.fromEntries(
    ["buffering", "queueing", "audio_encoding", "denoising", "decoding", "startup_delay", "encoding", "sending"].map((part) => [
      `${part}_ms`,
      [number],
    ]),
  ),
);

const SERVER = {
  "session.ready": record({
    session: [text()],
    avatar: [text()],
    preset: [text()],
    container: [CONTAINER],
    media_type: [text()],
    width: [integer()],
    height: [integer()],
    fps: [integer()],
    audio_rate: [integer()],
    fragment_frames: [integer()],
    digital_source_type: [text()],
    limits: [
      record({
        max_message_bytes: [integer()],
        buffered_ms: [integer()],
        idle_timeout_seconds: [number],
        max_seconds: [number],
      }),
    ],
  }),
  "utterance.started": record({ utterance: [integer()], at_ms: [number], latency_ms: [number] }),
  "utterance.ended": record({
    utterance: [nullable(integer())],
    at_ms: [number],
    position_ms: [number],
    interrupted: [flag],
  }),
  stats: record({
    state: [oneOf("idle", "speaking", "draining")],
    media_ms: [number],
    frames: [integer()],
    idle_frames: [integer()],
    repeated_frames: [integer()],
    underrun_frames: [integer()],
    buffered_ms: [number],
    latency_ms: [nullable(number)],
    latency: [nullable(LATENCY)],
    lateness_ms: [number],
    skipped_ms: [number],
    repaired_samples: [integer()],
    sessions: [integer()],
    engine: [oneOf("running", "restarting"), "running"],
    engine_restarts: [integer(), 0],
    warning: [nullable(text()), null],
  }),
  error: record({
    code: [ERRORS],
    message: [text()],
    fatal: [flag],
    retry_after: [nullable(number), null],
  }),
  "session.closing": record({ reason: [REASONS], seconds_left: [nullable(number), null] }),
  pong: record({ id: [ID, null] }),
};

/** Return a client's message as JSON, checked and with its defaults. Throws ProtocolError. */
export function writeClient(type, fields = {}) {
  return JSON.stringify(check(CLIENT, { type, ...fields }));
}

/** Parse a client's message. Throws ProtocolError. */
export function readClient(json) {
  return check(CLIENT, parse(json));
}

/** Parse a server's message. Throws ProtocolError. */
export function readServer(json) {
  return check(SERVER, parse(json));
}

function parse(json) {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new ProtocolError(`expected JSON, got ${json.slice(0, 80)}`, { cause: error });
  }
}

function check(union, message) {
  const { type, ...fields } = message ?? {};
  if (typeof type !== "string" || !Object.hasOwn(union, type)) {
    refuse("type", `one of ${Object.keys(union).join(", ")}`, type);
  }
  return { type, ...union[type](fields, type) };
}

// Binary media of the containers `jpeg` and `rgb`: a big-endian header, then the payload.

export const MediaTag = Object.freeze({ JPEG: 1, PCM: 2, RGB: 3 });
const HEADER_BYTES = 16;

/** Parse an ArrayBuffer. position: number of the frame or of the first sample; payload: a view. Throws ProtocolError. */
export function unpackTagged(buffer) {
  if (buffer.byteLength < HEADER_BYTES) refuse("tagged", `${HEADER_BYTES} bytes or more`, buffer.byteLength);
  const header = new DataView(buffer, 0, HEADER_BYTES);
  const tag = oneOf(...Object.values(MediaTag))(header.getUint8(0), "tag");
  const position = integer(0)(Number(header.getBigUint64(8)), "position");
  return { tag, utterance: header.getUint32(4), position, payload: new Uint8Array(buffer, HEADER_BYTES) };
}

/** Return the bytes of such a message. */
export function packTagged({ tag, utterance, position, payload }) {
  const message = new Uint8Array(HEADER_BYTES + payload.length);
  const header = new DataView(message.buffer);
  header.setUint8(0, tag);
  header.setUint32(4, utterance);
  header.setBigUint64(8, BigInt(position));
  message.set(payload, HEADER_BYTES);
  return message;
}
