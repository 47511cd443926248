// Requests to the API, relative to the page: a proxy may show it below a path.
export class Refused extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

let csrf = "";
export const forge = (word) => { csrf = word; };

export async function call(method, path, body, headers = {}) {
  const options = { method, headers: { "X-CSRF-Token": csrf, ...headers }, credentials: "same-origin" };
  if (body instanceof Blob) options.body = body;
  else if (body !== undefined) {
    options.body = JSON.stringify(body);
    options.headers["Content-Type"] = "application/json";
  }
  let answer;
  try {
    answer = await fetch(path, options);
  } catch {
    throw new Refused("", 0); // the line
  }
  if (answer.ok) return answer;
  let text = answer.statusText;
  try {
    const { detail } = await answer.json();
    text = typeof detail === "string" ? detail : detail.map((d) => d.msg).join("; ");
  } catch { /* no JSON: the status has to do */ }
  throw new Refused(text, answer.status);
}

export const get = async (path) => (await call("GET", path)).json();
export const post = async (path, body, headers) => (await call("POST", path, body, headers)).json();
export const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));
