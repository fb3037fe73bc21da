// Chooses the frame of a film that is marked: by its index, by steps, or in the film itself.
import "../frame-player.js";

const PLAYER = ["src", "footage", "frames", "filmstrip", "proxy"];

function make(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

export class Frames {
  #film = null;
  #index = 0;
  #count = null;
  #typed = false;

  constructor(place, operates, choose) {
    Object.assign(this, { place, operates, choose });
    const step = (text, label, by) => {
      const button = make("button", { type: "button", textContent: text, title: label, onclick: () => this.#take(this.#index + by) });
      button.setAttribute("aria-label", label);
      return button;
    };
    this.number = make("input", { type: "number", min: 0, step: 1,
      oninput: () => { this.#typed = true; }, onblur: () => { this.#typed = false; },
      onchange: () => { this.#typed = false; this.#take(Number(this.number.value)); } });
    this.facts = make("output", {});
    this.open = make("button", { type: "button", textContent: "Choose in the film", onclick: () => this.#openFilm() });
    place.append(step("‹", "One frame back", -1), make("label", {}, "Frame", this.number), this.facts, step("›", "One frame on", 1), this.open);
    for (const control of place.querySelectorAll("button, input")) control.disabled = !operates;
  }

  set hidden(hidden) { this.place.hidden = hidden; }

  set index(index) {
    this.#index = index;
    // What somebody is typing is theirs until they leave the field.
    if (!this.#typed) this.number.value = index;
    this.facts.textContent = this.#count === null ? "" : `of ${this.#count}`;
  }

  async show(film) {
    this.#film = film;
    this.#count = null;
    const answer = await fetch(film.footage).catch(() => null);
    if (this.#film !== film || !answer?.ok) return;
    this.#count = (await answer.json()).frame_count;
    this.number.max = this.#count - 1;
    this.index = this.#index;
  }

  #take(index) {
    if (!this.operates || !Number.isFinite(index)) return;
    this.choose(Math.min(Math.max(Math.round(index), 0), (this.#count ?? Infinity) - 1));
  }

  #openFilm() {
    const player = document.createElement("frame-player"), film = this.#film;
    for (const name of PLAYER) player.setAttribute(name, film[name]);
    player.setAttribute("name", film.name);
    player.setAttribute("index", this.#index);
    const dialog = make("dialog", { className: "film-dialog" });
    dialog.setAttribute("aria-label", `Choose a frame of ${film.name}`);
    const take = make("button", { type: "button", className: "main", textContent: "Mark this frame", onclick: () => { dialog.close(); this.#take(player.index); } });
    const cancel = make("button", { type: "button", textContent: "Cancel", onclick: () => dialog.close() });
    dialog.append(player, make("div", { className: "buttons" }, take, cancel));
    dialog.addEventListener("close", () => { dialog.remove(); this.open.focus(); });
    // Outside of the question, whose keys move marks.
    document.body.append(dialog);
    dialog.showModal();
  }
}
