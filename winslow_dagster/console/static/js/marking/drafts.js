// Keeps what is entered on the server, a moment after each change. Nobody's draft is written over without being asked.
const AFTER_MS = 500;

export class Drafts {
  // `values` gives what is entered now; `tell` shows a state: saving, saved, lost or conflict.
  constructor({ address, query, version, values, tell }) {
    Object.assign(this, { address: `${address}/draft?${query}`, version, values, tell });
    this.timer = null;
    this.saved = null;
    this.working = Promise.resolve();
    this.stopped = false;
    // At once: nothing that waits runs any more.
    addEventListener("pagehide", () => { if (this.timer !== null) this.#send(this.values(), false, true); });
  }

  // Others see that somebody has opened the question.
  arrive() { if (this.version === 0) this.save({ values: {} }); }

  changed() {
    if (this.stopped) return;
    clearTimeout(this.timer);
    this.tell("saving");
    this.timer = setTimeout(() => this.save(), AFTER_MS);
  }

  save({ over = false, keepalive = false, values = null } = {}) {
    clearTimeout(this.timer);
    this.timer = null;
    this.working = this.working.then(() => this.#send(values ?? this.values(), over, keepalive));
    return this.working;
  }

  async #send(values, over, keepalive) {
    if (this.stopped && !over) return;
    const text = JSON.stringify(values);
    if (text === this.saved && !over) { this.tell("saved"); return; }
    if (over) this.version = (await this.newest())?.version ?? 0;
    this.tell("saving");
    const sent = { method: "PUT", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ values, after: this.version }), keepalive };
    const answer = await fetch(this.address, sent).catch(() => null);
    if (answer?.ok) {
      const draft = await answer.json();
      this.version = draft.version;
      this.saved = text;
      this.stopped = false;
      // Otherwise something was entered meanwhile.
      if (this.timer === null) this.tell("saved");
    } else if (answer?.status === 409) {
      this.stopped = true;
      this.tell("conflict", await answer.json());
    } else {
      this.tell("lost");
      if (!keepalive) this.timer = setTimeout(() => this.save(), 5_000);
    }
  }

  // The draft of the same person on the server.
  async newest() {
    const answer = await fetch(this.address.replace("/draft?", "?")).catch(() => null);
    if (!answer?.ok) return null;
    const question = await answer.json();
    return question.drafts.find((draft) => draft.author === this.me) ?? null;
  }

  take(draft) { this.version = draft.version; this.stopped = false; }
}
