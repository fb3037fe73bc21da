// A folder as one stream of bytes, byte for byte as `storage/folder_stream.py` makes it: a tar archive of its files in the
// order of their paths. The content of the files is not read for that.
const BLOCK_BYTES = 512;
const LARGEST_IN_HEADER = 8 * 2 ** 30;
const text = new TextEncoder();

function record(key, value) {
  const rest = text.encode(` ${key}=${value}\n`);
  let length = rest.length + String(rest.length).length;
  if (String(length).length + rest.length !== length) length += 1;
  return [text.encode(String(length)), rest];
}

function block(name, size, kind) {
  const bytes = new Uint8Array(BLOCK_BYTES);
  const write = (at, value) => bytes.set(text.encode(value), at);
  write(0, name);
  write(100, "0000644\0" + "0000000\0".repeat(2));
  write(124, `${size.toString(8).padStart(11, "0")}\0${"0".repeat(11)}\0`);
  write(148, " ".repeat(8));
  write(156, kind);
  write(257, "ustar\x0000");
  write(148, `${bytes.reduce((sum, byte) => sum + byte, 0).toString(8).padStart(6, "0")}\0 `);
  return bytes;
}

const padding = (size) => new Uint8Array((BLOCK_BYTES - (size % BLOCK_BYTES)) % BLOCK_BYTES);

function head(number, path, size) {
  const body = [...record("path", path), ...record("size", size)];
  const length = body.reduce((sum, part) => sum + part.length, 0);
  return [block("pax", length, "x"), ...body, padding(length), block(String(number).padStart(8, "0"), size < LARGEST_IN_HEADER ? size : 0, "0")];
}

function before(one, other) {
  const [a, b] = [text.encode(one.path), text.encode(other.path)];
  for (let at = 0; at < Math.min(a.length, b.length); at += 1) if (a[at] !== b[at]) return a[at] - b[at];
  return a.length - b.length;
}

// `files` have `path` below the folder and `file`.
export function folderStream(files) {
  const parts = [...files].sort(before).flatMap(({ path, file }, number) => [...head(number, path, file.size), file, padding(file.size)]);
  return new Blob([...parts, new Uint8Array(2 * BLOCK_BYTES)]);
}
