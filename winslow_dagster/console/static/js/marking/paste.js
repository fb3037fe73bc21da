// Reads points from what people paste: cells of a spreadsheet, CSV with "," or ";" and decimal commas, WKT as QGIS copies it, GeoJSON.
const WKT = /POINT\s*Z?\s*\(\s*(-?[\d.]+(?:e[+-]?\d+)?)\s+(-?[\d.]+(?:e[+-]?\d+)?)/i;
const NUMBER = /^[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?$/i;
const HEADERS = {
  wkt: /^(wkt|wkt_geom|geom|geometry)$/i,
  label: /^(label|name|point|punkt|bezeichnung)$/i,
  id: /^(id|fid|nr|no)\.?$/i,
  x: /^(x_?px|px_?x|pixel_?x|col|column|spalte)$/i,
  y: /^(y_?px|px_?y|pixel_?y|row|zeile)$/i,
  east: /^(x|x_?m|e|east|easting|rechtswert|lon|long|longitude|longitude_deg|länge)$/i,
  north: /^(y|y_?m|n|north|northing|hochwert|lat|latitude|latitude_deg|breite)$/i,
};

// A number as people write it, with a point or a comma; null if it is none.
export function parseNumber(text) {
  const trimmed = String(text).trim().replaceAll(/[  ']/g, "");
  return NUMBER.test(trimmed) ? Number(trimmed.replace(",", ".")) : null;
}

// [{ label, x, y, world }]. Two numbers are world coordinates, or pixels in a field without any; four are pixels, then world.
export function parsePoints(text, { world = true } = {}) {
  const trimmed = text.trim();
  if (trimmed.startsWith("{") || trimmed.startsWith("[")) return fromJson(JSON.parse(trimmed));
  const lines = trimmed.split(/\r?\n/).filter((line) => line.trim());
  const delimiter = delimiterOf(lines);
  const rows = lines.map((line) => cells(line, delimiter));
  const columns = headerOf(rows[0] ?? []);
  if (columns) rows.shift();
  return rows.map((row, index) => fromRow(row, columns, world) ?? fail(lines[index + (columns ? 1 : 0)])).filter(Boolean);
}

function fail(line) {
  throw new Error(`"${line.slice(0, 60)}" is not a point. Expected a name and coordinates, such as: kerb; 12,5; 30,1`);
}

function delimiterOf(lines) {
  const all = (character) => lines.length > 0 && lines.every((line) => line.includes(character));
  // With ";" or tabs between cells, a comma is a decimal one.
  return ["\t", ";"].find(all) ?? (all(",") && !lines.some((line) => WKT.test(line)) ? "," : lines.some((line) => WKT.test(line)) ? "\t" : " ");
}

function cells(line, delimiter) {
  if (delimiter === " ") return line.trim().split(/\s+/);
  const found = [];
  let cell = "", quoted = false;
  for (const character of line) {
    if (character === '"') quoted = !quoted;
    else if (character === delimiter && !quoted) { found.push(cell.trim()); cell = ""; } else cell += character;
  }
  return [...found, cell.trim()];
}

function headerOf(row) {
  if (row.some((cell) => parseNumber(cell) !== null) || row.some((cell) => WKT.test(cell))) return null;
  const columns = {};
  row.forEach((cell, index) => {
    for (const [name, pattern] of Object.entries(HEADERS)) if (pattern.test(cell) && !(name in columns)) { columns[name] = index; return; }
  });
  return ["east", "x", "wkt"].some((name) => name in columns) ? columns : null;
}

function fromRow(row, columns, world) {
  for (const [index, cell] of row.entries()) {
    const wkt = WKT.exec(cell);
    if (wkt) {
      const named = columns ? row[columns.label ?? columns.id] : null;
      const label = named || (row.find((other, place) => place !== index && other !== "" && parseNumber(other) === null) ?? row.find((other, place) => place !== index && other !== "")) || null;
      return { label, x: null, y: null, world: [Number(wkt[1]), Number(wkt[2])] };
    }
  }
  if (columns) {
    const value = (name) => (name in columns ? parseNumber(row[columns[name]] ?? "") : null);
    const [east, north, x, y] = ["east", "north", "x", "y"].map(value);
    const label = row[columns.label ?? columns.id] || null;
    if ((east === null || north === null) && (x === null || y === null)) return label === null ? null : undefined;
    return { label, x: y === null ? null : x, y: x === null ? null : y, world: east === null || north === null ? null : [east, north] };
  }
  let label = null, numbers = row;
  // A first cell beside two or four numbers is a name, also if it is a number.
  if (parseNumber(row[0] ?? "") === null || row.filter((cell) => cell !== "").length % 2 === 1) { label = row[0] || null; numbers = row.slice(1); }
  const values = numbers.filter((cell) => cell !== "").map(parseNumber);
  if (values.some((value) => value === null)) return null;
  if (values.length === 4) return { label, x: values[0], y: values[1], world: [values[2], values[3]] };
  if (values.length !== 2) return null;
  return world ? { label, x: null, y: null, world: values } : { label, x: values[0], y: values[1], world: null };
}

function fromJson(data) {
  if (Array.isArray(data)) return data.map((each) => ({ label: each.label ?? null, x: each.x ?? null, y: each.y ?? null, world: each.world ?? null }));
  if (Array.isArray(data.points)) {
    // A points file of the TrackerApplication counts pixels from the centre of the first one.
    return data.points.map((each) => ({
      label: each.name ?? null, x: each.x_px + 0.5, y: each.y_px + 0.5,
      world: each.longitude_deg != null ? [each.longitude_deg, each.latitude_deg] : each.x_m != null ? [each.x_m, each.y_m] : null,
    }));
  }
  const features = data.type === "FeatureCollection" ? data.features : data.type === "Feature" ? [data] : [{ geometry: data, properties: {} }];
  const points = features.filter((each) => each.geometry?.type === "Point").map((each) => {
    const { name, label, id } = each.properties ?? {};
    const named = label ?? name ?? id ?? each.id ?? null;
    return { label: named === null ? null : String(named), x: null, y: null, world: each.geometry.coordinates.slice(0, 2) };
  });
  if (!points.length) throw new Error("There is no point in it. Expected GeoJSON with points, or a points file.");
  return points;
}
