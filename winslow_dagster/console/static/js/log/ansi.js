// What a stage printed, as text that can be shown: colours become class names, every other escape sequence is left out, and
// characters that a reader could not see, or that would turn the rest of the line around, are shown as signs.
// A sign stands for exactly one character, so that columns of the shown text are those of the copied one.
const SEQUENCE = /\x1b\[([0-?]*)[ -/]*([@-~])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[^[\]]?/g;
const UNSEEN = /[\x00-\x08\x0a-\x1f\x7f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]/g;
const NAMES = ["black", "red", "green", "yellow", "blue", "magenta", "cyan", "white"];

function visible(text) {
  return text.replace(UNSEEN, (sign) => {
    const code = sign.charCodeAt(0);
    if (code < 0x20) return String.fromCharCode(0x2400 + code);
    return code === 0x7f ? "\u2421" : "\u2426";
  });
}

// The nearest of the eight colours, which have a readable shade in the dark and in the light.
function named(red, green, blue) {
  const most = Math.max(red, green, blue);
  const bit = (part) => (part > most / 2 && part > 40 ? 1 : 0);
  return NAMES[bit(red) + 2 * bit(green) + 4 * bit(blue)];
}

function indexed(index) {
  if (index < 16) return NAMES[index % 8];
  if (index > 231) return index < 244 ? "black" : "white";
  const part = (value) => (value ? 55 + 40 * value : 0);
  const place = index - 16;
  return named(part(Math.floor(place / 36)), part(Math.floor(place / 6) % 6), part(place % 6));
}

function apply(style, codes) {
  for (let at = 0; at < codes.length; at += 1) {
    const code = codes[at];
    if (code === 0) { for (const key of Object.keys(style)) delete style[key]; }
    else if (code === 1) style.weight = "bold";
    else if (code === 2) style.weight = "dim";
    else if (code === 3) style.slant = "italic";
    else if (code === 4) style.under = "underline";
    else if (code === 22) delete style.weight;
    else if (code === 23) delete style.slant;
    else if (code === 24) delete style.under;
    else if (code === 39) delete style.colour;
    else if (code === 49) delete style.ground;
    else if (code === 38 || code === 48) {
      const key = code === 38 ? "colour" : "ground";
      let name = null;
      if (codes[at + 1] === 5) { name = indexed(codes[at + 2]); at += 2; }
      else if (codes[at + 1] === 2) { name = named(codes[at + 2], codes[at + 3], codes[at + 4]); at += 4; }
      if (name) style[key] = key === "colour" ? name : `on-${name}`;
    }
    else if (code >= 30 && code <= 37) style.colour = NAMES[code - 30];
    else if (code >= 90 && code <= 97) style.colour = NAMES[code - 90];
    else if (code >= 40 && code <= 47) style.ground = `on-${NAMES[code - 40]}`;
    else if (code >= 100 && code <= 107) style.ground = `on-${NAMES[code - 100]}`;
  }
}

// [{ text, classes }], without empty ones.
export function spans(text) {
  if (!text.includes("\x1b")) return [{ text: visible(text), classes: "" }];
  const found = [], style = {};
  let end = 0;
  const add = (upTo) => {
    if (upTo > end) found.push({ text: visible(text.slice(end, upTo)), classes: Object.values(style).map((name) => `sgr-${name}`).join(" ") });
  };
  for (const match of text.matchAll(SEQUENCE)) {
    add(match.index);
    end = match.index + match[0].length;
    if (match[2] === "m") apply(style, (match[1] || "0").split(/[;:]/).map(Number));
  }
  add(text.length);
  return found;
}

// The same without colours, as it is copied: signs are the characters that they stand for.
export function plain(text) {
  return text.includes("\x1b") ? text.replace(SEQUENCE, "") : text;
}
