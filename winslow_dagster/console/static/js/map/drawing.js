// Draws what a map shows, in the colours that it is given.
import { at, bisect } from "./tracks.js";

const TRAIL_S = 4;
const short = new Intl.NumberFormat(undefined, { maximumSignificantDigits: 4 });

export class MapDrawing {
  // `zoom` is { k, x, y }: screen = k × world + offset; `screen` gives the place of a position on the canvas.
  constructor(canvas, zoom, screen) {
    Object.assign(this, { pen: canvas.getContext("2d"), zoom, screen });
    const ratio = devicePixelRatio || 1;
    this.pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.pen.clearRect(0, 0, canvas.clientWidth, canvas.clientHeight);
    this.pen.lineJoin = this.pen.lineCap = "round";
  }

  drawPicture(picture) {
    const { k, x, y } = this.zoom;
    this.pen.imageSmoothingEnabled = k < 3;
    this.pen.drawImage(picture, x, y, picture.naturalWidth * k, picture.naturalHeight * k);
  }

  #path(xs, ys, from, to) {
    this.pen.beginPath();
    for (let index = from; index < to; index += 1) {
      const [x, y] = this.screen(xs[index], ys[index]);
      if (index === from) this.pen.moveTo(x, y); else this.pen.lineTo(x, y);
    }
  }

  drawTrack(track, color, strength, width) {
    this.pen.globalAlpha = strength;
    this.#path(track.x, track.y, 0, track.t.length);
    if (strength === 1) { this.pen.strokeStyle = "#fff"; this.pen.lineWidth = width + 2; this.pen.stroke(); }
    this.pen.strokeStyle = color;
    this.pen.lineWidth = width;
    this.pen.stroke();
    this.pen.globalAlpha = 1;
  }

  drawNow(track, color, time, chosen) {
    const now = at(track, time);
    if (!now) return;
    const [x, y] = this.screen(now.x, now.y);
    const first = Math.max(0, bisect(track.t, time - TRAIL_S));
    this.#path(track.x, track.y, first, now.index + 1);
    this.pen.lineTo(x, y);
    this.pen.strokeStyle = color;
    this.pen.lineWidth = 2.5;
    this.pen.stroke();
    this.pen.beginPath();
    this.pen.arc(x, y, chosen ? 7 : 5, 0, 2 * Math.PI);
    this.pen.fillStyle = color;
    this.pen.fill();
    this.pen.strokeStyle = "#fff";
    this.pen.lineWidth = 1.5;
    this.pen.stroke();
  }

  drawShape(shape, color, chosen) {
    this.pen.strokeStyle = color;
    this.pen.fillStyle = this.pen.strokeStyle;
    this.pen.lineWidth = chosen ? 3 : 1.5;
    for (const line of shape.lines) {
      if (line.length === 1) {
        const [x, y] = this.screen(...line[0]);
        this.pen.beginPath();
        this.pen.arc(x, y, chosen ? 6 : 4, 0, 2 * Math.PI);
        this.pen.fill();
        continue;
      }
      this.pen.beginPath();
      line.forEach((position, index) => { const [x, y] = this.screen(...position); if (index) this.pen.lineTo(x, y); else this.pen.moveTo(x, y); });
      if (shape.type.endsWith("Polygon")) { this.pen.globalAlpha = 0.15; this.pen.fill("evenodd"); this.pen.globalAlpha = 1; }
      this.pen.stroke();
    }
  }

  drawScale(color) {
    const target = 120 / this.zoom.k, power = 10 ** Math.floor(Math.log10(target));
    const length = [5, 2, 1].map((step) => step * power).find((each) => each <= target) ?? power;
    const y = this.pen.canvas.clientHeight - 14;
    this.pen.strokeStyle = this.pen.fillStyle = color;
    this.pen.lineWidth = 2;
    this.pen.beginPath();
    this.pen.moveTo(14, y - 5); this.pen.lineTo(14, y); this.pen.lineTo(14 + length * this.zoom.k, y); this.pen.lineTo(14 + length * this.zoom.k, y - 5);
    this.pen.stroke();
    this.pen.font = "12px sans-serif";
    this.pen.fillText(length >= 1000 ? `${length / 1000} km` : `${short.format(length)} m`, 20, y - 6);
  }
}
