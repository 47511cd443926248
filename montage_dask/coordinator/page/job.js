// One job by its address: how far it is, its film, the shots below it, what can be downloaded.
import { call, get, post, Refused, pause } from "./api.js";
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
export const make = (name, text = "", more = {}) => Object.assign(document.createElement(name), { textContent: text, ...more });
const DOWNLOADS = { "timeline.otio": "OTIO", "timeline.edl": "EDL", "timeline.fcpxml": "FCPXML", "timeline.xml": "Premiere XML", "report.html": "report" };
const VERBS = { waiting: ["pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"], partly: ["retry"], failed: ["retry"], cancelled: ["retry"] };
const DONE = ["finished", "partly"];
let shown = null; // { id, stream, filled, job }
let complain = () => {};

export const clock = (seconds) => `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, "0")}`;
const file = (id, path) => `api/jobs/${id}/files/${path.split("/").map(encodeURIComponent).join("/")}`;

export function close() {
  shown?.stream?.close();
  shown = null;
  const film = $("film");
  film.pause();
  film.removeAttribute("src");
  film.load();
  for (const id of ["film", "cuts", "gets", "how"]) $(id).hidden = true;
  for (const id of ["title", "state", "reason", "verbs"]) $(id).replaceChildren(); // nothing of another job
  $("state").className = "state";
  delete $("verbs").dataset.for;
}

export async function open(id, tell) {
  close();
  complain = tell;
  const mine = shown = { id, stream: null, filled: false, job: null };
  while (shown === mine) {
    try {
      await look(mine);
      return listen(mine);
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      complain(error.status === 404 ? say("gone") : error);
      if (error.status !== 0 && error.status < 500) return undefined;
      await pause(2);
    }
  }
  return undefined;
}

async function look(mine) {
  const job = await get(`api/jobs/${encodeURIComponent(mine.id)}`);
  if (shown !== mine) return;
  mine.job = job;
  draw(job);
  if (DONE.includes(job.state) && !mine.filled) await fill(mine);
}

export function redraw() {
  if (shown?.job) {
    draw(shown.job);
    if (shown.filled) fill(shown);
  }
}

function listen(mine) {
  mine.stream?.close();
  const stream = mine.stream = new EventSource(`api/jobs/${encodeURIComponent(mine.id)}/events`);
  stream.addEventListener("progress", (e) => { mine.job.progress = JSON.parse(e.data); draw(mine.job); });
  stream.addEventListener("state", () => look(mine).catch(complain));
  stream.addEventListener("end", () => { stream.close(); look(mine).catch(complain); });
  stream.addEventListener("open", () => complain(""));
  stream.addEventListener("error", async () => {
    if (shown !== mine || stream !== mine.stream) return;
    if (stream.readyState === EventSource.CLOSED) { // it gave up, or there was an answer that ends it
      await pause(2);
      if (shown === mine && stream === mine.stream) open(mine.id, complain);
    }
  });
}

function draw(job) {
  $("title").textContent = job.title;
  document.title = `${job.title} · montage`;
  const state = $("state");
  state.textContent = say(job.state);
  state.className = `state ${job.state}`;
  $("reason").textContent = job.reason ?? "";
  const told = job.progress ?? {}, bar = $("bar");
  $("how").hidden = !["running", "cancelling"].includes(job.state);
  if (told.total) { bar.max = told.total; bar.value = told.done; } else bar.removeAttribute("value");
  const left = told.eta_seconds ? `, ${clock(told.eta_seconds)} ${say("left")}` : "";
  $("stage").textContent = told.stage ? `${told.stage}: ${told.done ?? 0}/${told.total ?? "?"} ${told.unit ?? ""}${left}` : say("starting");
  const verbs = VERBS[job.state] ?? [];
  if ($("verbs").dataset.for !== verbs.map(say).join()) {
    $("verbs").dataset.for = verbs.map(say).join();
    $("verbs").replaceChildren(...verbs.map((verb) => make("button", say(verb), { type: "button", onclick: () => act(job.id, verb) })));
  }
}

async function act(id, verb) {
  try {
    await post(`api/jobs/${id}/${verb}`);
    await open(id, complain);
  } catch (error) {
    complain(error);
  }
}

async function fill(mine) {
  const { id } = mine;
  const files = (await get(`api/jobs/${id}/files`)).map((f) => f.path);
  if (shown !== mine) return;
  const films = files.filter((f) => !f.includes("/") && f.endsWith(".mp4"));
  mine.filled = true;
  const film = $("film");
  if (films.length) {
    if (!film.src) film.src = file(id, films[0]);
    film.hidden = false;
    film.onerror = () => { if (film.hasAttribute("src")) complain(say("cannotPlay")); };
  }
  const folder = films.length ? `${films[0].slice(0, -4)}.montage/` : "montage.montage/";
  const links = films.map((f) => link(id, f, "MP4" + (films.length > 1 ? ` ${f}` : "")));
  for (const [name, word] of Object.entries(DOWNLOADS)) if (files.includes(folder + name)) links.push(link(id, folder + name, say(word)));
  if (files.includes(`${folder}timeline.otio`)) {
    const bundle = make("button", say("bundle"), { type: "button", id: "bundle" });
    bundle.onclick = async () => {
      bundle.disabled = true;
      try {
        const { path } = await post(`api/jobs/${id}/otioz`);
        const made = link(id, path, "otioz");
        bundle.replaceWith(made);
        made.click();
      } catch (error) {
        complain(error);
        bundle.disabled = false;
      }
    };
    links.push(bundle);
  }
  links.push(make("a", say("log"), { href: `api/jobs/${id}/log` }));
  $("links").replaceChildren(...links);
  $("gets").hidden = false;
  if (files.includes(`${folder}summary.json`)) await strip(mine, folder, files);
}

function link(id, path, word) {
  const made = make("a", word, { href: file(id, path) });
  if (path.endsWith(".html")) made.target = "_blank";
  else made.download = path.split("/").pop();
  return made;
}

async function strip(mine, folder, files) {
  const summary = await get(file(mine.id, `${folder}summary.json`));
  if (shown !== mine) return;
  const shots = [summary.opening, ...summary.cuts];
  const cells = new Map((summary.seen ?? []).map((one) => [one.event, one.cell]));
  const sheet = new Image();
  const buttons = shots.map((shot, number) => {
    const button = make("button", "", { type: "button" });
    const name = shot.source.split("/").pop();
    button.append(make("canvas"), make("span", `${clock(shot.time_seconds)}`));
    button.setAttribute("aria-label", `${number + 1}: ${clock(shot.time_seconds)} ${name}`);
    button.setAttribute("aria-pressed", "false");
    button.onclick = () => choose(mine, shots, number);
    return button;
  });
  sheet.onload = () => buttons.forEach((button, number) => {
    const canvas = button.firstChild, cell = cells.get(number);
    if (!cell) return;
    const [x, y, w, h] = cell.map((v, i) => v * (i % 2 ? sheet.naturalHeight : sheet.naturalWidth));
    [canvas.width, canvas.height] = [Math.round(w), Math.round(h)];
    canvas.getContext("2d").drawImage(sheet, x, y, w, h, 0, 0, canvas.width, canvas.height);
  });
  if (files.includes(`${folder}contact_sheet.jpg`)) sheet.src = file(mine.id, `${folder}contact_sheet.jpg`);
  $("shots").replaceChildren(...buttons.map((b) => { const item = make("li"); item.append(b); return item; }));
  $("shot").replaceChildren();
  $("cuts").hidden = false;
  const times = shots.map((s) => s.time_seconds);
  $("film").ontimeupdate = () => {
    const at = times.findLastIndex((t) => t <= $("film").currentTime + 0.02);
    buttons.forEach((b, n) => b.setAttribute("aria-pressed", String(n === at)));
  };
}

function choose(mine, shots, number) {
  const shot = shots[number], name = shot.source.split("/").pop();
  $("film").currentTime = shot.time_seconds + 0.01;
  const without = make("button", say("without"), { type: "button", id: "without" });
  without.onclick = async () => {
    const { footage, music, "from-timeline": _, ...options } = mine.job.request;
    const next = shots[number + 1]?.time_seconds ?? shot.time_seconds + 0.2;
    const middle = shot.source_seconds + (next - shot.time_seconds) / 2;
    options.exclude = [...(options.exclude ?? []), `${name}@${middle.toFixed(2)}`];
    without.disabled = true;
    try {
      const job = await post("api/jobs", { footage, music, options, parent: mine.id, title: mine.job.title });
      location.hash = `job=${job.id}`;
    } catch (error) {
      complain(error);
      without.disabled = false;
    }
  };
  $("shot").replaceChildren(make("span", `${clock(shot.time_seconds)} · ${name} · ${shot.reason} `), ...(mine.job.request.footage ? [without] : []));
}
