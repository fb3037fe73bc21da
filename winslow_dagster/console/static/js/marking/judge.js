// Asks the server what it thinks of what is entered, a moment after each change. The latest question counts.
const AFTER_MS = 250;

export class Judge {
  constructor({ address, query, values, show }) {
    Object.assign(this, { address: `${address}/judgement?${query}`, values, show });
    this.timer = null;
    this.asking = null;
  }

  changed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), AFTER_MS);
  }

  async ask() {
    this.asking?.abort();
    const asking = (this.asking = new AbortController());
    const sent = { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ values: this.values() }), signal: asking.signal };
    const answer = await fetch(this.address, sent).catch(() => null);
    if (answer?.ok && this.asking === asking) this.show(await answer.json());
  }
}
