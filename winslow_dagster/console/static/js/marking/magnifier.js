// Shows the pixels around a place, enlarged, while a point is moved.
const TIMES = 8;

export class Magnifier {
  constructor(canvas, picture) {
    this.canvas = canvas;
    this.picture = picture;
  }

  // Beside the place, and never over it.
  show({ x, y }, { clientX, clientY }) {
    const { canvas, picture } = this, half = canvas.width / 2;
    const context = canvas.getContext("2d");
    context.imageSmoothingEnabled = false;
    context.fillStyle = "#808080";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const seen = canvas.width / TIMES;
    context.drawImage(picture, x - seen / 2, y - seen / 2, seen, seen, 0, 0, canvas.width, canvas.height);
    for (const [colour, width] of [["#000", 3], ["#fff", 1]]) {
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.beginPath();
      for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
        context.moveTo(half + dx * 6, half + dy * 6);
        context.lineTo(half + dx * half, half + dy * half);
      }
      context.stroke();
    }
    const board = canvas.parentElement.getBoundingClientRect();
    const left = clientX - board.left, top = clientY - board.top, size = canvas.offsetWidth || canvas.width;
    canvas.hidden = false;
    canvas.style.left = `${left > board.width / 2 ? left - size - 32 : left + 32}px`;
    canvas.style.top = `${Math.min(Math.max(top - size / 2, 8), Math.max(8, board.height - size - 8))}px`;
  }

  hide() { this.canvas.hidden = true; }
}
