import { assertAlmostEquals, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { learnedTokens, tokensOf } from "../../evaluation/right_tokens.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { VQModel } from "../../src/models/vq_model.ts";
import { encodeZip } from "../checkpoints/torch/zip_writer.ts";
import { temporaryFolder } from "../temporary_folder.ts";

/** A file of NumPy's format. */
function npy(
  type: string,
  shape: string,
  values: ArrayBufferView<ArrayBuffer>,
): Uint8Array<ArrayBuffer> {
  const header = `{'descr': '${type}', 'fortran_order': False, 'shape': (${shape}), }`.padEnd(117) +
    "\n";
  const bytes = new Uint8Array(values.buffer);
  const file = new Uint8Array(10 + header.length + bytes.length);
  file.set([0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length, 0]);
  file.set(new TextEncoder().encode(header), 10);
  file.set(bytes, 10 + header.length);
  return file;
}

/** Names as NumPy stores them, of 10 characters at most. */
function namesOf(names: readonly string[]): Uint32Array<ArrayBuffer> {
  return Uint32Array.from(names.flatMap((name) => {
    return Array.from({ length: 10 }, (_, i) => name.codePointAt(i) ?? 0);
  }));
}

Deno.test("learnedTokens() reads the table of a training", async () => {
  await using folder = await temporaryFolder();
  const path = `${folder.path}/tokens.npz`;
  // Nothing is to be seen in places 1 and 3 of the first drawing and in place 0 of the second.
  const empty = Uint8Array.of(0b01011000);
  const archive = await encodeZip([
    ["white.npy", npy("<i2", "2, 4", Int16Array.of(5, 6, 1023, 8, 1, 2, 3, 4))],
    ["empty.npy", npy("|u1", "1,", empty)],
    ["drawings.npy", npy("<U10", "2,", namesOf(["noto cat", "flat cat"]))],
  ], { deflate: true });
  await Deno.writeFile(path, archive);
  const rightTokens = await learnedTokens(path);
  assertEquals(await rightTokens("cat", "noto"), {
    tokens: Int32Array.of(5, 6, 1023, 8),
    shown: [true, false, true, false],
  });
  assertEquals(await rightTokens("cat", "flat"), {
    tokens: Int32Array.of(1, 2, 3, 4),
    shown: [false, true, true, true],
  });
  assertThrows(() => rightTokens("dog", "noto"), RangeError, "no tokens of it in noto style");
  await Deno.writeFile(path, await encodeZip([["white.npy", npy("<i2", "0,", new Int16Array())]]));
  await assertRejects(() => learnedTokens(path), RangeError, "there is no such file");
});

Deno.test("tokensOf() gives tokens that decode to the picture", async () => {
  const weights = new URL("../../weights/", import.meta.url);
  const options = { subfolder: "vqvae", device: "wasm", threads: 1 } as const;
  await using vqvae = await VQModel.fromPretrained(weights, options);
  const side = 8 * vqvae.scaleFactor;
  const image = new RasterImage(new Uint8ClampedArray(4 * side * side).fill(255), side, side);
  // The quarters differ, so that rows, columns and channels are not mistaken for each other.
  const quarters = [[226, 60, 60], [70, 175, 90], [60, 120, 225], [252, 222, 80]] as const;
  const quarterOf = (x: number, y: number) => {
    return quarters[(y < side / 2 ? 0 : 2) + (x < side / 2 ? 0 : 1)]!;
  };
  for (let i = 0; i < side * side; i++) {
    image.data.set(quarterOf(i % side, Math.floor(i / side)), i * 4);
  }
  const tokens = await tokensOf(vqvae, image);
  assertEquals(tokens.length, 64);
  using indices = vqvae.backend.tensor(tokens, [1, 64]);
  using decoded = vqvae.decodeIndices(indices);
  const values = await decoded.data();
  const [near, far] = [side / 4, 3 * side / 4];
  for (const [x, y] of [[near, near], [far, near], [near, far], [far, far]] as const) {
    const actual = [0, 1, 2].map((c) => 127.5 * (values[(c * side + y) * side + x]! + 1));
    // The colours lie 100 and more apart; those of the model are some 10 off.
    quarterOf(x, y).forEach((value, c) => assertAlmostEquals(actual[c]!, value, 40));
  }
});
