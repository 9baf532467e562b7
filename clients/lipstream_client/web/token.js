/** A session token: a JSON Web Token, which a page gets instead of an API key. Only the server checks its signature. */

const TOKEN = /^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/;

/** Return the avatar that a token is for, or null if the text is not a token. */
export function readTokenAvatar(text) {
  try {
    const payload = TOKEN.exec(text)[1].replaceAll("-", "+").replaceAll("_", "/");
    const bytes = Uint8Array.from(atob(payload), (character) => character.charCodeAt(0));
    const { avatar } = JSON.parse(new TextDecoder().decode(bytes));
    return typeof avatar === "string" ? avatar : null;
  } catch {
    return null;
  }
}

/** Return the token of an address that ends in `#token=...`, and remove it there, so that nobody copies it with the address. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) history.replaceState(null, "", location.pathname + location.search);
  return token;
}
