/** Shows a conversation in the document. All texts are set as text, whatever their origin. */

import { countdown, isLive, isWaiting, stateTitle } from "./state.js";

const SCALE_MS = 1500; // the full width of a bar, unless a latency is longer

export const elements = Object.fromEntries(
  [...document.querySelectorAll("[id]")].map((element) => [element.id, element]),
);

/** Set a text only if it differs, so that a screen reader announces changes only. */
function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setPressed(button, pressed) {
  button.setAttribute("aria-pressed", String(pressed));
}

export function showConversation(conversation) {
  const { state } = conversation;
  document.body.dataset.state = state.name;
  setText(elements.status, stateTitle(state, conversation.listening));
  const live = isLive(state);
  elements.start.hidden = state.name !== "ready";
  elements.interrupt.disabled = !live;
  elements.end.hidden = !live;
  for (const button of [elements.talk, elements.sample, elements.file]) {
    button.disabled = ["unsupported", "loading", "locked"].includes(state.name);
  }
  setPressed(elements.talk, conversation.listening);
  setText(elements["talk-label"], conversation.listening ? "Stop talking" : "Talk");
  setPressed(elements.sample, conversation.recording !== null);
  showCard(state);
  elements.notice.hidden = !conversation.notice;
  setText(elements.notice, conversation.notice);
  showLatency(conversation.latency);
}

/** The card over the video: why there is none. */
function showCard(state) {
  const ended = state.name === "ready" && state.message;
  const shown = isWaiting(state) || ["unsupported", "locked"].includes(state.name) || ended;
  elements.card.hidden = !shown;
  if (!shown) return;
  setText(elements["card-title"], ended ? "The session has ended" : stateTitle(state, false));
  setText(elements["card-text"], state.message);
  elements.pass.hidden = state.name !== "locked";
  elements.retry.hidden = !isWaiting(state);
  elements.cancel.hidden = !isWaiting(state);
  showCountdown(state, performance.now());
}

function showLatency(latency) {
  const { server = null, total = null } = latency ?? {};
  setText(elements["latency-total"], formatDuration(total));
  setText(elements["latency-server"], formatDuration(server));
  const scale = Math.max(SCALE_MS, server ?? 0, total ?? 0);
  setBar(elements["latency-bar"], "--server", (server ?? 0) / scale);
  setBar(elements["latency-bar"], "--network", Math.max(0, (total ?? 0) - (server ?? 0)) / scale);
}

/** Show what changes without an event. To be called several times a second. */
export function showStatistics(conversation, now) {
  const { state } = conversation;
  const live = isLive(state);
  const { buffered, dropped, total, stalls } = conversation.player.statistics;
  setText(elements.buffer, live ? formatDuration(1000 * buffered) : "–");
  setBar(elements["buffer-bar"], "--server", live ? (1000 * buffered) / SCALE_MS : 0);
  setText(elements.frames, live ? `${dropped} of ${total}` : "–");
  setText(elements.stalls, live ? String(stalls) : "–");
  elements.talk.style.setProperty("--level", conversation.listening ? conversation.level.toFixed(2) : "0");
  elements.sample.style.setProperty("--progress", (conversation.recording?.progress ?? 0).toFixed(3));
  showCountdown(state, now);
}

function showCountdown(state, now) {
  const seconds = countdown(state, now);
  setText(elements.countdown, seconds === null ? "" : `Trying again in ${seconds} s`);
}

function formatDuration(milliseconds) {
  if (milliseconds === null) return "–";
  return milliseconds < 1000 ? `${Math.round(milliseconds)} ms` : `${(milliseconds / 1000).toFixed(2)} s`;
}

function setBar(element, name, share) {
  element.style.setProperty(name, Math.min(1, share).toFixed(3));
}
