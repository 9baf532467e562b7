/** The server's avatars: listing them, and uploading a portrait. */

const PATH = "/v1/avatars";
const MAX_BYTES = 16 * 2 ** 20;
const MAX_NAME_LENGTH = 80;

/** The server cannot answer yet. seconds: when to ask again. */
export class NotReadyError extends Error {
  constructor(message, seconds) {
    super(message);
    this.seconds = seconds;
  }
}

/** The server requires an API key, which a page does not have. */
export class UnauthorizedError extends Error {}

/**
 * Return all avatars, the default first: [{id, name, preview, bundled, notes}].
 * Throws NotReadyError while the server loads, and UnauthorizedError.
 */
export async function listAvatars() {
  return (await request(PATH)).avatars;
}

/** Upload an image file and return its avatar. Throws an Error whose message can be shown. */
export async function uploadAvatar(file) {
  if (file.size > MAX_BYTES) throw new Error("Expected an image of at most 16 MB. Save it smaller, as JPEG.");
  const name = avatarName(file.name);
  const query = name ? `?${new URLSearchParams({ name })}` : "";
  return request(PATH + query, { method: "POST", body: file });
}

/** Return the name for an avatar from its file name: "grandma" for grandma.jpg. */
export function avatarName(file) {
  return [...file.replace(/\.[^.]*$/, "").replace(/[_\s]+/g, " ").trim()].slice(0, MAX_NAME_LENGTH).join("");
}

async function request(path, options) {
  const response = await fetch(path, options).catch(() => {
    throw new NotReadyError("The server does not answer.", 5);
  });
  if (response.ok) return response.json();
  const problem = await response.json().catch(() => ({}));
  const message = problem.detail ?? `The server answered ${response.status}.`;
  if (response.status === 503) throw new NotReadyError(message, Number(response.headers.get("Retry-After")) || 5);
  throw new (response.status === 401 ? UnauthorizedError : Error)(message);
}
