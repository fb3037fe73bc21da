// Size, and CRC-32 of the first and the last MiB, as `fingerprint_of` of the server and of the command line computes it.
const ENDS_BYTES = 1 << 20;

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit += 1) byte = byte & 1 ? 0xedb88320 ^ (byte >>> 1) : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) crc = TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (~crc >>> 0).toString(16).padStart(8, "0");
}

export async function fingerprintOf(file) {
  const ends = [file.slice(0, ENDS_BYTES), file.slice(Math.max(0, file.size - ENDS_BYTES))];
  const [first, last] = await Promise.all(ends.map(async (part) => crc32(new Uint8Array(await part.arrayBuffer()))));
  return `${file.size}-${first}-${last}`;
}
