import { assertEquals, assertRejects } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { readPictureFolder } from "../../src/training/picture_folder.ts";
import { encodePictures } from "../../src/training/training_examples.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { stripes, tinyModel, writePictures } from "./pictures.ts";

/** Names and captions of a folder's pictures. */
async function captionsOf(path: string): Promise<[name: string, caption: string][]> {
  const pictures = await readPictureFolder(path);
  return pictures.map(({ name, caption }) => [name.slice(path.length + 1), caption]);
}

Deno.test("readPictureFolder() takes captions from names of files", () =>
  inTemporaryFolder(async (path) => {
    await writePictures(path, ["red-apple_2.png", "A Cat, flat style (3).PNG", "7.png", ".x.png"]);
    await writePictures(`${path}/more`, ["1st place medal.jpg"]);
    await Deno.writeTextFile(`${path}/README.md`, "");
    assertEquals(await captionsOf(path), [
      ["7.png", "7"],
      ["A Cat, flat style (3).PNG", "A Cat, flat style"],
      ["more/1st place medal.jpg", "1st place medal"],
      ["red-apple_2.png", "red apple"],
    ]);
    const [, cat] = await readPictureFolder(path);
    assertEquals((await cat!.read()).data, stripes(1).data);
  }));

Deno.test("readPictureFolder() takes captions from text files beside the pictures", () =>
  inTemporaryFolder(async (path) => {
    await writePictures(path, ["a.png", "b.png"]);
    await Deno.writeTextFile(`${path}/a.txt`, " a red\napple \n");
    await assertRejects(() => readPictureFolder(path), RangeError, '"b.png" has no .txt beside it');
    await Deno.writeTextFile(`${path}/b.txt`, "a pear");
    assertEquals(await captionsOf(path), [["a.png", "a red apple"], ["b.png", "a pear"]]);
    await Deno.rename(`${path}/b.txt`, `${path}/b.TXT`);
    assertEquals(await captionsOf(path), [["a.png", "a red apple"], ["b.png", "a pear"]]);
    await Deno.rename(`${path}/b.TXT`, `${path}/b.txt`);
    await Deno.writeTextFile(`${path}/b.txt`, "\n");
    await assertRejects(() => readPictureFolder(path), RangeError, '"b.png" has no caption');
    await Deno.writeFile(`${path}/b.txt`, Uint8Array.of(0xff));
    await assertRejects(() => readPictureFolder(path), SyntaxError, "b.txt: it is not UTF-8");
  }));

Deno.test("readPictureFolder() takes captions from metadata.jsonl", () =>
  inTemporaryFolder(async (path) => {
    await writePictures(path, ["a.png"]);
    await writePictures(`${path}/more`, ["b.png"]);
    const write = (...lines: readonly unknown[]) =>
      Deno.writeTextFile(
        `${path}/metadata.jsonl`,
        lines.map((line) => typeof line === "string" ? line : JSON.stringify(line)).join("\n"),
      );
    const [a, b] = [
      { file_name: "a.png", text: "an apple", more: 1 },
      { file_name: "./more\\b.png", text: "a banana" },
    ];
    await write(a, "", b);
    assertEquals(await captionsOf(path), [["a.png", "an apple"], ["more/b.png", "a banana"]]);
    await write(a);
    await assertRejects(
      () => readPictureFolder(path),
      RangeError,
      '"more/b.png" is not in metadata.jsonl',
    );
    await write(a, b, { file_name: "c.png", text: "a cherry" });
    await assertRejects(
      () => readPictureFolder(path),
      RangeError,
      'names "c.png", which is not there',
    );
    await write(a, "{");
    await assertRejects(() => readPictureFolder(path), SyntaxError, "line 2: it is no JSON");
    await write({ file_name: "a.png", caption: "an apple" });
    await assertRejects(
      () => readPictureFolder(path),
      SyntaxError,
      "line 1: it is",
    );
  }));

Deno.test("readPictureFolder() refuses captions that it does not read", () =>
  inTemporaryFolder(async (path) => {
    await writePictures(`${path}/train`, ["a.png"]);
    for (const file of ["metadata.csv", "train/metadata.parquet", "train/metadata.jsonl"]) {
      await Deno.writeTextFile(`${path}/${file}`, "");
      await assertRejects(
        () => readPictureFolder(path),
        RangeError,
        `"${file}" is not read, expected captions in a metadata.jsonl of the folder itself, if any`,
      );
      await Deno.remove(`${path}/${file}`);
    }
    assertEquals(await captionsOf(path), [["train/a.png", "a"]]);
  }));

Deno.test("readPictureFolder() leaves out the samples of a training in the folder", () =>
  inTemporaryFolder(async (path) => {
    await writePictures(path, ["a.png", "samples-000001.png"]);
    await writePictures(`${path}/training`, ["samples-000001.png", "b.png"]);
    await writePictures(`${path}/model/training`, ["samples-1000000.png"]);
    const captions = await captionsOf(path);
    assertEquals(captions.map(([name]) => name), ["a.png", "samples-000001.png", "training/b.png"]);
    const below = await captionsOf(`${path}/training`);
    assertEquals(below.map(([name]) => name), ["b.png", "samples-000001.png"]);
  }));

Deno.test("readPictureFolder() refuses folders that cannot be trained with", () =>
  inTemporaryFolder(async (path) => {
    await assertRejects(() => readPictureFolder(path), RangeError, "there are no pictures");
    await assertRejects(() => readPictureFolder(`${path}/none`), TypeError, "Cannot read ");
    await writePictures(path, ["a.png", "b.webp"]);
    await assertRejects(() => readPictureFolder(path), RangeError, '"b.webp" cannot be read');
  }));

Deno.test("readPictureFolder() follows links to files, and no others", () =>
  inTemporaryFolder(async (path) => {
    await writePictures(`${path}/pictures`, ["a.png"]);
    await writePictures(`${path}/elsewhere`, ["b.png"]);
    await Deno.symlink(`${path}/elsewhere/b.png`, `${path}/pictures/link.png`);
    await Deno.symlink(`${path}/pictures`, `${path}/pictures/round`);
    await Deno.symlink(`${path}/gone.png`, `${path}/pictures/gone.png`);
    const found = await readPictureFolder(`${path}/pictures`);
    assertEquals(found.map(({ caption }) => caption), ["a", "link"]);
  }));

Deno.test("encodePictures() takes the middle of each, and names those that are broken", () =>
  inTemporaryFolder(async (path) => {
    await using model = await tinyModel();
    const { components } = model;
    await writePictures(path, ["a.png"]);
    const counts: number[] = [];
    const [example] = await encodePictures(components, await readPictureFolder(path), {
      onProgress: (done, total) => counts.push(done, total),
    });
    assertEquals(counts, [1, 1]);
    const side = components.transformer.config.sampleSize * components.vqvae.scaleFactor;
    assertEquals(example!.tokens.length, components.transformer.config.sampleSize ** 2);
    // A wide picture with the same in its middle.
    const square = stripes(0, side);
    const wide = new RasterImage(new Uint8ClampedArray(8 * side * side), 2 * side, side);
    for (let y = 0; y < side; y++) {
      const row = square.data.subarray(4 * y * side, 4 * (y + 1) * side);
      wide.data.set(row, 4 * (2 * y * side + side / 2));
    }
    const encode = (image: RasterImage) =>
      encodePictures(components, [{ name: "x", caption: "x", read: () => Promise.resolve(image) }]);
    assertEquals(await encode(wide), await encode(square));

    await Deno.writeTextFile(`${path}/b.png`, "no picture");
    const bytes = await Deno.readFile(`${path}/a.png`);
    await Deno.writeFile(`${path}/c.png`, bytes.subarray(0, 60));
    await Deno.writeTextFile(`${path}/d.jpg`, "");
    await assertRejects(
      async () => await encodePictures(components, await readPictureFolder(path)),
      SyntaxError,
      `Cannot train: 3 of 4 pictures cannot be read: ${path}/b.png (`,
    );
    await assertRejects(() => encodePictures(components, []), RangeError, "there are no pictures");
  }));
