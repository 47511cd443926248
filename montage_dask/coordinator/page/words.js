// What the page says, in English and German.
const WORDS = {
  login: ["Log in", "Anmelden"],
  logout: ["Log out", "Abmelden"],
  loginHow: ["With the token that the coordinator printed, or that its administrator gave you.", "Mit dem Token, das der Koordinator ausgegeben hat oder das Sie von seinem Verwalter haben."],
  token: ["Token", "Token"],
  newTitle: ["A new montage", "Ein neuer Film"],
  drop: ["Drop clips and a track here, or", "Clips und ein Musikstück hierher ziehen, oder"],
  chooseClips: ["choose clips", "Clips wählen"],
  chooseTrack: ["choose the track", "Musik wählen"],
  style: ["Style", "Stil"],
  size: ["Size", "Format"],
  length: ["Length in seconds (empty: the whole track)", "Länge in Sekunden (leer: das ganze Stück)"],
  brief: ["In words", "In Worten"],
  briefSuch: ["fast, hopeful, ends on the sea", "flott, hoffnungsvoll, endet am Meer"],
  auto: ["as it suits", "wie es passt"],
  make: ["Make the montage", "Film machen"],
  quick: ["A quick small version first", "Zuerst eine schnelle kleine Fassung"],
  isQuick: ["This is the quick small version.", "Das ist die schnelle kleine Fassung."],
  hasQuick: ["Its quick small version:", "Ihre schnelle kleine Fassung:"],
  full: ["The whole one", "Die ganze"],
  watch: ["watch it", "ansehen"],
  room: ["Your files have %1; there is room for %2.", "Ihre Dateien haben %1; Platz ist für %2."],
  expect: ["The film takes about %.", "Der Film braucht etwa %."],
  minutes: ["% min", "% min"],
  seconds: ["% s", "% s"],
  needClips: ["Clips are missing.", "Es fehlen Clips."],
  needTrack: ["A track is missing.", "Es fehlt Musik."],
  needEnd: ["Wait for the uploads.", "Die Dateien sind noch unterwegs."],
  clip: ["clip", "Clip"],
  track: ["track", "Musik"],
  there: ["there", "ist da"],
  again: ["choose this file again: it goes on from here", "diese Datei noch einmal wählen: es geht von hier weiter"],
  remove: ["Remove", "Entfernen"],
  jobs: ["Your films", "Ihre Filme"],
  none: ["None yet.", "Noch keine."],
  shots: ["Shots", "Einstellungen"],
  downloads: ["Download", "Herunterladen"],
  waiting: ["waiting", "wartet"],
  running: ["running", "in Arbeit"],
  paused: ["paused", "angehalten"],
  cancelling: ["cancelling", "wird abgebrochen"],
  finished: ["finished", "fertig"],
  partly: ["finished, clips left out", "fertig, ohne einige Clips"],
  failed: ["failed", "gescheitert"],
  cancelled: ["cancelled", "abgebrochen"],
  cancel: ["Cancel", "Abbrechen"],
  pause: ["Pause", "Anhalten"],
  resume: ["Go on", "Weitermachen"],
  retry: ["Try again", "Noch einmal versuchen"],
  keys: ["Arrow keys: from shot to shot; with Alt: move it. Delete: never show it. P: pin it. Comma, full stop: begin a frame earlier, later. [ and ]: end a frame earlier, later. Ctrl+Z: undo.",
    "Pfeiltasten: von Einstellung zu Einstellung; mit Alt: verschieben. Entf: nie zeigen. P: festhalten. Komma, Punkt: ein Bild früher, später beginnen. [ und ]: ein Bild früher, später enden. Strg+Z: rückgängig."],
  veto: ["Never show it", "Nie zeigen"],
  hold: ["Pin", "Festhalten"],
  held: ["pinned", "festgehalten"],
  changed: ["changed", "geändert"],
  earlier: ["← Earlier", "← Nach vorn"],
  later: ["Later →", "Nach hinten →"],
  frames: ["Begin, in frames:", "Beginn, in Bildern:"],
  cutIn: ["End, in frames:", "Ende, in Bildern:"],
  trim: ["end % frames later", "% Bilder später enden"],
  slide: ["begin % frames later", "% Bilder später beginnen"],
  instead: ["Instead of it, the best first", "Stattdessen, das Beste zuerst"],
  nothingElse: ["Nothing else is long enough.", "Nichts anderes ist lang genug."],
  undo: ["Undo", "Rückgängig"],
  render: ["Render again", "Neu rechnen"],
  madeAgain: ["%1 of %2 segments were made again for this version.", "%1 von %2 Abschnitten wurden für diese Fassung neu gemacht."],
  compare: ["Compare with the version before", "Mit der Fassung davor vergleichen"],
  before: ["The version before", "Die Fassung davor"],
  thisOne: ["This version", "Diese Fassung"],
  part_intro: ["intro", "Anfang"],
  part_low: ["calm", "ruhig"],
  part_build: ["build", "steigend"],
  part_high: ["lively", "lebhaft"],
  part_drop: ["drop", "Drop"],
  part_outro: ["outro", "Schluss"],
  left: ["left", "übrig"],
  starting: ["starting", "beginnt"],
  bundle: ["otioz (with the clips)", "otioz (mit den Clips)"],
  log: ["log", "Protokoll"],
  report: ["report", "Bericht"],
  away: ["The coordinator does not answer; this page goes on by itself when it does.", "Der Koordinator antwortet nicht; sobald er es tut, geht es von selbst weiter."],
  drained: ["No jobs are begun at the moment; drained by", "Zurzeit wird nichts begonnen; angehalten von"],
  undrain: ["Begin jobs again", "Wieder beginnen"],
  gone: ["There is no such job.", "Diesen Auftrag gibt es nicht."],
  cannotPlay: ["This browser cannot play the film; download it.", "Dieser Browser kann den Film nicht zeigen; laden Sie ihn herunter."],
};

const kept = localStorage.getItem("language");
export let language = kept ?? (navigator.language.startsWith("de") ? "de" : "en");

export function say(word) {
  const found = Object.hasOwn(WORDS, word) ? WORDS[word] : [word, word];
  return found[language === "de" ? 1 : 0];
}

export function speak(wanted = language) {
  language = wanted;
  localStorage.setItem("language", wanted);
  document.documentElement.lang = wanted;
  for (const node of document.querySelectorAll("[data-t]")) node.textContent = say(node.dataset.t);
  for (const node of document.querySelectorAll("[data-l]")) node.setAttribute("aria-label", say(node.dataset.l));
  for (const node of document.querySelectorAll("[data-p]")) node.placeholder = say(node.dataset.p);
  const other = document.getElementById("language");
  other.textContent = wanted === "de" ? "English" : "Deutsch";
  other.lang = wanted === "de" ? "en" : "de";
}
