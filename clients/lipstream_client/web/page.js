/** Ties the document to a conversation and to the server's avatars. */

import { LaterError, LockedError, bringAvatar, listAvatars } from "./avatars.js";
import { Conversation } from "./conversation.js";
import { Gallery } from "./gallery.js";
import { avatarOf, takeToken } from "./token.js";
import { parts, showConversation, showFigures } from "./view.js";

const LOCKED = "This server is not for everybody. Whoever runs it can give you a token.";
const TICK_MS = 100;
const SAMPLE = "/v1/sample";

const conversation = new Conversation(parts.video, showConversation, load);
const gallery = new Gallery(parts.avatars, choose);

function choose(avatar) {
  parts.poster.src = avatar.preview;
  parts.poster.alt = avatar.name;
  conversation.choose(avatar.id);
}

/** A token opens sessions of its avatar; there is no choice then. */
function unlock(token) {
  const avatar = avatarOf(token);
  document.body.classList.toggle("guest", avatar !== null);
  if (avatar === null) return conversation.apply({ type: "locked", message: "This is no token of this server." });
  Object.assign(conversation, { token, avatar });
  if (conversation.state.name !== "unsupported") conversation.apply({ type: "ended", message: "" });
}

/** The list, asked for until it is there. */
async function load() {
  if (conversation.token !== null) return;
  try {
    const avatars = await listAvatars();
    gallery.show(avatars, avatars[0].id);
    choose(avatars[0]);
    if (conversation.state.name === "loading") conversation.apply({ type: "ended", message: "" });
  } catch (error) {
    if (error instanceof LockedError) return conversation.apply({ type: "locked", message: LOCKED });
    if (!(error instanceof LaterError)) throw error;
    if (conversation.state.name !== "unsupported") conversation.apply({ type: "loading" });
    setTimeout(load, error.seconds * 1000);
  }
}

async function bring(file) {
  document.body.classList.add("uploading");
  parts.upload.disabled = true;
  conversation.say(`Looking for the face in ${file.name} …`);
  try {
    const avatar = await bringAvatar(file);
    gallery.add(avatar);
    conversation.say(avatar.notes.join(". "));
  } catch (error) {
    conversation.say(error.message);
  } finally {
    document.body.classList.remove("uploading");
    parts.upload.disabled = false;
  }
}

async function fetchSample() {
  const response = await fetch(SAMPLE);
  if (!response.ok) throw new Error("This server has no sample recording.");
  return response.blob();
}

/** A portrait or a recording, whichever the file says it is; what it really is the decoders find out. */
function take(file) {
  if (!file) return;
  if (file.type.startsWith("image/")) bring(file);
  else conversation.play(() => file);
}

/** The file of a file field, which is emptied so that the same one can be chosen again. */
function chosenFile(input) {
  const [file] = input.files;
  input.value = "";
  return file;
}

function listen() {
  parts.start.addEventListener("click", () => conversation.start());
  parts.talk.addEventListener("click", () => conversation.toggleMicrophone());
  parts.sample.addEventListener("click", () =>
    conversation.recording ? conversation.quiet() : conversation.play(fetchSample),
  );
  parts.file.addEventListener("click", () => parts.recording.click());
  parts.recording.addEventListener("change", () => take(chosenFile(parts.recording)));
  parts.upload.addEventListener("click", () => parts.portrait.click());
  parts.portrait.addEventListener("change", () => {
    const file = chosenFile(parts.portrait);
    if (file) bring(file);
  });
  parts.interrupt.addEventListener("click", () => conversation.interrupt());
  parts.end.addEventListener("click", () => conversation.stop());
  parts.retry.addEventListener("click", () => conversation.retry());
  parts.cancel.addEventListener("click", () => conversation.stop());
  parts.pass.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = parts.token.value.trim();
    parts.token.value = "";
    unlock(token);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") conversation.interrupt();
  });
  addEventListener("pagehide", () => conversation.client?.close());
}

function acceptDrops() {
  let depth = 0; // of the elements that a file is dragged over
  const hover = (change) => (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  addEventListener("dragenter", hover(1));
  addEventListener("dragleave", hover(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    hover(-depth)(event);
    take(event.dataTransfer.files[0]);
  });
}

listen();
acceptDrops();
setInterval(() => {
  conversation.tick();
  showFigures(conversation, performance.now());
}, TICK_MS);
showConversation(conversation);
addEventListener("hashchange", () => {
  const token = takeToken();
  if (token !== null) unlock(token);
});
const given = takeToken();
if (given === null) load();
else unlock(given);
