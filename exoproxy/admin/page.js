// Puts the newest <main> in place of the shown one, without a word when all is as it should be.
// Waits while nobody looks, while text is selected, and while it is told to.

const EVERY = 5_000;
const PATIENCE = 4_000;

const told = document.getElementById("refresh");
const pause = document.getElementById("pause");
let paused = false;

const selecting = () => {
  const selection = getSelection();
  return !selection.isCollapsed && document.querySelector("main").contains(selection.anchorNode);
};

// A sentence that stays the same is not read out again.
function tell(words) {
  if (told.textContent !== words) told.textContent = words;
}

// What the reader has done to the page: what is open, what has the focus, what is scrolled.
function carryOver(from, to) {
  for (const { id } of from.querySelectorAll("details[open]")) {
    const same = to.querySelector(`#${CSS.escape(id)}`);
    if (same) same.open = true;
  }
  const path = [];
  for (let at = document.activeElement; from.contains(at) && at !== from; at = at.parentElement) {
    path.unshift([...at.parentElement.children].indexOf(at));
  }
  const boxes = [...from.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  return () => {
    to.querySelectorAll(".scroll").forEach((box, index) => { box.scrollLeft = boxes[index] ?? 0; });
    const same = path.reduce((at, index) => at?.children[index], to);
    if (path.length) same?.focus({ preventScroll: true });
  };
}

async function load() {
  const answer = await fetch(location.href, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE) });
  if (!answer.ok) throw new Error(`status ${answer.status}`);
  const next = new DOMParser().parseFromString(await answer.text(), "text/html");
  const main = next.querySelector("main");
  if (!main) throw new Error("another page");
  return { main, next };
}

function show({ main, next }) {
  const shown = document.querySelector("main");
  const after = carryOver(shown, main);
  shown.replaceWith(main);
  after();
  document.title = next.title;
  document.querySelector("link[rel=icon]").href = next.querySelector("link[rel=icon]").href;
}

async function refresh() {
  if (paused) return tell("Paused");
  if (document.hidden) return;
  if (selecting()) return tell("Waits while text is selected");
  try {
    const found = await load();
    if (selecting() || paused) return;
    show(found);
    tell(`Refreshed every ${EVERY / 1000} s`);
  } catch {
    tell("No answer: these figures are old");
  }
}

async function keepOn() {
  await refresh();
  setTimeout(keepOn, EVERY);
}

pause.hidden = false;
pause.onclick = () => {
  paused = !paused;
  pause.textContent = paused ? "Go on" : "Pause";
  refresh();
};
document.onvisibilitychange = refresh;
tell(`Refreshed every ${EVERY / 1000} s`);
setTimeout(keepOn, EVERY);
