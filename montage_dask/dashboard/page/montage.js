"use strict";
// Follows the board of one job: asks for what changed, and draws only that. Everything from outside becomes text, never markup.
const EVERY = 1000, HIDDEN = 5000, LOST = 10000;
let epoch = "", revision = 0, job = null, failures = 0, drawn = "", timer = 0, asked = 0;
let items = new Map();

const at = id => document.getElementById(id);
const text = (parent, value, kind) => {
  const made = document.createElement(kind);
  made.textContent = value;
  parent.append(made);
  return made;
};
const wanted = () => new URLSearchParams(location.hash.slice(1)).get("job");
const of = kind => [...items].filter(([key]) => key.split("/")[0] === kind).map(([, value]) => value);
const number = (value, digits = 0) => value.toLocaleString("en", {minimumFractionDigits: digits, maximumFractionDigits: digits});

function lasting(seconds) {
  if (seconds < 60) return `${number(seconds, seconds < 10 ? 1 : 0)} s`;
  const whole = Math.round(seconds), minutes = Math.floor(whole / 60), two = n => String(n).padStart(2, "0");
  return minutes < 60 ? `${minutes}:${two(whole % 60)} min` : `${Math.floor(minutes / 60)}:${two(minutes % 60)} h`;
}

// What did not change is left alone: nobody loses the place that is read or focused.
const before = new Map();
function same(name, value) {
  const now = JSON.stringify(value), as = before.get(name) === now;
  before.set(name, now);
  return as;
}

function facts(list, pairs) {
  list.replaceChildren();
  for (const [value, name, kind] of pairs) {
    const one = text(list, "", "li");
    text(one, value, "b").className = kind || "";
    text(one, name, "span");
  }
}

function rows(section, lines) {
  const body = at(section).querySelector("tbody");
  body.replaceChildren();
  for (const cells of lines) {
    const row = body.insertRow();
    for (const cell of cells) {
      const made = row.insertCell();
      if (cell instanceof Node) made.append(cell);
      else if (Array.isArray(cell)) { made.textContent = cell[0]; made.className = "n"; }
      else made.textContent = cell;
    }
  }
  return body;
}

function list(section, title, lines, more) {
  const place = at(section);
  place.hidden = !lines.length;
  if (title) place.querySelector("h2").textContent = title;
  const into = place.querySelector("ul");
  into.replaceChildren();
  for (const [name, rest] of lines) {
    const line = text(into, "", "li");
    if (name) text(line, name, "b");
    line.append(name ? `: ${rest}` : rest);
  }
  if (more > 0) text(into, `and ${number(more)} more`, "li");
}

function head(view) {
  const told = items.get("job") || {};
  at("title").textContent = told.title || "";
  document.title = `${told.title || "montage"} – ${view.state}`;
  const took = (told.ended_at || view.now) - told.started_at;
  const stages = of("stage"), total = stages.reduce((sum, s) => sum + s.total, 0);
  const done = stages.reduce((sum, s) => sum + s.done, 0);
  facts(at("facts"), [
    [view.state, told.kind || "", `state ${view.state}`],
    [lasting(Math.max(0, took)), view.state === "running" ? "so far" : "took"],
    ...(total ? [[`${number(done)} of ${number(total)}`, "steps known so far"]] : []),
    ...(told.left ? [[number(told.left), "skipped"]] : []),
    ...(told.moved ? [[number(told.moved), "fallbacks"]] : []),
  ]);
  at("error").textContent = told.error || (view.state === "stopped" ? "Its client is gone. What is done is kept; run the same command to go on." : "");
  at("job").classList.toggle("bad", view.state === "failed" || view.state === "stopped");
}

function stages(now) {
  const all = of("stage").sort((a, b) => a.order - b.order);
  at("stages").hidden = !all.length;
  rows("stages", all.map(stage => {
    const bar = document.createElement("progress");
    bar.max = Math.max(1, stage.total);
    bar.value = stage.total ? stage.done : 1;
    bar.setAttribute("aria-label", stage.name);
    return [
      stage.name, bar, [`${number(stage.done)} / ${number(stage.total)} ${stage.unit}`],
      [stage.speed === null ? "" : `${number(stage.speed, 1)}×`], [lasting(stage.done < stage.total && now ? Math.max(0, now - stage.began) : stage.seconds)],
      [stage.eta_seconds === null ? "" : `about ${lasting(stage.eta_seconds)}`],
    ];
  }));
}

function places() {
  const counts = of("count");
  const count = (place, outcome) => counts.filter(c => c.operation === place.operation && c.target === place.target && c.outcome === outcome);
  const sum = (found, name) => found.reduce((total, c) => total + c[name], 0);
  const all = of("place");
  // What was reused had no need of a place.
  for (const c of counts) {
    if (!all.some(p => p.operation === c.operation && p.target === c.target))
      all.push({operation: c.operation, target: c.target, reason: c.outcome === "reused" ? "taken from the store" : ""});
  }
  at("places").hidden = !all.length;
  rows("places", all.map(place => [
    place.operation, place.target.toUpperCase(),
    ...["done", "reused", "failed", "moved"].map(outcome => [sum(count(place, outcome), "count") ? number(sum(count(place, outcome), "count")) : ""]),
    [sum(count(place, "done"), "count") ? number(sum(count(place, "done"), "seconds"), 1) : ""], place.reason,
  ]));
}

function left() {
  const told = items.get("job") || {}, skipped = of("left"), moved = of("moved");
  list("left", `${number(told.left || 0)} skipped`, skipped.map(s => [s.name, s.reason]), (told.left || 0) - skipped.length);
  list("moved", "Went on with another group", moved.map(m =>
    [`${m.operation} of ${m.label}`, `${m.from.toUpperCase()} → ${m.to.toUpperCase()}: ${m.reason}`]), (told.moved || 0) - moved.length);
  const line = items.get("line");
  const notes = of("note").map(n => ["", n.text]);
  if (line) notes.push(["Colab", line.ready ? `${line.warm ? "warm" : "cold"} runtime, ${number(line.bytes_per_second / 1e6, 2)} MB/s` : line.lack]);
  list("notes", "", notes, 0);
}

function svg(name, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function timeline() {
  const told = items.get("timeline");
  at("timeline").hidden = !told;
  if (!told) return;
  const {ready, total, made} = items.get("segments") || {ready: 0, total: 0, made: ""}, pictures = items.get("pictures") || {};
  const label = `${number(ready)} of ${number(total)} segments are rendered`;
  const picture = svg("svg", {viewBox: `0 0 ${told.frames} 56`, preserveAspectRatio: "none", role: "img", "aria-label": label});
  told.segments.forEach(([start, stop], n) =>
    picture.append(svg("rect", {class: made[n] === "1" ? "done" : "todo", x: start, y: 34, width: Math.max(0, stop - start), height: 16})));
  // Lines between the clips would hide them where there are many.
  const kind = told.events.length < 200 ? "event" : "";
  for (const [start, stop, name] of told.events) {
    const event = svg("rect", {class: kind, x: start, y: 4, width: stop - start, height: 26, "vector-effect": "non-scaling-stroke",
      fill: `hsl(${(name * 137.508) % 360} 45% 46%)`});
    const title = svg("title", {});
    title.textContent = `${told.names[name]}, ${lasting(start / told.fps)} – ${lasting(stop / told.fps)}`;
    event.append(title);
    picture.append(event);
  }
  at("bar").replaceChildren(picture);
  at("about").textContent = `${label}; ${number(told.cuts)} cuts, ${lasting(told.frames / told.fps)} at ${told.size}, style ${told.style}. Above: the clips; below: what is rendered.`;
  const key = job + JSON.stringify(pictures);
  if (key === drawn) return;
  drawn = key;
  at("pictures").replaceChildren();
  for (const [n, mark] of Object.entries(pictures)) {
    const [start, stop] = told.segments[Math.floor(n / told.grouped)] || [0, 0];
    const names = [...new Set(told.events.filter(e => e[0] < stop && e[1] > start).map(e => told.names[e[2]]))].join(", ");
    const figure = text(at("pictures"), "", "figure"), image = document.createElement("img");
    image.src = `montage/picture/${job}/${n}-${mark}.jpg`;
    image.alt = `First picture of segment ${Number(n) + 1}`;
    image.loading = "lazy";
    figure.title = names;
    figure.append(image);
    text(figure, `${lasting(start / told.fps)} ${names}`, "figcaption");
  }
}

function workers(told) {
  if (same("workers", told)) return;
  const groups = Object.entries(told.groups);
  at("workers").hidden = !groups.length && !told.unplaced;
  facts(at("groups"), [
    ...groups.map(([name, g]) =>
      [`${name.toUpperCase()} ${number(g.running)} / ${number(g.slots)}`, `slots busy, ${number(g.waiting)} waiting, ${number(g.workers)} worker${g.workers === 1 ? "" : "s"}`]),
    ...(told.unplaced ? [[number(told.unplaced), "wait for a worker that can take them"]] : []),
  ]);
  at("tasks").hidden = !told.tasks.length;
  rows("tasks", told.tasks.map(t => [t.group.toUpperCase(), t.worker, t.operation, t.label, [lasting(t.seconds)]]));
}

function jobs(all) {
  if (same("jobs", [job, all])) return;
  at("jobs").hidden = all.length < 2;
  const body = rows("jobs", all.map(one => {
    const link = document.createElement("a");
    link.href = `#job=${one.id}`;
    link.textContent = one.title || one.id;
    const stage = one.stage ? `${one.stage.name} ${one.stage.done}/${one.stage.total}` : "";
    return [link, one.kind || "", one.state, stage, one.started_at ? new Date(one.started_at * 1000).toLocaleTimeString() : ""];
  }));
  all.forEach((one, n) => { if (one.id === job) body.rows[n].setAttribute("aria-current", "true"); });
}

function show(view) {
  if (view.whole || view.job !== job) items = new Map();
  ({epoch, revision, job} = view);
  const kinds = new Set();
  for (const [key, value] of Object.entries(view.items)) {
    items.set(key, value);
    kinds.add(key.split("/")[0]);
  }
  at("none").hidden = job !== null;
  at("job").hidden = job === null;
  if (job !== null) head(view);
  const any = (...names) => view.whole || names.some(n => kinds.has(n));
  if (any("stage") || view.state === "running") stages(view.state === "running" ? view.now : 0);
  if (any("place", "count")) places();
  if (any("left", "moved", "note", "line", "job")) left();
  if (any("timeline", "segments", "pictures")) timeline();
  workers(view.workers);
  jobs(view.jobs);
}

async function follow() {
  clearTimeout(timer);
  // Another choice overtakes a slow answer, which is of the job chosen before.
  const turn = ++asked;
  try {
    const ask = new URLSearchParams({since: revision, epoch});
    if (wanted() || job !== null) ask.set("job", wanted() || job);
    const answer = await fetch(`montage/state?${ask}`, {cache: "no-store", signal: AbortSignal.timeout(LOST)});
    if (!answer.ok) throw new Error(answer.status);
    const view = await answer.json();
    if (turn !== asked) return;
    show(view);
    // A job that was chosen stays; else the page goes on to whatever runs.
    const other = view.state !== "running" && view.jobs.some(one => one.state === "running");
    if (other && !wanted()) { job = null; revision = 0; }
    failures = 0;
    const live = view.state && view.state !== "running" ? `live; ${view.state}` : "live";
    if (at("live").textContent !== live) at("live").textContent = live;
    at("live").className = "";
  } catch (error) {
    if (turn !== asked) return;
    failures += 1;
    at("live").textContent = "the scheduler does not answer; trying again";
    at("live").className = "lost";
  }
  timer = setTimeout(follow, failures ? Math.min(LOST, EVERY * 2 ** failures) : document.hidden ? HIDDEN : EVERY);
}

addEventListener("hashchange", () => { revision = 0; follow(); });
addEventListener("visibilitychange", () => { if (!document.hidden) follow(); });
follow();
