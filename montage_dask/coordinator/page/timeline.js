// The timeline below the film: a picture of every shot over the music, and edits of it. What is done is a list of small operations
// that lies in the browser's storage and that the coordinator replays: undo takes the last one away, a reload loses nothing.
import { get, post, Refused } from "./api.js";
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
const SVG = "http://www.w3.org/2000/svg";
const SLIDES = [-10, -1, 1, 10];
export const make = (name, text = "", more = {}) => Object.assign(document.createElement(name), { textContent: text, ...more });
export const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
export const file = (id, path) => `api/jobs/${id}/files/${path.split("/").map(encodeURIComponent).join("/")}`;
const key = (id) => `edits:${location.pathname}:${id}`;
let cut = null; // { id, key, ops, view, at, summary, sheet, fixed, complain }

export function close() {
  cut = null;
  $("cuts").hidden = true;
  for (const id of ["shots", "sound", "shot", "again"]) $(id).replaceChildren();
}

export async function open({ id, parent, after }, folder, files, complain) {
  const at = cut?.id === id ? cut.at : 0;
  const summary = await get(file(id, `${folder}summary.json`));
  const mine = cut = { id, key: key(id), ops: [], at, summary, complain, fixed: "" };
  if (files.includes(`${folder}contact_sheet.jpg`)) mine.sheet = file(id, `${folder}contact_sheet.jpg`);
  // What was done to the quick version is done to the whole one: the cuts are the same.
  if (after && !localStorage.getItem(mine.key)) localStorage.setItem(mine.key, localStorage.getItem(key(after)) ?? "[]");
  await replay();
  const encoded = (summary.operations ?? []).filter((o) => o.name === "encode");
  const [made, kept] = [encoded.reduce((n, o) => n + o.count, 0), Math.max(0, ...encoded.map((o) => o.reused))];
  if (cut === mine && parent && !after) $("again").textContent = say("madeAgain").replace("%1", made).replace("%2", made + kept);
}

async function replay() {
  const mine = cut;
  try {
    mine.ops = JSON.parse(localStorage.getItem(mine.key)) ?? [];
  } catch { /* of another version */ }
  try {
    mine.view = await view(mine.ops);
  } catch (error) {
    if (!(error instanceof Refused) || ![404, 409, 422].includes(error.status)) throw error;
    if (mine.ops.length) { // it was of another version: begin anew
      keep(mine, []);
      return replay();
    }
    mine.fixed = error.message;
    mine.view = seen(mine.summary);
  }
  if (cut === mine) draw();
  return undefined;
}

const view = (ops, event = null) => post(`api/jobs/${cut.id}/timeline`, { ops, event });

function seen(summary) { // what cannot be edited can still be looked at
  const shots = [summary.opening, ...summary.cuts];
  const ends = [...shots.slice(1).map((s) => s.time_seconds), summary.duration_seconds];
  return { fps: summary.fps, frames: summary.frames, events: shots.map((s, n) => ({
    clip: s.source.split("/").pop(), reason: s.reason, start_seconds: s.time_seconds, source_seconds: s.source_seconds,
    frames: Math.round((ends[n] - s.time_seconds) * summary.fps), held: false, was: n })) };
}

function keep(mine, ops) {
  mine.ops = ops;
  if (ops.length) localStorage.setItem(mine.key, JSON.stringify(ops));
  else localStorage.removeItem(mine.key);
}

// -- how it looks ---------------------------------------------------------------------------------------------------------------

function thumb(one) {
  const span = make("span", "", { className: "thumb" });
  const cell = cut.sheet && cut.summary.seen?.find((s) => s.event === one.was)?.cell;
  if (cell) {
    const [x, y, w, h] = cell;
    span.style.backgroundImage = `url("${cut.sheet}")`;
    span.style.backgroundSize = `${100 / w}% ${100 / h}%`;
    span.style.backgroundPosition = `${100 * x / (1 - w || 1)}% ${100 * y / (1 - h || 1)}%`;
  } else if (one.picture) span.style.backgroundImage = `url("api/jobs/${cut.id}/pictures/${one.picture}")`;
  return span;
}

export function draw() {
  if (!cut?.view) return;
  const { events, fps, frames } = cut.view, had = document.activeElement?.closest("#shots, #shot");
  const shortest = Math.min(...events.map((e) => e.frames)) / fps;
  const scale = Math.min(160, Math.max(24, 56 / shortest)); // pixels a second: a finger finds the shortest shot
  cut.at = Math.min(cut.at, events.length - 1);
  $("shots").replaceChildren(...events.map((one, n) => {
    const item = make("li"), button = make("button", "", { type: "button", draggable: !cut.fixed, tabIndex: n === cut.at ? 0 : -1 });
    item.style.width = `${one.frames / fps * scale}px`;
    const marks = [one.held && say("held"), one.was === null && say("changed")].filter(Boolean);
    button.append(thumb(one), make("span", marks.length ? "● " + clock(one.start_seconds) : clock(one.start_seconds)));
    button.setAttribute("aria-label", [`${n + 1}: ${clock(one.start_seconds)} ${one.clip}`, ...marks].join(", "));
    button.className = one.was === null ? "changed" : "";
    button.onclick = () => choose(n);
    button.ondragstart = (e) => e.dataTransfer.setData("text/x-shot", String(n));
    button.ondragover = (e) => { if (e.dataTransfer.types.includes("text/x-shot")) e.preventDefault(); };
    button.ondrop = (e) => {
      e.preventDefault();
      e.stopPropagation();
      const from = Number(e.dataTransfer.getData("text/x-shot"));
      if (from !== n) edit("move", from, n);
    };
    item.append(button);
    return item;
  }));
  sound(frames / fps, scale);
  mark();
  for (const id of ["undo", "render"]) $(id).hidden = Boolean(cut.fixed);
  for (const id of ["undo", "render"]) $(id).disabled = !cut.ops.length;
  $("cuts").hidden = false;
  if (had) $("shots").children[cut.at].firstChild.focus();
  tell();
}

function sound(seconds, scale) {
  const { heard } = cut.summary, svg = $("sound"), high = 48;
  svg.replaceChildren();
  svg.setAttribute("width", seconds * scale);
  if (!heard) return;
  const add = (name, attributes, text = "") => {
    const node = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    node.textContent = text;
    svg.append(node);
  };
  for (const s of heard.sections) {
    const [x, width] = [s.start_seconds * scale, (s.stop_seconds - s.start_seconds) * scale];
    add("rect", { x, width: Math.max(0, width - 1), y: 0, height: high, class: "section", "fill-opacity": 0.08 + 0.2 * s.energy });
    add("text", { x: x + 4, y: 12 }, say(`part_${s.label}`));
  }
  const wave = heard.waveform, step = seconds * scale / (wave.length || 1), middle = 30;
  if (wave.length) {
    const d = wave.map((v, n) => `M${(n * step).toFixed(1)} ${(middle - 17 * v).toFixed(1)}V${(middle + 17 * v).toFixed(1)}`).join("");
    add("path", { d, class: "wave", "stroke-width": Math.max(1, step * 0.8) });
  }
  for (const t of cut.summary.beats_seconds ?? []) add("line", { x1: t * scale, x2: t * scale, y1: 42, y2: high, class: "beat" });
  for (const t of heard.downbeats_seconds) add("line", { x1: t * scale, x2: t * scale, y1: 14, y2: high, class: "beat" });
}

export function mark(follow = false) { // the shot that is on screen
  if (!cut?.view) return;
  const now = $("film").currentTime + 0.02, at = cut.view.events.findLastIndex((e) => e.start_seconds <= now);
  [...$("shots").children].forEach((item, n) => {
    if (n === at && follow && item.firstChild.getAttribute("aria-current") !== "true") item.scrollIntoView({ block: "nearest", inline: "nearest" });
    item.firstChild.setAttribute("aria-current", String(n === at));
  });
}

// -- one shot -------------------------------------------------------------------------------------------------------------------

function choose(n, focus = false) {
  cut.at = n;
  [...$("shots").children].forEach((item, k) => { item.firstChild.tabIndex = k === n ? 0 : -1; });
  if (focus) $("shots").children[n].firstChild.focus();
  if (Number.isFinite($("film").duration)) $("film").currentTime = cut.view.events[n].start_seconds + 0.01;
  tell();
}

async function tell() {
  const mine = cut, n = cut.at, one = cut.view.events[n], last = cut.view.events.length - 1;
  const button = (word, act, more = {}) => make("button", say(word), { type: "button", onclick: act, ...more });
  const line = make("p", `${n + 1} · ${clock(one.start_seconds)} · ${one.clip} · ${clock(one.source_seconds)} · ${one.reason}`);
  if (cut.fixed) {
    $("shot").replaceChildren(line, make("p", cut.fixed, { className: "faint" }));
    return;
  }
  const verbs = make("p");
  const earlier = button("earlier", () => edit("move", n, n - 1), { disabled: !n });
  const later = button("later", () => edit("move", n, n + 1), { disabled: n === last });
  const steps = (op) => SLIDES.map((value) => {
    const made = make("button", `${value > 0 ? "+" : "−"}${Math.abs(value)}`, { type: "button", onclick: () => edit(op, n, value) });
    made.setAttribute("aria-label", say(op).replace("%", made.textContent));
    return made;
  });
  verbs.append(button("veto", () => edit("veto", n), { id: "veto" }), button("hold", () => edit("hold", n), { disabled: one.held }),
    earlier, later, make("span", say("frames")), ...steps("slide"));
  if (n < last) verbs.append(make("span", say("cutIn")), ...steps("trim"));
  const others = make("ul", "", { className: "others" });
  $("shot").replaceChildren(line, verbs, make("h3", say("instead")), others);
  try {
    const { alternatives } = await view(mine.ops, n);
    if (cut !== mine || mine.at !== n) return;
    others.append(...alternatives.map((other, value) => {
      const item = make("li"), made = make("button", "", { type: "button", onclick: () => edit("choose", n, value) });
      made.append(thumb(other), make("span", `${other.clip} ${clock(other.source_seconds)}`));
      item.append(made, make("span", other.reason, { className: "faint" }));
      return item;
    }));
    if (!alternatives.length) others.append(make("li", say("nothingElse")));
  } catch (error) {
    mine.complain(error);
  }
}

async function edit(op, event, value = 0) {
  const mine = cut, ops = [...cut.ops, { op, event, value }];
  try {
    const found = await view(ops);
    if (cut !== mine) return;
    keep(mine, ops);
    mine.view = found;
    if (op === "move") mine.at = value;
    mine.complain("");
    draw();
  } catch (error) {
    mine.complain(error);
  }
}

async function undo() {
  keep(cut, cut.ops.slice(0, -1));
  await replay().catch(cut.complain);
}

$("undo").onclick = undo;
$("render").onclick = async () => {
  const mine = cut, text = JSON.stringify([mine.id, mine.ops]);
  $("render").disabled = true;
  try {
    const sum = new Uint8Array(await crypto.subtle?.digest("SHA-256", new TextEncoder().encode(text)) ?? []);
    const key = sum.length ? { "Idempotency-Key": Array.from(sum, (b) => b.toString(16).padStart(2, "0")).join("") } : {};
    const job = await post(`api/jobs/${mine.id}/edit`, { ops: mine.ops }, key);
    keep(mine, []);
    location.hash = `job=${job.id}`;
  } catch (error) {
    mine.complain(error);
    $("render").disabled = false;
  }
};
$("shots").addEventListener("keydown", (e) => {
  if (!cut?.view || e.metaKey) return;
  const n = cut.at, step = { ArrowLeft: -1, ArrowRight: 1 }[e.key], to = n + step;
  const keys = { Delete: ["veto"], v: ["veto"], p: ["hold"], ",": ["slide", -1], ".": ["slide", 1], "[": ["trim", -1], "]": ["trim", 1] };
  if (step && to >= 0 && to < cut.view.events.length) {
    if (e.altKey && !cut.fixed) edit("move", n, to);
    else choose(to, true);
  } else if (e.key === "z" && e.ctrlKey && cut.ops.length) undo();
  else if (keys[e.key] && !cut.fixed && !e.ctrlKey && !e.altKey) edit(keys[e.key][0], n, keys[e.key][1]);
  else return;
  e.preventDefault();
});
addEventListener("storage", (e) => { if (cut && e.key === cut.key) replay().catch(cut.complain); }); // another tab edits it, too
