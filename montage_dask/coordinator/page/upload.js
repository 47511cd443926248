// The draft of a job: its files, on their way or there, and its fields. It lives in the browser's storage, so that a reload loses
// nothing; a file that was cut off goes on where it stood once it is chosen again, for a browser gives no page a file by itself.
import { call, pause, Refused } from "./api.js";

const PIECE_BYTES = 8 * 2 ** 20;
let key = "draft";
export let draft = { files: [], fields: {}, sent: "" };
const running = new Set();

export function open(user) {
  key = `draft:${location.pathname}:${user}`;
  try {
    draft = { files: [], fields: {}, sent: "", ...JSON.parse(localStorage.getItem(key)) };
  } catch { /* of another version */ }
}

export function keep(changed = true) {
  if (changed) draft.sent = ""; // another job, another key
  localStorage.setItem(key, JSON.stringify(draft));
}

export function clear() {
  draft = { files: [], fields: {}, sent: "" };
  keep();
}

export function idempotencyKey() {
  if (!draft.sent) {
    draft.sent = Array.from(crypto.getRandomValues(new Uint8Array(16)), (b) => b.toString(16).padStart(2, "0")).join("");
    keep(false);
  }
  return draft.sent;
}

export function add(file, kind, told) {
  const same = (f) => f.name === file.name && f.size === file.size && f.modified === file.lastModified;
  let entry = draft.files.find(same);
  if (!entry) {
    if (kind === "track") for (const old of draft.files.filter((f) => f.kind === "track")) remove(old);
    entry = { name: file.name, size: file.size, modified: file.lastModified, kind, offset: 0 };
    draft.files.push(entry);
    keep();
    measure(file, entry).then(told);
  }
  told();
  if (!entry.path && !running.has(entry)) send(file, entry, told);
}

// What the browser itself can tell of a file, before any of it is sent.
function measure(file, entry) {
  return new Promise((done) => {
    const url = URL.createObjectURL(file), video = document.createElement("video");
    const end = () => { URL.revokeObjectURL(url); done(); };
    video.preload = "metadata";
    video.onerror = end;
    video.onloadedmetadata = () => {
      if (Number.isFinite(video.duration)) Object.assign(entry, { seconds: video.duration, width: video.videoWidth, height: video.videoHeight });
      keep(false);
      end();
    };
    video.src = url;
  });
}

export function remove(entry) {
  draft.files = draft.files.filter((f) => f !== entry);
  keep();
  if (entry.id) call("DELETE", entry.id).catch(() => {});
}

export const going = (entry) => running.has(entry);

const base64 = (text) => btoa(String.fromCharCode(...new TextEncoder().encode(text)));

function note(entry, answer) {
  entry.offset = Number(answer.headers.get("Upload-Offset"));
  const path = answer.headers.get("Upload-Path");
  if (path) entry.path = decodeURIComponent(path);
  keep();
}

async function send(file, entry, told) {
  running.add(entry);
  delete entry.error;
  let failed = 0;
  while (!entry.path && draft.files.includes(entry)) {
    try {
      if (!entry.id) {
        const named = `filename ${base64(file.name)}`;
        const made = await call("POST", "api/uploads", undefined, { "Upload-Length": String(file.size), "Upload-Metadata": named });
        entry.id = `api/uploads/${made.headers.get("Location").split("/").pop()}`;
        note(entry, made);
      } else if (failed || entry.fresh === undefined) {
        note(entry, await call("HEAD", entry.id));
      }
      Object.defineProperty(entry, "fresh", { value: true, enumerable: false, configurable: true });
      if (!entry.path) {
        const piece = file.slice(entry.offset, entry.offset + PIECE_BYTES);
        const headers = { "Upload-Offset": String(entry.offset), "Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0" };
        note(entry, await call("PATCH", entry.id, piece, headers));
      }
      failed = 0;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.status === 404 && entry.id) {
        delete entry.id; // it expired
        entry.offset = 0;
      } else if (![0, 409, 423, 502, 503].includes(error.status)) {
        entry.error = error.message;
        break;
      }
      failed += 1;
      told();
      await pause(Math.min(0.5 * 2 ** failed, 15));
    }
    told();
  }
  running.delete(entry);
  told();
}
