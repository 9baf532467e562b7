/** A session token: a JSON Web Token, which a page gets instead of an API key. Only the server checks its signature. */

const TOKEN = /^[A-Za-z0-9_-]+\.([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+$/;

/** The avatar that a token is for, or null for a text that is no token. */
export function avatarOf(text) {
  try {
    const said = TOKEN.exec(text)[1].replaceAll("-", "+").replaceAll("_", "/");
    const { avatar } = JSON.parse(new TextDecoder().decode(Uint8Array.from(atob(said), (each) => each.charCodeAt(0))));
    return typeof avatar === "string" ? avatar : null;
  } catch {
    return null;
  }
}

/** The token of an address that ends in `#token=...`; it is taken away, so that nobody copies it with the address. */
export function takeToken() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (token !== null) history.replaceState(null, "", location.pathname + location.search);
  return token;
}
