// The page: everything that it shows is a view of what the API says at its address.
import { call, forge, get, pause, post, Refused } from "./api.js";
import * as one from "./job.js";
import { make } from "./timeline.js";
import * as upload from "./upload.js";
import { language, say, speak } from "./words.js";

const $ = (id) => document.getElementById(id);
const form = $("new");
const SIZES = ["reel", "square", "portrait", "landscape", "4k"];
const AUDIO = /\.(mp3|wav|flac|m4a|aac|ogg|opus|aiff?|wma)$/i;
let me = null, asking = 0;

function complain(what) {
  if (what instanceof Refused && what.status === 401) login();
  const text = what instanceof Refused ? what.message || say("away") : String(what?.message ?? what);
  $("told").textContent = text;
  $("told").hidden = !text;
}

function login() {
  me = null;
  one.close();
  for (const id of ["new", "job", "list", "logout", "drained"]) $(id).hidden = true;
  $("login").hidden = false;
  $("login").elements.token.focus();
}

async function enter() {
  for (;;) {
    try {
      me = await get("api/me");
      break;
    } catch (error) {
      complain(error);
      await pause(2);
    }
  }
  if (!me.user) return login();
  complain("");
  forge(me.csrf);
  upload.open(me.user);
  $("who").textContent = me.user;
  $("login").hidden = true;
  $("logout").hidden = $("list").hidden = false;
  await choices();
  for (const [name, value] of Object.entries(upload.draft.fields)) if (form.elements[name] && name !== "quick") form.elements[name].value = value;
  form.elements.quick.checked = upload.draft.fields.quick !== "no";
  return go();
}

async function choices() {
  const { styles } = await get("api/styles");
  const fill = (name, words) => form.elements[name].append(...words.map(([value, title]) => make("option", value, { value, title })));
  if (form.elements.style.length === 1) fill("style", Object.entries(styles));
  if (form.elements.size.length === 1) fill("size", SIZES.map((s) => [s, ""]));
}

function go() {
  if (!me) return;
  const id = /^#job=([0-9a-f]+)$/.exec(location.hash)?.[1];
  complain("");
  $("job").hidden = !id;
  form.hidden = Boolean(id);
  if (id) {
    one.open(id, complain);
    $("title").focus();
  } else {
    one.close();
    document.title = "montage";
    drawFiles();
  }
  list().catch(complain);
}

// -- a new one ------------------------------------------------------------------------------------------------------------------

function drawFiles() {
  const { files } = upload.draft;
  $("files").replaceChildren(...files.map((entry) => {
    const item = make("li");
    const going = upload.going(entry);
    const bar = make("progress", "", { max: Math.max(1, entry.size), value: entry.path ? Math.max(1, entry.size) : entry.offset });
    bar.setAttribute("aria-label", entry.name);
    const how = entry.path ? say("there") : entry.error ?? (going ? `${Math.floor(100 * entry.offset / Math.max(1, entry.size))} %` : say("again"));
    const away = make("button", say("remove"), { type: "button", className: "plain", onclick: () => { upload.remove(entry); drawFiles(); } });
    away.setAttribute("aria-label", `${say("remove")}: ${entry.name}`);
    item.append(make("span", `${entry.name} (${say(entry.kind)})`), bar, make("span", how, { className: "faint" }), away);
    return item;
  }));
  const lacks = !files.some((f) => f.kind === "clip") ? "needClips" : !files.some((f) => f.kind === "track") ? "needTrack"
    : files.some((f) => !f.path) ? "needEnd" : "";
  $("lacks").textContent = lacks && say(lacks);
  $("make").disabled = Boolean(lacks);
  soon();
}

const size = (bytes) => (bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`);
const long = (s) => (s < 90 ? say("seconds").replace("%", Math.ceil(s / 5) * 5) : say("minutes").replace("%", Math.ceil(s / 60)));
const options = () => {
  const found = Object.fromEntries(Object.entries(upload.draft.fields).filter(([name, value]) => value !== "" && name !== "quick"));
  if (found.duration) found.duration = Number(found.duration);
  return found;
};

// How long it takes and how much room there is, before anything is sent.
async function expect() {
  const { files } = upload.draft, sum = files.reduce((n, f) => n + f.size, 0);
  const clips = files.filter((f) => f.kind === "clip" && f.seconds).map(({ seconds, width, height }) => ({ seconds, width, height }));
  const music_seconds = files.find((f) => f.kind === "track")?.seconds ?? 0, asked = options();
  const { seconds, room_bytes } = await post("api/estimate", { clips, music_seconds, options: asked });
  const known = seconds !== null && clips.length && (music_seconds || asked.duration);
  $("expect").textContent = [say("room").replace("%1", size(sum)).replace("%2", size(room_bytes)),
    known ? say("expect").replace("%", long(seconds)) : ""].join(" ");
}

function soon() {
  clearTimeout(asking);
  if (me && !form.hidden) asking = setTimeout(() => expect().catch(complain), 300);
}

function take(files, kind) {
  for (const file of files) upload.add(file, kind ?? (file.type.startsWith("audio/") || AUDIO.test(file.name) ? "track" : "clip"), drawFiles);
}

async function dropped(items) {
  // All at once: what was dropped is gone after the first wait.
  const entries = [...items].map((i) => i.webkitGetAsEntry?.() ?? i.getAsFile()).filter(Boolean);
  for (const entry of entries) await walk(entry);
}

async function walk(entry) {
  if (entry instanceof File) take([entry]);
  else if (entry.name.startsWith(".")) return;
  else if (entry.isFile) take([await new Promise((done, failed) => entry.file(done, failed))]);
  else {
    const reader = entry.createReader();
    for (let some; (some = await new Promise((done, failed) => reader.readEntries(done, failed))).length;) for (const e of some) await walk(e);
  }
}

for (const [id, kind] of [["clips", undefined], ["track", "track"]]) {
  $(id).addEventListener("change", (e) => { take([...e.target.files], kind); e.target.value = ""; });
}
for (const name of ["dragover", "dragleave", "drop"]) {
  addEventListener(name, (e) => {
    e.preventDefault();
    $("drop").classList.toggle("over", name === "dragover");
    if (name === "drop" && me && !form.hidden) dropped(e.dataTransfer.items).catch(complain);
  });
}
form.addEventListener("input", () => {
  for (const name of ["style", "size", "duration", "director"]) upload.draft.fields[name] = form.elements[name].value;
  upload.draft.fields.quick = form.elements.quick.checked ? "" : "no";
  upload.keep();
  soon();
});
form.addEventListener("submit", async (e) => {
  e.preventDefault();
  const { files } = upload.draft, wish = options();
  if (wish.size && wish.size !== "landscape") wish.fit = "cover";
  const paths = (kind) => files.filter((f) => f.kind === kind).map((f) => f.path);
  $("make").disabled = true;
  try {
    const asked = { footage: paths("clip"), music: paths("track")[0], options: wish, preview: form.elements.quick.checked };
    const job = await post("api/jobs", asked, { "Idempotency-Key": upload.idempotencyKey() });
    upload.clear();
    form.reset();
    location.hash = `job=${job.after ?? job.id}`;
  } catch (error) {
    complain(error);
  }
  drawFiles();
});

// -- all of them ----------------------------------------------------------------------------------------------------------------

async function list() {
  if (!me) return;
  const now = await get("api/me");
  if (!now.user) return login();
  const { jobs } = await get("api/jobs");
  $("none").hidden = jobs.length > 0;
  const rows = jobs.map((job) => {
    const item = make("li");
    const when = new Date(1000 * job.submitted_at).toLocaleString(language);
    const told = job.state === "running" && job.progress.stage ? `${job.progress.stage} ${job.progress.done}/${job.progress.total}` : job.reason;
    item.append(make("a", job.title, { href: `#job=${job.id}` }), make("span", when, { className: "faint" }),
      make("span", say(job.state), { className: `state ${job.state}` }), make("span", told, { className: "faint" }));
    return item;
  });
  const before = document.activeElement?.getAttribute("href");
  const had = $("jobs").contains(document.activeElement);
  $("jobs").replaceChildren(...rows);
  if (had) [...$("jobs").querySelectorAll("a")].find((a) => a.getAttribute("href") === before)?.focus();
  $("drained").hidden = !now.drained;
  if (now.drained) $("drained").firstElementChild.textContent = `${say("drained")} ${now.drained.by}.`;
  $("drained").lastElementChild.hidden = !now.admin;
  return undefined;
}

setInterval(() => { if (!document.hidden) list().catch((e) => complain(e)); }, 3000);
$("drained").lastElementChild.onclick = () => call("PUT", "api/drain?on=false").then(list).catch(complain);

// -- who ------------------------------------------------------------------------------------------------------------------------

async function logIn(token) {
  try {
    await post("api/login", { token });
    $("login").reset();
    await enter();
  } catch (error) {
    $("login").hidden = false;
    complain(error);
  }
}

$("login").addEventListener("submit", (e) => { e.preventDefault(); logIn($("login").elements.token.value.trim()); });
$("logout").onclick = () => {
  me = null; // nothing more is asked for
  clearTimeout(asking);
  one.close();
  post("api/logout").then(() => location.reload()).catch(complain);
};
$("language").onclick = () => {
  speak(language === "de" ? "en" : "de");
  drawFiles();
  one.redraw();
  list().catch(complain);
};
addEventListener("hashchange", go);

speak();
const given = /^#token=(.+)$/.exec(location.hash)?.[1];
if (given) {
  history.replaceState(null, "", location.pathname); // it stays in no history
  await logIn(given);
} else await enter();
