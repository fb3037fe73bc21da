// Where things that move are at a time.
export function bisect(sorted, value) {
  let low = 0, high = sorted.length;
  while (low < high) { const middle = (low + high) >> 1; if (sorted[middle] <= value) low = middle + 1; else high = middle; }
  return low - 1;
}

// Where the thing is at the time: between two positions.
export function at(track, time) {
  const index = bisect(track.t, time);
  if (index < 0 || time > track.t.at(-1)) return null;
  const next = Math.min(index + 1, track.t.length - 1);
  const span = track.t[next] - track.t[index];
  const share = span > 0 ? (time - track.t[index]) / span : 0;
  return { x: track.x[index] + (track.x[next] - track.x[index]) * share, y: track.y[index] + (track.y[next] - track.y[index]) * share, speed: track.speed[index], index };
}
