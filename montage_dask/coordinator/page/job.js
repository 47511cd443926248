// One job by its address: how far it is, its film, the shots below it, what can be downloaded.
import { call, get, post, Refused, pause } from "./api.js";
import * as timeline from "./timeline.js";
import { clock, file, make } from "./timeline.js";
import { say } from "./words.js";

const $ = (id) => document.getElementById(id);
const DOWNLOADS = { "timeline.otio": "OTIO", "timeline.edl": "EDL", "timeline.fcpxml": "FCPXML", "timeline.xml": "Premiere XML", "report.html": "report" };
const VERBS = { waiting: ["pause", "cancel"], running: ["pause", "cancel"], paused: ["resume", "cancel"], partly: ["retry"], failed: ["retry"], cancelled: ["retry"] };
const DONE = ["finished", "partly"];
let shown = null; // { id, stream, filled, job }
let complain = () => {};

export function close() {
  shown?.stream?.close();
  shown = null;
  const film = $("film");
  film.pause();
  film.removeAttribute("src");
  film.load();
  if ($("compare").getAttribute("aria-pressed") === "true") $("compare").click();
  $("before").removeAttribute("src");
  timeline.close();
  for (const id of ["film", "gets", "how", "versions"]) $(id).hidden = true;
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
      return shown === mine ? listen(mine) : undefined;
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
  await others(mine);
  if (shown === mine && DONE.includes(job.state) && !mine.filled) await fill(mine);
}

// A quick version and the whole one name each other.
async function others(mine) {
  const { jobs } = await get("api/jobs");
  const full = jobs.find((j) => j.after === mine.id), other = full?.id ?? mine.job.after;
  if (shown !== mine) return;
  $("other").hidden = !other;
  if (!other) return;
  $("other").firstElementChild.textContent = say(full ? "isQuick" : "hasQuick");
  Object.assign($("other").lastElementChild, { href: `#job=${other}`, textContent: full ? `${say("full")}: ${say(full.state)}` : say("watch") });
}

export function redraw() {
  if (shown?.job) {
    draw(shown.job);
    others(shown).catch(complain);
    if (shown.filled) fill(shown).catch(complain);
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
    if (shown?.id === id) await open(id, complain);
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
    film.ontimeupdate = () => timeline.mark(!film.paused);
    film.onerror = () => { if (film.hasAttribute("src")) complain(say("cannotPlay")); };
  }
  const folder = (files.find((f) => f.endsWith("/summary.json")) ?? "montage.montage/").replace("summary.json", "");
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
  if (files.includes(`${folder}summary.json`)) await timeline.open(mine.job, folder, files, complain);
  if (shown === mine && mine.job.parent && films.length) await compare(mine);
}

function link(id, path, word) {
  const made = make("a", word, { href: file(id, path) });
  if (path.endsWith(".html")) made.target = "_blank";
  else made.download = path.split("/").pop();
  return made;
}

// The version before, beside this one: it does what this one does, without a sound.
async function compare(mine) {
  const { parent } = mine.job;
  const films = await get(`api/jobs/${parent}/files`).catch(() => []);
  const older = films.find((f) => !f.path.includes("/") && f.path.endsWith(".mp4"));
  if (shown !== mine || !older) return;
  $("versions").hidden = false;
  $("compare").onclick = () => {
    const film = $("film"), before = $("before"), on = $("compare").getAttribute("aria-pressed") !== "true";
    $("compare").setAttribute("aria-pressed", String(on));
    $("side").classList.toggle("two", on);
    $("older").hidden = !on;
    if (!on) return before.pause();
    if (!before.getAttribute("src")) before.src = file(parent, older.path);
    before.muted = true;
    const follow = () => { if (!before.seeking && Math.abs(before.currentTime - film.currentTime) > 0.12) before.currentTime = film.currentTime; };
    film.onplay = () => { follow(); if (!$("older").hidden) before.play().catch(() => {}); };
    film.onpause = () => { before.pause(); follow(); };
    film.onseeked = film.onratechange = () => { before.playbackRate = film.playbackRate; follow(); };
    before.ontimeupdate = () => { if (!film.paused) follow(); };
    follow();
    return film.paused ? undefined : film.onplay();
  };
}
