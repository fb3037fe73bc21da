// Boxes in pixels: x, y (centre), angle (clockwise from x), length, width.

const LEAST_PX = 2;

export function axes(box) {
  const [cosine, sine] = [Math.cos(box.angle), Math.sin(box.angle)];
  return { ahead: [cosine, sine], aside: [-sine, cosine] };
}

// The point so far ahead of the centre, and so far to the right of it.
export function point(box, along, across) {
  const { ahead, aside } = axes(box);
  return [box.x + along * ahead[0] + across * aside[0], box.y + along * ahead[1] + across * aside[1]];
}

export function corners(box) {
  const [l, w] = [box.length / 2, box.width / 2];
  return [[l, -w], [l, w], [-l, w], [-l, -w]].map(([along, across]) => point(box, along, across));
}

// Where the squares for resizing are, and the circle for turning.
export function handles(box, beyond) {
  const [l, w] = [box.length / 2, box.width / 2];
  return {
    front: point(box, l, 0), rear: point(box, -l, 0), left: point(box, 0, -w), right: point(box, 0, w),
    turn: point(box, l + beyond, 0),
  };
}

export function moved(box, dx, dy) {
  return { ...box, x: box.x + dx, y: box.y + dy };
}

export function turnedTo(box, [x, y]) {
  return { ...box, angle: Math.atan2(y - box.y, x - box.x) };
}

// One side is dragged to a point; the opposite one stays.
export function resized(box, side, [x, y]) {
  const { ahead, aside } = axes(box);
  const [axis, measure] = side === "front" || side === "rear" ? [ahead, "length"] : [aside, "width"];
  const sign = side === "front" || side === "right" ? 1 : -1;
  const reach = sign * ((x - box.x) * axis[0] + (y - box.y) * axis[1]);
  const size = Math.max(LEAST_PX, reach + box[measure] / 2);
  const shift = sign * (size - box[measure]) / 2;
  return { ...box, [measure]: size, x: box.x + shift * axis[0], y: box.y + shift * axis[1] };
}

// A new vehicle, drawn from its rear to its front.
export function drawn([x0, y0], [x1, y1], shape) {
  const length = Math.max(LEAST_PX, Math.hypot(x1 - x0, y1 - y0));
  return { x: (x0 + x1) / 2, y: (y0 + y1) / 2, angle: Math.atan2(y1 - y0, x1 - x0), length, width: length * shape };
}
