// Shows a frame with its boxes and sends what a person does; the program keeps the labels.

import { corners, drawn, handles, moved, resized, turnedTo } from "./boxes.js";

const SVG = "http://www.w3.org/2000/svg";
// The width of a new box, as a share of its length.
const SHAPE = { car: 0.42, truck_bus: 0.25, two_wheeler: 0.4 };
const [HANDLE_PX, BEYOND_PX, TEXT_PX, CLICK_PX] = [5, 22, 13, 3];
const DEGREE = Math.PI / 180;

const $ = (id) => document.getElementById(id);
const svg = $("picture");
const film = await (await fetch("film")).json();
let checked = new Set(film.checked);
let boxes = [];
let at = Math.max(0, film.frames.findIndex((each) => !checked.has(each.frame)));
let chosen = null;
let mode = "";
let view = { x: 0, y: 0, width: film.width, height: film.height };

const frame = () => film.frames[at].frame;
const box = () => boxes.find((each) => each.vehicle === chosen);
const pictureOf = (index) => `frames/${film.frames[index].frame}.jpg`;

function say(text, tone = "") {
  $("message").textContent = text;
  $("message").className = tone;
}

// --- requests, one after the other

let last = Promise.resolve();
function act(name, more = {}) {
  const on = frame();
  last = last.then(async () => {
    const answer = await fetch(`frames/${on}`, {
      method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ act: name, ...more }),
    });
    const data = await answer.json();
    if (data.error) say(data.error, "bad");
    else { say(""); show(data, on); }
    if (data.error && on === frame()) await load();
  }).catch(() => say("The program does not answer: was it stopped? All changes so far are saved.", "bad"));
  return last;
}

function show(data, on) {
  checked = new Set(data.checked);
  if (on === frame()) boxes = data.boxes;
  draw();
}

async function load() {
  const on = frame();
  show(await (await fetch(`frames/${on}`)).json(), on);
}

async function goTo(index) {
  at = Math.min(Math.max(index, 0), film.frames.length - 1);
  $("still").setAttribute("href", pictureOf(at));
  boxes = [];
  draw();
  await load();
  if (at + 1 < film.frames.length) new Image().src = pictureOf(at + 1);
}

// --- drawing

const scale = () => view.width / Math.max(1, svg.clientWidth);

function element(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function drawBox(each) {
  const outline = corners(each);
  const group = element("g", {
    class: `box ${each.class} ${each.state}${each.vehicle === chosen ? " chosen" : ""}`, "data-vehicle": each.vehicle, tabindex: 0, role: "button",
    "aria-label": `Vehicle ${each.vehicle}, ${each.class}`,
  });
  const [[x1, y1], [x2, y2]] = outline;
  group.append(
    element("polygon", { points: outline.join(" ") }),
    element("line", { class: "front", x1, y1, x2, y2 }),
    Object.assign(element("text", { x: each.x, y: each.y, "font-size": TEXT_PX * scale() }), { textContent: each.vehicle }),
  );
  if (each.vehicle === chosen) {
    const size = HANDLE_PX * scale();
    for (const [side, [x, y]] of Object.entries(handles(each, BEYOND_PX * scale()))) {
      if (each.state === "beyond" && side !== "turn") continue;
      const shape = side === "turn" ? element("circle", { cx: x, cy: y, r: size })
        : element("rect", { x: x - size, y: y - size, width: 2 * size, height: 2 * size });
      shape.setAttribute("class", "handle");
      shape.dataset.side = side;
      group.append(shape);
    }
  }
  return group;
}

function draw() {
  svg.setAttribute("viewBox", `${view.x} ${view.y} ${view.width} ${view.height}`);
  const order = [...boxes].sort((one, other) => (one.vehicle === chosen) - (other.vehicle === chosen));
  $("boxes").replaceChildren(...order.map(drawBox));
  $("slider").value = at;
  const state = checked.has(frame()) ? "right" : "not checked";
  const beyond = boxes.filter((each) => each.state === "beyond").length;
  $("where").textContent = `${at + 1} of ${film.frames.length} · ${film.frames[at].time_s.toFixed(2)} s · ${boxes.length - beyond} vehicles · ${state}`;
  $("progress").textContent = `${checked.size} of ${film.frames.length} checked`;
  $("selected").hidden = chosen === null;
  const drawnBox = box();
  const mine = drawnBox?.state === "beyond" ? undefined : drawnBox;
  $("name").textContent = `Vehicle ${chosen}`;
  $("size").textContent = mine ? `${mine.length_m.toFixed(1)} m long, ${mine.width_m.toFixed(1)} m wide` : "It is not on this frame.";
  if (mine) $("class").value = mine.class;
  $("class").disabled = !mine;
  for (const button of document.querySelectorAll("[data-act]")) button.disabled = !mine && button.dataset.act !== "delete";
  svg.classList.toggle("drawing", mode !== "");
}

function choose(vehicle) {
  chosen = vehicle;
  draw();
}

function begin(what) {
  mode = what;
  say(what === "add" ? "Drag from the rear of the vehicle to its front." : "Click on the middle of the vehicle.");
  draw();
}

// --- the pointer

function place(event) {
  const inside = new DOMPoint(event.clientX, event.clientY).matrixTransform($("boxes").getScreenCTM().inverse());
  return [inside.x, inside.y];
}

let drag = null;

svg.addEventListener("pointerdown", (event) => {
  if (event.button !== 0) return;
  event.preventDefault();
  svg.focus();
  svg.setPointerCapture(event.pointerId);
  const from = place(event);
  const group = mode ? null : event.target.closest(".box");
  const side = event.target.dataset.side;
  if (group && Number(group.dataset.vehicle) !== chosen) choose(Number(group.dataset.vehicle));
  drag = { from, to: from, side, x: event.clientX, y: event.clientY, far: false };
  if (group) drag.box = box();
});

svg.addEventListener("pointermove", (event) => {
  if (!drag) return;
  drag.far ||= Math.hypot(event.clientX - drag.x, event.clientY - drag.y) > CLICK_PX;
  drag.to = place(event);
  if (!drag.far) return;
  if (mode === "add") {
    const [[x1, y1], [x2, y2]] = [drag.from, drag.to];
    draw();
    $("boxes").append(element("line", { class: "drawn", x1, y1, x2, y2 }));
  } else if (drag.box) {
    drag.now = changed(drag);
    boxes = boxes.map((each) => (each.vehicle === chosen ? drag.now : each));
    draw();
  } else if (!mode) {
    view = { ...view, x: view.x + drag.from[0] - drag.to[0], y: view.y + drag.from[1] - drag.to[1] };
    draw();
  }
});

function changed({ box: before, side, from, to }) {
  if (!side) return moved(before, to[0] - from[0], to[1] - from[1]);
  return side === "turn" ? turnedTo(before, to) : resized(before, side, to);
}

svg.addEventListener("pointerup", async () => {
  const ended = drag;
  drag = null;
  if (!ended) return;
  if (mode === "add" && ended.far) {
    mode = "";
    const [kind, known] = [$("class").value, new Set(boxes.map((each) => each.vehicle))];
    await act("add", { class: kind, ...drawn(ended.from, ended.to, SHAPE[kind]) });
    const added = boxes.find((each) => !known.has(each.vehicle));
    if (added) choose(added.vehicle);
  } else if (mode === "place") {
    mode = "";
    act("place", { vehicle: chosen, x: ended.to[0], y: ended.to[1] });
  } else if (ended.now) {
    send(ended.now, ended.side && ended.side !== "turn" ? "resize" : "move");
  } else if (!ended.far && !ended.box && !mode) {
    choose(null);
  }
});

svg.addEventListener("pointercancel", () => { drag = null; load(); });

svg.addEventListener("wheel", (event) => {
  event.preventDefault();
  const [x, y] = place(event);
  const width = Math.min(film.width * 1.5, Math.max(60, view.width * 1.0015 ** event.deltaY));
  const factor = width / view.width;
  view = { x: x + (view.x - x) * factor, y: y + (view.y - y) * factor, width, height: view.height * factor };
  draw();
}, { passive: false });

$("boxes").addEventListener("focusin", (event) => {
  const vehicle = Number(event.target.closest(".box")?.dataset.vehicle);
  if (!vehicle || vehicle === chosen) return;
  choose(vehicle);
  document.querySelector(`[data-vehicle="${vehicle}"]`)?.focus();
});

// --- buttons and keys

function send(now, name) {
  const { x, y, angle, length, width } = now;
  act(name, { vehicle: chosen, x, y, angle, length, width });
}

function adjust(dx, dy, turn) {
  const mine = box();
  if (!mine) return;
  const now = { ...moved(mine, dx, dy), angle: mine.angle + turn };
  boxes = boxes.map((each) => (each.vehicle === chosen ? now : each));
  send(now, "move");
}

async function check() {
  await act("check", { checked: true });
  if (checked.size === film.frames.length) say("All frames are checked. Press Done to write truth.csv.");
  await goTo(at + 1);
}

async function done() {
  await last;
  await fetch("done", { method: "POST" });
  say("Done. The program writes truth.csv and says what it has. You can close this page.");
  document.querySelectorAll("button, input, select").forEach((each) => { each.disabled = true; });
}

function release() {
  mode = "";
  say("");
  choose(null);
}

const KEYS = {
  Enter: check, ",": () => goTo(at - 1), ".": () => goTo(at + 1), a: () => begin("add"), u: () => act("undo"),
  p: () => chosen !== null && begin("place"), r: () => adjust(0, 0, Math.PI), "[": () => adjust(0, 0, -DEGREE),
  "]": () => adjust(0, 0, DEGREE), Escape: release,
  Delete: () => chosen !== null && act("delete", { vehicle: chosen }).then(() => choose(null)),
};
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, button, summary")) return;
  const arrow = ARROWS[event.key];
  const key = KEYS[event.key] ?? KEYS[event.key.toLowerCase()];
  if (arrow) adjust(...arrow.map((step) => step * (event.shiftKey ? 5 : 1)), 0);
  else if (key) key();
  else return;
  event.preventDefault();
});

for (const [id, does] of Object.entries({
  previous: KEYS[","], next: KEYS["."], check, undo: KEYS.u, done, add: KEYS.a, place: KEYS.p,
})) $(id).addEventListener("click", async () => { await does(); svg.focus(); });
for (const button of document.querySelectorAll("[data-act]")) {
  button.addEventListener("click", async () => {
    await act(button.dataset.act, { vehicle: chosen });
    if (button.dataset.act === "delete") choose(null);
    svg.focus();
  });
}
$("slider").max = film.frames.length - 1;
$("slider").addEventListener("input", () => goTo($("slider").valueAsNumber));
$("class").append(...film.classes.map((name) => new Option(name.replace("_", " "), name)));
$("class").addEventListener("change", () => act("class", { vehicle: chosen, class: $("class").value }));
$("join").addEventListener("submit", (event) => {
  event.preventDefault();
  act("join", { vehicle: chosen, other: $("other").valueAsNumber });
});
new ResizeObserver(draw).observe(svg);

$("still").setAttribute("width", film.width);
$("still").setAttribute("height", film.height);
await goTo(at);
svg.focus();
