// Renders the drawings that the embedded model has learned: see `USAGE`.

import { integerOption, UsageError } from "../src/cli/arguments.ts";
import { runScript } from "../tools/script.ts";
import { KNOWN_NAMES } from "./known_names.ts";
import { isMirrored, mirrored } from "./render/mirrored.ts";
import { type IconSet, keysOf, loadSet, nameOf, svgOf } from "./render/sets.ts";

const USAGE = `Renders the drawings that the embedded model has learned, in six styles.

    deno run --allow-all --no-lock evaluation/render_drawings.ts <folder> [options]

<folder>       where names.json and rgba.bin.gz are written
--size n       pixels of a side, at least 64; default: 128

The vector drawings and what draws them, sharp, are fetched from npm: some 70 MB, once. The styles noto,
fluent and flat are those of all names; twemoji and blob (Noto Emoji as it was until 2017) those of names
that Noto has; "mirrored noto" those of names in weights/names.json that a mirror changes, without
letters, digits and the like.`;

/** Packages of the styles, and the versions that the model has learned. */
const SETS = [
  { style: "noto", set: "noto", version: "1.2.9" },
  { style: "fluent", set: "fluent-emoji", version: "1.2.7" },
  { style: "flat", set: "fluent-emoji-flat", version: "1.2.6" },
  { style: "blob", set: "noto-v1", version: "1.2.5" },
  { style: "twemoji", set: "twemoji", version: "1.2.5" },
] as const;

/** Styles of names that Noto has. */
const LATER: readonly string[] = ["blob", "twemoji"];

/** Least side: whether a drawing is mirrored is decided at this one. */
const LEAST_SIZE = 64;

/** A drawing with less than this share of opaque pixels is no drawing. */
const LEAST_SHOWN = 0.03;

/** Draws an SVG document as RGBA, alpha not premultiplied. */
type Draw = (svg: string, side: number) => Promise<Uint8Array<ArrayBuffer>>;

interface Picture {
  readonly name: string;
  readonly style: string;
  readonly rgba: Uint8Array<ArrayBuffer>;
}

async function loadSharp(): Promise<Draw> {
  const specifier = "npm:sharp@0.35.5";
  const { default: sharp } = await import(specifier);
  return async (svg, side) => {
    const document = new TextEncoder().encode(svg);
    return new Uint8Array(await sharp(document).resize(side, side).ensureAlpha().raw().toBuffer());
  };
}

async function rendered(set: IconSet, key: string, side: number, draw: Draw) {
  const rgba = await draw(svgOf(set, key, 2 * side), side);
  let shown = 0;
  for (let i = 3; i < rgba.length; i += 4) shown += rgba[i]! / 255;
  return shown < LEAST_SHOWN * side ** 2 ? undefined : rgba;
}

async function drawAll(size: number): Promise<Picture[]> {
  const draw = await loadSharp();
  const pictures: Picture[] = [];
  const known = new Set(KNOWN_NAMES);
  const mirrors: Picture[] = [];
  const inNoto = new Set<string>();
  for (const { style, set: name, version } of SETS) {
    const set = await loadSet(name, version);
    for (const key of keysOf(set)) {
      const name = nameOf(key);
      if (LATER.includes(style) && !inNoto.has(name)) continue;
      const rgba = await rendered(set, key, size, draw);
      if (rgba === undefined) continue;
      pictures.push({ name, style, rgba });
      if (style !== "noto") continue;
      inNoto.add(name);
      if (!known.has(name)) continue;
      const small = size === LEAST_SIZE ? rgba : await rendered(set, key, LEAST_SIZE, draw);
      if (small === undefined || !isMirrored(name, small)) continue;
      mirrors.push({ name, style: "mirrored noto", rgba: mirrored(rgba, size) });
    }
    console.error(`${pictures.length} drawings`);
  }
  return [...pictures, ...mirrors];
}

async function write(folder: string, size: number): Promise<void> {
  const pictures = await drawAll(size);
  await Deno.mkdir(folder, { recursive: true });
  const file = await Deno.open(`${folder}/rgba.bin.gz`, {
    create: true,
    truncate: true,
    write: true,
  });
  await new Blob(pictures.map(({ rgba }) => rgba)).stream()
    .pipeThrough(new CompressionStream("gzip")).pipeTo(file.writable);
  const names = pictures.map(({ name, style }) => ({ name, style }));
  await Deno.writeTextFile(`${folder}/names.json`, JSON.stringify({ size, names }));
  console.log(`${names.length} drawings in ${folder}`);
}

await runScript({
  usage: USAGE,
  options: { size: { type: "string", default: "128" } },
  positionals: true,
  run({ values, positionals }) {
    const [folder, ...others] = positionals;
    if (folder === undefined || others.length > 0) throw new UsageError("Expected one folder");
    const size = integerOption("size", values.size)!;
    if (size < LEAST_SIZE) throw new UsageError(`--size is ${size}, expected 64 or more`);
    return write(folder, size);
  },
});
