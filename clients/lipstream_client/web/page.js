/** Connects the document to a conversation and to the server's avatars. */

import { NotReadyError, UnauthorizedError, listAvatars, uploadAvatar } from "./avatars.js";
import { Conversation } from "./conversation.js";
import { Gallery } from "./gallery.js";
import { readTokenAvatar, takeToken } from "./token.js";
import { elements, showConversation, showStatistics } from "./view.js";

const LOCKED = "This server requires a token. Whoever runs it can give you one.";
const REFRESH_MS = 100;
const SAMPLE = "/v1/sample";

const conversation = new Conversation(elements.video, showConversation, loadAvatars);
const gallery = new Gallery(elements.avatars, selectAvatar);

function selectAvatar(avatar) {
  elements.poster.src = avatar.preview;
  elements.poster.alt = avatar.name;
  conversation.selectAvatar(avatar.id);
}

/** Use a token: it starts sessions of its own avatar, so there is no choice. */
function useToken(token) {
  const avatar = readTokenAvatar(token);
  document.body.classList.toggle("guest", avatar !== null);
  if (avatar === null) return conversation.apply({ type: "locked", message: "This is not a token of this server." });
  Object.assign(conversation, { token, avatar });
  if (conversation.state.name !== "unsupported") conversation.apply({ type: "ended", message: "" });
}

/** Load the list of avatars, again and again until the server has it. */
async function loadAvatars() {
  if (conversation.token !== null) return;
  try {
    const avatars = await listAvatars();
    gallery.show(avatars, avatars[0].id);
    selectAvatar(avatars[0]);
    if (conversation.state.name === "loading") conversation.apply({ type: "ended", message: "" });
  } catch (error) {
    if (error instanceof UnauthorizedError) return conversation.apply({ type: "locked", message: LOCKED });
    if (!(error instanceof NotReadyError)) throw error;
    if (conversation.state.name !== "unsupported") conversation.apply({ type: "loading" });
    setTimeout(loadAvatars, error.seconds * 1000);
  }
}

async function uploadPortrait(file) {
  document.body.classList.add("uploading");
  elements.upload.disabled = true;
  conversation.showNotice(`Looking for the face in ${file.name} …`);
  try {
    const avatar = await uploadAvatar(file);
    gallery.add(avatar);
    conversation.showNotice(avatar.notes.join(". "));
  } catch (error) {
    conversation.showNotice(error.message);
  } finally {
    document.body.classList.remove("uploading");
    elements.upload.disabled = false;
  }
}

async function fetchSample() {
  const response = await fetch(SAMPLE);
  if (!response.ok) throw new Error("This server has no sample recording.");
  return response.blob();
}

/** Use a file as a portrait or a recording, by its declared type; the decoders find out what it really is. */
function openFile(file) {
  if (!file) return;
  if (file.type.startsWith("image/")) uploadPortrait(file);
  else conversation.playRecording(() => file);
}

/** Return the file of a file field, and empty the field, so that the same file can be selected again. */
function takeFile(input) {
  const [file] = input.files;
  input.value = "";
  return file;
}

function connectControls() {
  elements.start.addEventListener("click", () => conversation.start());
  elements.talk.addEventListener("click", () => conversation.toggleMicrophone());
  elements.sample.addEventListener("click", () =>
    conversation.recording ? conversation.stopSpeaking() : conversation.playRecording(fetchSample),
  );
  elements.file.addEventListener("click", () => elements.recording.click());
  elements.recording.addEventListener("change", () => openFile(takeFile(elements.recording)));
  elements.upload.addEventListener("click", () => elements.portrait.click());
  elements.portrait.addEventListener("change", () => {
    const file = takeFile(elements.portrait);
    if (file) uploadPortrait(file);
  });
  elements.interrupt.addEventListener("click", () => conversation.interrupt());
  elements.end.addEventListener("click", () => conversation.stop());
  elements.retry.addEventListener("click", () => conversation.retry());
  elements.cancel.addEventListener("click", () => conversation.stop());
  elements.pass.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = elements.token.value.trim();
    elements.token.value = "";
    useToken(token);
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") conversation.interrupt();
  });
  addEventListener("pagehide", () => conversation.client?.close());
}

function acceptDrops() {
  let depth = 0; // of the elements that a file is dragged over
  const changeDepth = (change) => (event) => {
    event.preventDefault();
    depth = Math.max(0, depth + change);
    document.body.classList.toggle("dropping", depth > 0);
  };
  addEventListener("dragenter", changeDepth(1));
  addEventListener("dragleave", changeDepth(-1));
  addEventListener("dragover", (event) => event.preventDefault());
  addEventListener("drop", (event) => {
    changeDepth(-depth)(event);
    openFile(event.dataTransfer.files[0]);
  });
}

connectControls();
acceptDrops();
setInterval(() => {
  conversation.expireNotice();
  showStatistics(conversation, performance.now());
}, REFRESH_MS);
showConversation(conversation);
addEventListener("hashchange", () => {
  const token = takeToken();
  if (token !== null) useToken(token);
});
const initialToken = takeToken();
if (initialToken === null) loadAvatars();
else useToken(initialToken);
