// The marks of one field as a table: what is there can be typed, and what is wrong stands at its point.
import { parseNumber, parsePoints } from "./paste.js";
import { round } from "./model.js";

const WORLD = {
  metres: [["East, m", "x in metres"], ["North, m", "y in metres"]],
  optional: [["East, m", "x in metres"], ["North, m", "y in metres"]],
  wgs84: [["Longitude", "longitude in degrees"], ["Latitude", "latitude in degrees"]],
};

function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

function button(text, act, attributes = {}) {
  return make("button", { type: "button", onclick: act, ...attributes }, text);
}

export class MarkList {
  // `board` adds a point in the middle of what is seen; `say` shows a short message.
  constructor(section, field, marks, proposals, { board, say }) {
    Object.assign(this, { section, field, marks, board, say });
    this.world = WORLD[field.world] ?? null;
    this.place = section.querySelector("[data-marks]");
    this.proposals = proposals;
    this.judgement = null;
    this.rows = [];
    this.#frame();
    section.addEventListener("focusin", () => marks.activate(field.name));
    section.addEventListener("pointerdown", () => marks.activate(field.name));
  }

  #frame() {
    const { field } = this, points = field.kind === "points";
    this.body = make("tbody");
    const heads = ["Name", "x", "y", ...(this.world ?? []).map(([title]) => title), ...(this.world ? ["Off by"] : []), ""];
    this.table = make("div", { class: "scroll marks-table", tabindex: "0", role: "region", "aria-label": `Marks of ${field.label || field.name}` },
      make("table", {}, make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head || make("span", { class: "visually-hidden" }, "Delete"))))), this.body));
    this.doubts = make("ul", { class: "doubts", "aria-live": "polite" });
    this.text = make("textarea", { rows: "4", "aria-label": `Points to paste into ${field.label || field.name}`,
      placeholder: "Paste cells of a spreadsheet, CSV, points from QGIS or GeoJSON" });
    this.wrong = make("p", { class: "fault" });
    this.pasting = make("details", { class: "pasting" }, make("summary", {}, "Paste points"), this.text, this.wrong,
      button("Add these points", () => this.paste(this.text.value)));
    this.text.addEventListener("paste", (event) => {
      const text = event.clipboardData?.getData("text/plain");
      if (text && !this.text.value) { event.preventDefault(); this.text.value = text; this.paste(text); }
    });
    this.accept = button("", () => this.acceptAll(), { class: "plain", hidden: true });
    const finish = points ? [] : [button("Finish", () => this.marks.finish(), { class: "plain", title: "Key Enter" })];
    this.place.append(this.table, this.doubts, make("div", { class: "buttons marks-acts" },
      button("Add in the middle", () => { this.marks.activate(this.field.name); this.board.addInTheMiddle(); }, { class: "plain" }), ...finish, this.accept,
      button("Clear", () => this.marks.clear(this.field.name), { class: "plain" })), ...(points ? [this.pasting] : []));
  }

  paste(text) {
    this.wrong.textContent = "";
    try {
      const points = parsePoints(text, { world: this.world !== null });
      if (!points.length) return;
      this.marks.merge(this.field.name, points);
      this.text.value = "";
      this.pasting.open = false;
      const waiting = points.filter((point) => point.x === null).length;
      this.say(waiting ? `${waiting} points read. Click where each is in the picture, from the first on.` : `${points.length} points read.`);
    } catch (error) {
      this.wrong.textContent = error instanceof SyntaxError ? `This is not valid JSON: ${error.message}` : error.message;
    }
  }

  // The proposals that nothing is marked at yet.
  openProposals() {
    const placed = [...this.marks.points(this.field.name)].map(({ value }) => value).filter(({ x }) => x !== null);
    return this.proposals.filter((one) => !placed.some((other) => Math.hypot(one.x - other.x, one.y - other.y) < 3));
  }

  acceptAll() { this.marks.merge(this.field.name, this.openProposals().map((each) => ({ label: null, world: null, ...each }))); }

  judge(found) { this.judgement = found; this.show(); }

  show() {
    const found = [...this.marks.points(this.field.name)];
    const count = this.field.kind === "points" ? found.length : this.marks.shapes(this.field.name).length;
    const least = this.field.min_count > count ? ` of at least ${this.field.min_count}` : "";
    this.section.querySelector("[data-count]").textContent = count === 0 && !this.field.required ? "" : `${count}${least}`;
    this.section.toggleAttribute("data-active", this.marks.active === this.field.name);
    while (this.rows.length > found.length) this.rows.pop().row.remove();
    found.forEach(({ at, value }, index) => this.#show(this.#row(index), at, value, index));
    const open = this.openProposals().length;
    this.accept.hidden = open === 0;
    this.accept.textContent = `Accept all ${open} proposals`;
    this.table.hidden = found.length === 0;
    this.#showDoubts();
  }

  #row(index) {
    if (this.rows[index]) return this.rows[index];
    const row = make("tr");
    const entry = { row, inputs: {} };
    const cell = (name, input) => { entry.inputs[name] = input; row.append(make("td", {}, input)); };
    const typed = (name, act) => make("input", { type: "text", inputmode: name === "label" ? "text" : "decimal", autocomplete: "off", onchange: (event) => act(event.target) });
    const naming = (input) => this.#name(entry.at, input.value);
    cell("label", this.field.labels?.length
      ? make("select", { onchange: (event) => naming(event.target) }, ...this.field.labels.map((label) => make("option", { value: label }, label)))
      : typed("label", naming));
    for (const axis of ["x", "y"]) cell(axis, typed(axis, (input) => this.#number(entry, input, (number) => this.#place(entry.at, axis, number))));
    this.world?.forEach((_, axis) => cell(`w${axis}`, typed("world", (input) => this.#number(entry, input, (number) => this.#worldOf(entry.at, axis, number)))));
    if (this.world) row.append(entry.residual = make("td", { class: "number residual" }));
    entry.remove = button("×", () => this.marks.remove(entry.at), { class: "plain" });
    row.append(make("td", {}, entry.remove));
    row.addEventListener("pointerenter", () => this.marks.hover(entry.at));
    row.addEventListener("pointerleave", () => this.marks.hover(null));
    row.addEventListener("focusin", () => { if (!this.marks.isSelected(entry.at)) this.marks.select(entry.at); });
    row.addEventListener("pointerdown", (event) => { if (!event.target.closest("button")) this.marks.select(entry.at); });
    this.body.append(row);
    this.rows[index] = entry;
    return entry;
  }

  #show(entry, at, value, index) {
    entry.at = at;
    const shape = this.marks.shapes(this.field.name)[at.shape], points = this.field.kind === "points";
    const name = (points ? value.label : `${shape.label ?? `${this.field.kind.replace(/s$/, "")} ${at.shape + 1}`}, point ${at.point + 1}`) ?? `point ${index + 1}`;
    const shown = { label: points ? value.label ?? "" : shape.label ?? "", x: text(value.x), y: text(value.y), w0: text(value.world?.[0], 8), w1: text(value.world?.[1], 8) };
    const words = { label: `Name of ${name}`, x: `x of ${name} in the picture`, y: `y of ${name} in the picture` };
    this.world?.forEach(([, word], axis) => { words[`w${axis}`] = `${word} of ${name}`; });
    for (const [key, input] of Object.entries(entry.inputs)) {
      input.setAttribute("aria-label", words[key]);
      if (document.activeElement !== input || input.dataset.shown === input.value) input.value = shown[key];
      input.dataset.shown = input.value;
      input.disabled = !this.board.operates;
    }
    entry.inputs.label.hidden = !points && at.point > 0;
    entry.remove.setAttribute("aria-label", `Delete ${name}`);
    entry.remove.hidden = !this.board.operates;
    entry.row.toggleAttribute("data-chosen", this.marks.isSelected(at));
    entry.row.toggleAttribute("data-unplaced", value.x === null);
    const hovered = this.marks.hovered;
    entry.row.toggleAttribute("data-hovered", Boolean(hovered && hovered.field === at.field && hovered.shape === at.shape && hovered.point === at.point));
    entry.row.toggleAttribute("data-doubted", this.doubted().has(index));
    if (entry.residual) this.#residual(entry.residual, index);
  }

  // Without a place, the judgement of the last state is not shown at the wrong point.
  #residual(cell, index) {
    const found = this.judgement?.judgement.residuals.find((each) => each.point === index);
    const [px, m] = [found?.left_out_px ?? found?.px, found?.left_out_m ?? found?.m];
    cell.textContent = px == null ? "" : m == null ? `${round(px, 1)} px` : `${m < 10 ? round(m, 2) : Math.round(m)} m`;
    cell.title = px == null ? "" : `${round(px, 1)} pixels from where the other points put it`;
  }

  doubted() { return new Set((this.judgement?.judgement.doubts ?? []).filter((doubt) => doubt.level === "wrong").flatMap((doubt) => doubt.points)); }

  #showDoubts() {
    const found = this.judgement?.judgement;
    const lines = (found?.doubts ?? []).map((doubt) => make("li", { "data-level": doubt.level, "data-kind": doubt.kind }, doubt.text));
    if (found?.metres_per_pixel) {
      const off = found.rms_px == null ? "" : `; the points fit within ${round(found.rms_px, 1)} px`;
      lines.push(make("li", { "data-level": "fact" }, `One pixel is ${Number(found.metres_per_pixel.toPrecision(2))} m wide${off}.`));
    }
    const now = lines.map((line) => line.textContent).join("\n");
    if (now !== this.doubts.dataset.shown) { this.doubts.replaceChildren(...lines); this.doubts.dataset.shown = now; }
  }

  #name(at, label) {
    if (this.field.kind === "points") this.marks.change(at, { label: label || null });
    else this.marks.changeShape(this.field.name, at.shape, { label: label || null });
  }

  #number(entry, input, take) {
    const number = input.value.trim() === "" ? null : parseNumber(input.value);
    const wrong = number === null && input.value.trim() !== "";
    input.toggleAttribute("aria-invalid", wrong);
    if (wrong) { input.setAttribute("aria-invalid", "true"); this.say(`"${input.value}" is not a number.`, "bad"); return; }
    input.dataset.shown = input.value;
    take(number);
  }

  #place(at, axis, number) {
    const value = this.marks.point(at);
    const other = axis === "x" ? value.y : value.x;
    if (number !== null) this.marks.change(at, axis === "x" ? { x: number, y: other ?? 0 } : { x: other ?? 0, y: number });
  }

  #worldOf(at, axis, number) {
    const world = [...(this.marks.point(at).world ?? [null, null])];
    world[axis] = number;
    this.marks.change(at, { world: world.every((each) => each === null) ? null : world });
  }
}

function text(value, digits = 2) { return value == null ? "" : String(round(value, digits)); }
