// Repainting a part of a picture: which tokens are drawn, what of them is shown, and that the rest stays.

import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { createWebGpuBackend } from "../../src/backends/webgpu/backend.ts";
import { probeWebGpu } from "../../src/backends/webgpu/probe.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import { hold } from "../../src/pipeline/held_tokens.ts";
import { fitMask } from "../../src/pipeline/fit_pictures.ts";
import { type Inpainting, inpaintingOf, paste } from "../../src/pipeline/inpainting.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { folderOf, tinyFiles } from "./golden_runs.ts";

const { adapter } = await probeWebGpu({ allowSoftware: true });

/** Sides of the tiny model: of its images and in tokens. */
const [SIDE, TOKENS] = [32, 8];

/** A mask that is white where a function says so. */
function maskOf(width: number, height: number, isWhite: (x: number, y: number) => boolean) {
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) {
    if (!isWhite(i % width, Math.floor(i / width))) data.fill(0, 4 * i, 4 * i + 3);
  }
  return new RasterImage(data, width, height);
}

/** A picture of noise, so that no two pixels are the same by chance. */
function noise(width: number, height: number): RasterImage {
  const generator = new TorchGenerator(8);
  const data = Uint8ClampedArray.from({ length: 4 * width * height }, (_, i) => {
    return i % 4 === 3 ? 255 : generator.random32() & 0xff;
  });
  return new RasterImage(data, width, height);
}

const PICTURE = noise(SIDE, SIDE);

const MASK = maskOf(SIDE, SIDE, (x, y) => x >= 18 && y < 20);

/** Of each token whether MASK touches it: columns from 16, rows up to 20 pixels. */
const IS_DRAWN = Uint8Array.from({ length: TOKENS ** 2 }, (_, i) => {
  return i % TOKENS >= 4 && i < 5 * TOKENS ? 1 : 0;
});

/** What is repainted of PICTURE with a mask of any size. */
function inpaint(mask: RasterImage): Inpainting {
  return inpaintingOf(PICTURE, fitMask(mask, SIDE), TOKENS);
}

async function loadTiny(threads = 2) {
  return await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
    device: "wasm",
    threads,
  });
}

Deno.test("inpaintingOf() draws the tokens that the mask touches", () => {
  const drawn = (mask: RasterImage) => [...inpaint(mask).isDrawn];
  assertEquals(drawn(MASK), [...IS_DRAWN]);
  const corner = maskOf(SIDE, SIDE, (x, y) => x === 4 && y === 3);
  assertEquals(drawn(corner).indexOf(1), 1);
  assertEquals(drawn(corner).filter((one) => one === 1).length, 1);
  // Fitted as the picture: of a wide mask the middle counts, and of a large one each pixel.
  const wide = maskOf(3 * SIDE, SIDE, (x) => x < SIDE || x >= 2 * SIDE + 31);
  assertThrows(() => drawn(wide), RangeError, "maskImage has no white where the picture is drawn");
  const large = maskOf(16 * SIDE, 16 * SIDE, (x, y) => x === 64 && y === 63);
  assertEquals(drawn(large), drawn(corner));
});

Deno.test("inpaintingOf() takes for white what is light and not transparent", () => {
  const mask = maskOf(SIDE, SIDE, () => false);
  const set = (x: number, ...rgba: number[]) => mask.data.set(rgba, 4 * x);
  set(0, 127, 127, 127, 255);
  set(5, 128, 128, 128, 255);
  set(9, 255, 255, 255, 100);
  set(13, 255, 255, 255, 200);
  set(17, 0, 255, 0, 255);
  set(21, 255, 0, 255, 255);
  const { isDrawn } = inpaint(mask);
  assertEquals([...isDrawn.subarray(0, TOKENS)], [0, 1, 0, 1, 1, 0, 0, 0]);
});

Deno.test("inpaintingOf() shows what is drawn inside of the mask, with a seam", () => {
  const { opacity } = inpaint(MASK);
  const row = [...opacity.subarray(5 * SIDE, 6 * SIDE)];
  // Nothing outside; four pixels up to all of it; the edge of the picture is no seam.
  const seam = [0.2, 0.4, 0.6, 0.8].map(Math.fround);
  assertEquals(row, [...new Array(18).fill(0), ...seam, ...new Array(10).fill(1)]);
  const column = Array.from({ length: SIDE }, (_, y) => opacity[y * SIDE + 30]);
  assertEquals(column, [...new Array(16).fill(1), ...seam.toReversed(), ...new Array(12).fill(0)]);
  // In a line of three pixels the middle is shown whole.
  const line = maskOf(SIDE, SIDE, (x) => x >= 10 && x < 13);
  const thin = inpaint(line).opacity;
  assertEquals([...thin.subarray(9, 14)], [0, 0.5, 1, 0.5, 0]);
  const all = inpaint(maskOf(SIDE, SIDE, () => true));
  assertEquals(new Set(all.opacity), new Set([1]));
});

Deno.test("hold() puts back the tokens of each image, paste() the pixels", () => {
  const tokens = Int32Array.of(1, 2, 3, 4, 5, 6);
  const held = { tokens: Int32Array.of(11, 12, 13, 14, 15, 16), isDrawn: Uint8Array.of(0, 1, 0) };
  hold(tokens, held);
  assertEquals([...tokens], [11, 2, 13, 14, 5, 16]);
  const drawn = new Float32Array(9).fill(0.5);
  const picture = Float32Array.of(0.1, 0.2, 0.3, 0.1, 0.2, 0.3, 0, 0, 0);
  paste(drawn, { picture, opacity: Float32Array.of(0, 1, 0.25), isDrawn: held.isDrawn });
  const expected = [0.1, 0.2, 0.3, 0.5, 0.5, 0.5, 0.125, 0.125, 0.125].map(Math.fround);
  assertEquals([...drawn], expected);
});

for (const guidanceScale of [1, 5]) {
  Deno.test(`VQDiffusionPipeline.generate() repaints what a mask shows, guidance ${guidanceScale}`, async () => {
    await using pipe = await loadTiny();
    const { images: [original] } = await pipe.generate(undefined, {
      image: PICTURE,
      strength: 0,
      outputType: "tokens",
    });
    const options = { image: PICTURE, maskImage: MASK, guidanceScale, seed: 2 } as const;
    const steps: Int32Array[] = [];
    const { images } = await pipe.generate(["a cat", "a dog"], {
      ...options,
      numInferenceSteps: 6,
      numImagesPerPrompt: 2,
      callback: (_step, _timestep, tokens) => void steps.push(tokens),
    });
    assertEquals([steps.length, images.length], [6, 4]);
    for (const tokens of steps) {
      assertEquals(tokens.length, 4 * TOKENS ** 2);
      tokens.forEach((token, i) => {
        const at = i % TOKENS ** 2;
        if (!IS_DRAWN[at]) assertEquals(token, original![at]);
      });
    }
    const ofImage = (i: number) => steps.at(-1)!.subarray(i * TOKENS ** 2, (i + 1) * TOKENS ** 2);
    for (const i of [0, 1, 2, 3]) {
      assert(ofImage(i).some((token, at) => token !== original![at]));
      assertEquals(new Set(ofImage(i)).has(64), false);
    }
    assertNotEquals(ofImage(0), ofImage(1));
    for (const { data } of images) {
      let changed = 0;
      data.forEach((value, i) => {
        const [x, y] = [(i >> 2) % SIDE, Math.floor(i / 4 / SIDE)];
        if (x < 18 || y >= 20) assertEquals(value, PICTURE.data[i]);
        else if (value !== PICTURE.data[i]) changed++;
      });
      assert(changed > 600, `${changed} bytes`);
    }
    // The same on one thread, and token for token as the stream gives it.
    const once = { ...options, numInferenceSteps: 6, outputType: "tokens" } as const;
    const { images: [expected] } = await pipe.generate("a cat", once);
    await using other = await loadTiny(1);
    assertEquals((await other.generate("a cat", once)).images[0], expected);
    const { outputType: _, ...streamed } = once;
    let last;
    for await (const event of pipe.stream("a cat", streamed)) last = event;
    assertEquals(last!.tokens, expected);
    const [preview] = await last!.preview();
    const { images: [image] } = await pipe.generate("a cat", streamed);
    assertEquals(preview, image);
  });
}

Deno.test("VQDiffusionPipeline.generate() under a mask that covers all draws as from nothing", async () => {
  await using pipe = await loadTiny();
  const options = { numInferenceSteps: 5, seed: 3 };
  const maskImage = maskOf(SIDE, SIDE, () => true);
  const actual = await pipe.generate("a cat", { ...options, image: PICTURE, maskImage });
  assertEquals(actual, await pipe.generate("a cat", options));
});

Deno.test("VQDiffusionPipeline.generate() under a mask keeps more of the picture at less strength", async () => {
  await using pipe = await loadTiny();
  const same: number[] = [];
  const options = { image: PICTURE, maskImage: MASK, seed: 3, outputType: "tokens" } as const;
  const { images: [original] } = await pipe.generate("a cat", { ...options, strength: 0 });
  for (const strength of [0.02, 0.5, 1]) {
    const timesteps: number[] = [];
    let first: Int32Array | undefined;
    await pipe.generate("a cat", {
      ...options,
      strength,
      callback: (_step, timestep, tokens) => {
        timesteps.push(timestep);
        first ??= tokens;
      },
    });
    assertEquals(timesteps[0], 100 * strength - 1);
    same.push(first!.filter((token, i) => IS_DRAWN[i] && token === original![i]).length);
  }
  // Of 20 tokens: of the noise of one timestep all are left but those that it makes of them.
  assert(same[0]! >= 17 && same[0]! > same[1]! && same[1]! > same[2]! && same[2]! <= 2, `${same}`);
});

Deno.test({
  name:
    "VQDiffusionPipeline.generate() repaints with the same tokens on WebGPU, also if that is lost",
  ignore: adapter === undefined,
  fn: async () => {
    const options = {
      image: PICTURE,
      maskImage: MASK,
      strength: 0.08,
      guidanceScale: 5,
      seed: 4,
    } as const;
    await using wasm = await loadTiny();
    const expected = await wasm.generate("a cat", { ...options, outputType: "tokens" });
    for (const lostAfter of [Infinity, 3]) {
      const { adapter } = await probeWebGpu({ allowSoftware: true });
      const device = await adapter!.requestDevice();
      const backend = await createWebGpuBackend({
        device,
        reason: "asked for",
        allowSoftware: true,
      });
      await using pipe = await VQDiffusionPipeline.fromPretrained(folderOf(tinyFiles()), {
        backend,
      });
      const actual = await pipe.generate("a cat", {
        ...options,
        outputType: "tokens",
        onProgress: ({ step }) => {
          if (step === lostAfter) device.destroy();
        },
      });
      assertEquals(actual, expected);
      assertEquals(pipe.device.type, lostAfter === 3 ? "wasm" : "webgpu");
      await pipe.dispose();
      await backend.dispose();
    }
  },
});
