// The filter line with completion: of the word at the cursor, by the values that projects have.
const KEYS = { "state:": "what it does now", "is:": "noted: somebody knows that it failed", "tag:": "has this tag", "pipeline:": "runs this pipeline", "owner:": "belongs to" };
const FIELDS = { state: "states", is: "marks", tag: "tags", pipeline: "pipelines", owner: "owners" };
const MOST_SHOWN = 12;

// The word that ends at the cursor, with its `-`, its key and the beginning of its value.
export function wordAt(text, cursor) {
  let begin = 0, quoted = false;
  for (let at = 0; at < cursor; at += 1) {
    const letter = text[at];
    if (quoted) {
      if (letter === "\\") at += 1;
      else if (letter === '"') quoted = false;
    } else if (/\s/.test(letter)) {
      begin = at + 1;
    } else if (letter === '"') {
      quoted = /^-?([A-Za-z_]+:)?$/.test(text.slice(begin, at));
    }
  }
  const whole = text.slice(begin, cursor);
  const [, sign, key, value] = /^(-?)(?:([A-Za-z_]+):)?(.*)$/s.exec(whole);
  return { begin, sign, key: key?.toLowerCase(), value: value.replace(/^"/, "") };
}

export function quoted(value) {
  return /^\S+$/.test(value) && !value.startsWith('"') ? value : `"${value.replace(/[\\"]/g, "\\$&")}"`;
}

class FilterLine extends HTMLElement {
  connectedCallback() {
    this.input = this.querySelector("input");
    this.list = document.createElement("ul");
    this.list.id = `${this.input.id}-words`;
    this.list.setAttribute("role", "listbox");
    this.list.setAttribute("aria-label", "Words");
    this.list.hidden = true;
    this.offer();
    this.input.addEventListener("focus", () => this.suggest());
    this.input.addEventListener("input", () => this.suggest());
    this.input.addEventListener("keydown", (event) => this.key(event));
    this.input.addEventListener("blur", () => this.close());
    // A press would take the focus from the line before its click arrives.
    this.list.addEventListener("mousedown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.take(option);
    });
  }

  // Also after the part of the page around it was fetched again, which knows nothing of the list.
  offer() {
    if (!this.list.isConnected) this.append(this.list);
    for (const [name, value] of [["role", "combobox"], ["aria-controls", this.list.id], ["aria-expanded", "false"], ["aria-autocomplete", "list"]]) {
      this.input.setAttribute(name, value);
    }
  }

  async words() {
    this.known ??= fetch("/api/v1/filter-words").then((answer) => (answer.ok ? answer.json() : {}), () => ({}));
    return this.known;
  }

  async suggest() {
    const known = await this.words();
    this.offer();
    if (document.activeElement !== this.input) return;
    const word = wordAt(this.input.value, this.input.selectionStart);
    const begins = word.value.toLowerCase();
    let found;
    if (word.key === undefined) {
      found = Object.entries(KEYS).filter(([key]) => key.startsWith(begins)).map(([key, help]) => ({ text: `${word.sign}${key}`, help, open: true }));
    } else {
      const values = known[FIELDS[word.key]] ?? [];
      found = values.filter((value) => value.toLowerCase().startsWith(begins) && value.toLowerCase() !== begins)
        .map((value) => ({ text: `${word.sign}${word.key}:${quoted(value)}` }));
    }
    this.show(found.slice(0, MOST_SHOWN));
  }

  show(found) {
    this.list.replaceChildren(...found.map(({ text, help, open }, number) => {
      const option = document.createElement("li");
      option.id = `${this.list.id}-${number}`;
      option.setAttribute("role", "option");
      option.setAttribute("aria-selected", "false");
      option.dataset.text = text;
      if (open) option.dataset.open = "";
      option.textContent = text;
      if (help) {
        const small = document.createElement("small");
        small.textContent = help;
        option.append(small);
      }
      return option;
    }));
    this.choose(null);
    this.list.hidden = found.length === 0;
    this.input.setAttribute("aria-expanded", String(found.length > 0));
  }

  close() {
    this.list.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.choose(null);
  }

  choose(option) {
    this.chosen?.setAttribute("aria-selected", "false");
    this.chosen = option;
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    if (option) this.input.setAttribute("aria-activedescendant", option.id);
    else this.input.removeAttribute("aria-activedescendant");
  }

  take(option) {
    const cursor = this.input.selectionStart, { begin } = wordAt(this.input.value, cursor);
    const text = option.dataset.text + ("open" in option.dataset ? "" : " ");
    this.input.setRangeText(text, begin, cursor, "end");
    this.suggest();
  }

  key(event) {
    const options = [...this.list.children];
    if (this.list.hidden || !options.length) return;
    const at = options.indexOf(this.chosen);
    if (event.key === "ArrowDown") this.choose(options[(at + 1) % options.length]);
    else if (event.key === "ArrowUp") this.choose(options[(at <= 0 ? options.length : at) - 1]);
    else if (event.key === "Escape") this.close();
    else if ((event.key === "Enter" || event.key === "Tab") && this.chosen) this.take(this.chosen);
    else return;
    event.preventDefault();
  }
}

customElements.define("filter-line", FilterLine);
