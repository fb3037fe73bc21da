// Curves of several attempts in one chart.
const HEIGHT = 360;

class OverlayChart extends HTMLElement {
  connectedCallback() {
    const { uPlot } = window;
    const curves = JSON.parse(this.dataset.curves), names = JSON.parse(this.dataset.names), colours = JSON.parse(this.dataset.colours);
    const drawn = curves.map((curve, place) => ({ ...curve, place })).filter((curve) => curve.x.length);
    this.replaceChildren();
    if (!drawn.length) {
      const text = document.createElement("p");
      text.className = "help";
      text.textContent = "There is nothing to draw.";
      this.append(text);
      return;
    }
    const data = uPlot.join(drawn.map((curve) => [curve.x, curve.y]));
    const draw = () => {
      this.chart?.destroy();
      const colour = (name) => getComputedStyle(this).getPropertyValue(name).trim();
      const probe = document.createElement("span");
      this.append(probe);
      const resolved = (name) => { probe.style.color = `var(${name})`; return getComputedStyle(probe).color; };
      const axis = { stroke: resolved("--text-soft"), grid: { stroke: resolved("--line"), width: 1 }, ticks: { stroke: resolved("--line"), width: 1 }, font: `12px ${colour("--sans")}` };
      this.chart = new uPlot({
        width: this.clientWidth - 24,
        height: HEIGHT,
        scales: { x: { time: false } },
        cursor: { drag: { x: true, y: false } },
        axes: [{ ...axis, label: this.dataset.x, labelSize: 24 }, { ...axis, label: this.dataset.y, labelSize: 24, size: 64 }],
        series: [
          { label: this.dataset.x },
          ...drawn.map((curve) => ({ label: names[curve.place], stroke: resolved(`--c${colours[curve.place]}`), width: 1.5, dash: curve.place % 2 ? [6, 3] : undefined, spanGaps: true, points: { show: curve.x.length < 60 } })),
        ],
      }, data, this);
      probe.remove();
    };
    draw();
    this.observer = new ResizeObserver(() => { if (this.chart && Math.abs(this.chart.width - (this.clientWidth - 24)) > 2) this.chart.setSize({ width: this.clientWidth - 24, height: HEIGHT }); });
    this.observer.observe(this);
    // The colours of the other scheme.
    this.scheme = matchMedia("(prefers-color-scheme: dark)");
    this.redraw = draw;
    this.scheme.addEventListener("change", draw);
  }

  disconnectedCallback() {
    this.observer?.disconnect();
    this.scheme?.removeEventListener("change", this.redraw);
    this.chart?.destroy();
  }
}

customElements.define("overlay-chart", OverlayChart);
