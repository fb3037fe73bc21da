// The page of a question: what is entered is kept as a draft, judged while it is entered, and marked on pictures.
import "./zoom-view.js";
import { Board } from "./marking/board.js";
import { Drafts } from "./marking/drafts.js";
import { Judge } from "./marking/judge.js";
import { listenForMarkingKeys } from "./marking/keys.js";
import { MarkList } from "./marking/list.js";
import { Marks } from "./marking/model.js";
import { say } from "./messages.js";

const MARKED = new Set(["points", "polygon", "lines"]);
const STATES = { saving: "Saving the draft…", saved: "Draft saved", lost: "The draft is not saved: the server does not answer", conflict: "Draft not saved" };

class Question extends HTMLElement {
  connectedCallback() {
    const data = JSON.parse(this.dataset.question);
    if (!data.form) return;
    this.data = data;
    this.operates = "operates" in this.dataset;
    this.form = this.querySelector(".question-form");
    const { address, query } = this.dataset;
    const numbers = new Set(data.form.filter((field) => field.kind === "number").map((field) => field.name));
    const fields = data.form.filter((field) => MARKED.has(field.kind)).map((field) => ({ ...field, ends: numbers.has(`${field.name}_m`) }));
    this.marks = new Marks(fields);
    this.marks.load(data.values);
    this.lists = new Map();
    this.judge = new Judge({ address, query, values: () => this.values(), show: (found) => this.showJudgement(found) });
    if (fields.length) this.openBoard(fields, address, query);
    this.fillIn();
    if (!this.operates) return;
    this.drafts = new Drafts({ address, query, version: data.draft_version, values: () => this.values({ draft: true }), tell: (...news) => this.showDraft(...news) });
    this.drafts.me = data.me;
    if (data.is_open) this.drafts.arrive();
    this.form.addEventListener("input", () => this.changed());
    this.addEventListener("click", (event) => this.takeDraft(event));
    document.addEventListener("htmx:after:swap", () => this.showAnswered());
    if (Object.keys(data.values).length) this.judge.changed();
  }

  openBoard(fields, address, query) {
    const { marks, operates } = this;
    this.board = new Board(this.querySelector(".board"), marks, { operates, address, query, films: this.data.films, say });
    for (const field of fields) {
      const section = this.querySelector(`[data-field="${field.name}"]`);
      this.lists.set(field.name, new MarkList(section, field, marks, this.data.proposals[field.name] ?? [], { board: this.board, say }));
    }
    this.board.lists = this.lists;
    marks.addEventListener("marks", ({ detail: { kind } }) => {
      this.board.show();
      for (const list of this.lists.values()) list.show();
      if (kind === "change") this.changed();
    });
    listenForMarkingKeys(this, this.board, marks);
    for (const list of this.lists.values()) list.show();
    this.board.show();
  }

  changed() {
    this.fillIn();
    this.judge.changed();
    if (this.operates) this.drafts.changed();
  }

  // What is entered, as an answer has it.
  values({ draft = false } = {}) {
    const values = {};
    for (const field of this.data.form) {
      if (MARKED.has(field.kind)) {
        const marked = this.marks.value(field.name, { draft });
        const chosen = draft ? this.marks.chosenFrame(field.name) : null;
        if (marked.length) values[field.name] = marked;
        else if (chosen) values[field.name] = chosen;
        continue;
      }
      const input = this.form.elements?.[`value.${field.name}`];
      const text = input?.value ?? "";
      if (text === "" || field.kind === "file") continue;
      if (field.kind === "number") values[field.name] = draft && Number.isNaN(Number(text)) ? text : Number(text);
      else if (field.kind === "boolean") values[field.name] = text === "true";
      else if (field.kind === "confirm") values[field.name] = { accepted: text === "true" };
      else if (field.kind === "choice") values[field.name] = field.options.find((option) => String(option.value) === text)?.value ?? text;
      else values[field.name] = text;
    }
    return values;
  }

  // The marks, as the form sends them.
  fillIn() {
    for (const name of this.lists.keys()) {
      const value = this.marks.value(name);
      this.querySelector(`[data-field="${name}"] input[type="hidden"]`).value = value.length ? JSON.stringify(value) : "";
    }
  }

  showJudgement({ faults, fields }) {
    for (const [name, list] of this.lists) list.judge(fields.find((each) => each.field === name) ?? null);
    this.board?.draw();
    const missing = this.querySelector("[data-missing]");
    const label = (name) => this.data.form.find((field) => field.name === name)?.label || name.replaceAll("_", " ");
    missing?.replaceChildren(...faults.slice(0, 6).map(({ field, message }) => {
      const line = document.createElement("li");
      line.textContent = `${label(field)} ${message}`;
      return line;
    }));
  }

  showDraft(state, problem) {
    this.querySelector("[data-draft-state]").textContent = STATES[state];
    if (state !== "conflict") return;
    const notice = this.notice(problem.what[0].toUpperCase() + problem.what.slice(1) + ".");
    notice.append(this.button("Load it", async () => {
      const draft = await this.drafts.newest();
      if (draft) { this.drafts.take(draft); this.enter(draft.values); notice.remove(); }
    }), this.button("Keep mine", () => { notice.remove(); this.drafts.save({ over: true }); }));
  }

  notice(text) {
    const notice = document.createElement("div"), words = document.createElement("p");
    notice.className = "notice";
    words.textContent = text;
    notice.append(words);
    this.querySelector("[data-notices]").append(notice);
    return notice;
  }

  button(text, act) {
    const made = document.createElement("button");
    made.type = "button";
    made.textContent = text;
    made.addEventListener("click", act);
    return made;
  }

  takeDraft(event) {
    const taken = event.target.closest("[data-take-draft]");
    if (!taken) return;
    this.enter(JSON.parse(taken.dataset.takeDraft));
    say(`This is the draft of ${taken.dataset.author}. Ctrl-Z takes the marks back.`);
  }

  // Show these values in the fields. Marks can be undone.
  enter(values) {
    for (const field of this.data.form) {
      if (MARKED.has(field.kind) || field.kind === "file" || !(field.name in values)) continue;
      const value = values[field.name];
      this.form.elements[`value.${field.name}`].value = String(field.kind === "confirm" ? value?.accepted : value);
    }
    this.marks.load(values);
    this.changed();
  }

  // Somebody else was faster.
  showAnswered() {
    const people = this.querySelector("#question-people");
    if (!this.data.is_open || !people?.dataset.answered || this.told) return;
    this.told = true;
    const notice = this.notice("This question has been answered meanwhile. Your draft is kept.");
    notice.append(this.button("See the answer", () => location.reload()));
    for (const button of this.querySelectorAll(".question-send .main")) button.disabled = true;
  }
}

customElements.define("winslow-question", Question);
