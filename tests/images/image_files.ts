// Pictures that other programs wrote, and what ImageMagick reads in them.

const FOLDER = new URL("../fixtures/images/", import.meta.url);

/** Names of the files that end so, without the ending. */
export function namesOf(ending: string): string[] {
  return [...Deno.readDirSync(FOLDER)].map(({ name }) => name)
    .filter((name) => name.endsWith(ending)).map((name) => name.slice(0, -ending.length)).sort();
}

/** The bytes of a file. */
export function readFixture(name: string): Uint8Array<ArrayBuffer> {
  return Deno.readFileSync(new URL(name, FOLDER));
}

/** The greatest and the mean difference of bytes. */
export function differences(actual: ArrayLike<number>, expected: ArrayLike<number>) {
  let [most, sum] = [0, 0];
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    most = Math.max(most, difference);
    sum += difference;
  }
  return { most, mean: sum / expected.length };
}

/** The colours of RGBA pixels. */
export function withoutAlpha(data: Uint8ClampedArray): Uint8ClampedArray {
  return data.filter((_, i) => i % 4 < 3);
}
