/** The server's avatars: which there are, and bringing one's own. */

const PATH = "/v1/avatars";
const MAX_BYTES = 16 * 2 ** 20;
const NAME_LENGTH = 80;

/** The server is not ready for this yet. seconds: when to ask again. */
export class LaterError extends Error {
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds;
  }
}

/** The server asks for a key, which a page has not. */
export class LockedError extends Error {}

/** All avatars, the default first: [{id, name, preview, bundled, notes}]. Throws LaterError while the server loads, LockedError. */
export async function listAvatars() {
  return (await ask(PATH)).avatars;
}

/** A picture file becomes an avatar, which is returned. Throws an Error whose message can be shown. */
export async function bringAvatar(file) {
  if (file.size > MAX_BYTES) throw new Error("Expected a picture of at most 16 MB. Save it smaller, as JPEG.");
  const name = nameOf(file.name);
  const query = name ? `?${new URLSearchParams({ name })}` : "";
  return ask(PATH + query, { method: "POST", body: file });
}

/** What an avatar is called: its file without the ending, "grandma" for grandma.jpg. */
export function nameOf(file) {
  return [...file.replace(/\.[^.]*$/, "").replace(/[_\s]+/g, " ").trim()].slice(0, NAME_LENGTH).join("");
}

async function ask(path, options) {
  const response = await fetch(path, options).catch(() => {
    throw new LaterError("The server does not answer.", 5);
  });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail ?? `The server answered ${response.status}.`;
  if (response.status === 503) throw new LaterError(message, Number(response.headers.get("Retry-After")) || 5);
  throw new (response.status === 401 ? LockedError : Error)(message);
}
