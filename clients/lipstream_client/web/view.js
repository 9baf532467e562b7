/** The document as it follows from a conversation. All texts are set as text, whoever they come from. */

import { countdown, isLive, isWaiting, title } from "./state.js";

const SCALE_MS = 1500; // what fills a bar, unless a delay is longer

export const parts = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((element) => [element.id, element]),
);

/** Set what differs only, so that a screen reader is told what is new only. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function press(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

export function showConversation(conversation) {
  const { state } = conversation;
  document.body.dataset.state = state.name;
  setText(parts.status, title(state, conversation.listening));
  const live = isLive(state);
  parts.start.hidden = state.name !== "ready";
  parts.interrupt.disabled = !live;
  parts.end.hidden = !live;
  for (const button of [parts.talk, parts.sample, parts.file]) {
    button.disabled = ["unsupported", "loading", "locked"].includes(state.name);
  }
  press(parts.talk, conversation.listening);
  setText(parts["talk-label"], conversation.listening ? "Stop talking" : "Talk");
  press(parts.sample, conversation.recording !== null);
  showCard(state);
  parts.notice.hidden = !conversation.notice;
  setText(parts.notice, conversation.notice);
  showDelay(conversation.delay);
}

/** The card over the picture: why there is none. */
function showCard(state) {
  const shown = isWaiting(state) || ["unsupported", "locked"].includes(state.name) || (state.name === "ready" && state.message);
  parts.card.hidden = !shown;
  if (!shown) return;
  setText(parts["card-title"], state.name === "ready" ? "The session has ended" : title(state, false));
  setText(parts["card-text"], state.message);
  parts.pass.hidden = state.name !== "locked";
  parts.retry.hidden = !isWaiting(state);
  parts.cancel.hidden = !isWaiting(state);
  showCountdown(state, performance.now());
}

function showDelay(delay) {
  const { server = null, seen = null } = delay ?? {};
  setText(parts["delay-seen"], duration(seen));
  setText(parts["delay-server"], duration(server));
  const whole = Math.max(SCALE_MS, server ?? 0, seen ?? 0);
  bar(parts["delay-bar"], "--server", (server ?? 0) / whole);
  bar(parts["delay-bar"], "--way", Math.max(0, (seen ?? 0) - (server ?? 0)) / whole);
}

/** What changes without an event: several times a second. */
export function showFigures(conversation, now) {
  const { state } = conversation;
  const live = isLive(state);
  const { ahead, dropped, total, stalls } = conversation.player.figures;
  setText(parts.buffer, live ? duration(1000 * ahead) : "–");
  bar(parts["buffer-bar"], "--server", live ? (1000 * ahead) / SCALE_MS : 0);
  setText(parts.frames, live ? `${dropped} of ${total}` : "–");
  setText(parts.stalls, live ? String(stalls) : "–");
  parts.talk.style.setProperty("--level", conversation.listening ? conversation.level.toFixed(2) : "0");
  parts.sample.style.setProperty("--progress", (conversation.recording?.progress ?? 0).toFixed(3));
  showCountdown(state, now);
}

function showCountdown(state, now) {
  const seconds = countdown(state, now);
  setText(parts.countdown, seconds === null ? "" : `Trying again in ${seconds} s`);
}

function duration(value) {
  if (value === null) return "–";
  return value < 1000 ? `${Math.round(value)} ms` : `${(value / 1000).toFixed(2)} s`;
}

function bar(element, name, share) {
  element.style.setProperty(name, Math.min(1, share).toFixed(3));
}
