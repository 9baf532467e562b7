/** What the page is doing, as a value, and how events change it. Nothing here touches the document. */

/**
 * name: unsupported | loading | locked | ready | connecting | idle | speaking | refused | lost
 * message: what else to say; retryAt: when it is tried again, in milliseconds of performance.now, or null.
 */
export const READY = Object.freeze({ name: "ready", message: "", retryAt: null });

const LIVE = new Set(["idle", "speaking"]);
const LONGEST_WAIT = 8;
const ATTEMPTS = 6;

export const isLive = (state) => LIVE.has(state.name);
export const isWaiting = (state) => state.name === "refused" || state.name === "lost";

export function next(state, event) {
  switch (event.type) {
    case "unsupported":
    case "loading":
    case "locked":
    case "connecting":
      return { ...READY, name: event.type, message: event.message ?? "" };
    case "session.ready":
      return { ...READY, name: "idle" };
    case "utterance.started":
      return { ...READY, name: "speaking" };
    case "utterance.ended":
      return isLive(state) ? { ...READY, name: "idle" } : state;
    case "refused":
    case "lost":
      return { name: event.type, message: event.message, retryAt: event.retryAt };
    case "ended":
      return { ...READY, message: event.message };
    default:
      return state;
  }
}

/** Seconds before a lost connection is tried for the `attempt`-th time again, or null when that is enough. */
export function backoff(attempt) {
  return attempt < ATTEMPTS ? Math.min(LONGEST_WAIT, 2 ** attempt) : null;
}

const TITLES = {
  unsupported: "This browser cannot play the stream",
  loading: "Loading the model",
  locked: "A token is needed",
  ready: "Ready",
  connecting: "Connecting",
  idle: "Connected",
  speaking: "Speaking",
  refused: "The server is busy",
  lost: "Connection lost",
};

/** The state in a word or two. */
export function title(state, listening) {
  return state.name === "idle" && listening ? "Listening" : TITLES[state.name];
}

/** Whole seconds until it is tried again. */
export function countdown(state, now) {
  return state.retryAt === null ? null : Math.max(0, Math.ceil((state.retryAt - now) / 1000));
}
