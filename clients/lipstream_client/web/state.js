/** The state of the page as a value, and how events change it. Nothing here touches the document. */

/**
 * name: unsupported | loading | locked | ready | connecting | idle | speaking | refused | lost
 * message: details; retryAt: time of the next attempt in milliseconds of performance.now, or null.
 */
export const READY = Object.freeze({ name: "ready", message: "", retryAt: null });

const LIVE = new Set(["idle", "speaking"]);
const MAX_BACKOFF_SECONDS = 8;
const MAX_ATTEMPTS = 6;

export const isLive = (state) => LIVE.has(state.name);
export const isWaiting = (state) => state.name === "refused" || state.name === "lost";

export function nextState(state, event) {
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

/** Return the seconds before attempt number `attempt` to reconnect, or null after the last one. */
export function backoff(attempt) {
  return attempt < MAX_ATTEMPTS ? Math.min(MAX_BACKOFF_SECONDS, 2 ** attempt) : null;
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

/** Return the state in a word or two. */
export function stateTitle(state, listening) {
  return state.name === "idle" && listening ? "Listening" : TITLES[state.name];
}

/** Return the whole seconds until the next attempt, or null. */
export function countdown(state, now) {
  return state.retryAt === null ? null : Math.max(0, Math.ceil((state.retryAt - now) / 1000));
}
