// Small files like those that the training renders.

/** Pixels of a side. */
const SIZE = 8;

/** Writes pictures of one colour each into a folder. */
export async function writeData(
  folder: string,
  names: readonly string[],
  colors: readonly (readonly number[])[],
  styles: readonly string[] = names.map(() => "noto"),
): Promise<void> {
  const listing = { size: SIZE, names: names.map((name, i) => ({ name, style: styles[i] })) };
  await Deno.writeTextFile(`${folder}/names.json`, JSON.stringify(listing));
  const rgba = Uint8Array.from(colors.flatMap((color) => Array(SIZE * SIZE).fill(color).flat()));
  const packed = new Blob([rgba]).stream().pipeThrough(new CompressionStream("gzip"));
  await Deno.writeFile(`${folder}/rgba.bin.gz`, packed);
}
