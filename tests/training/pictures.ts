// Pictures to train on, and the small model that is trained.

import { memoryFolder } from "../../src/files/memory_folder.ts";
import { RasterImage } from "../../src/images/raster_image.ts";
import type { ModelFolder } from "../../src/files/source.ts";
import { TrainableModel, type TrainableModelOptions } from "../../src/training/trainable_model.ts";
import type { TrainingPicture } from "../../src/training/training_examples.ts";
import { tinyFiles } from "../pipeline/golden_runs.ts";

/** A picture of stripes, which differ by its number. */
export function stripes(number: number, side = 20): RasterImage {
  const data = new Uint8ClampedArray(4 * side * side).fill(255);
  for (let i = 0; i < side * side; i++) {
    const bright = Math.floor((i % side) / (1 + number % 5)) % 2 === 0;
    data.set(bright ? [250, 40 * (number % 6), 20] : [20, 90, 30 * (number % 8)], 4 * i);
  }
  return new RasterImage(data, side, side);
}

/** Pictures with captions, in memory. */
export function pictures(count: number): TrainingPicture[] {
  return Array.from({ length: count }, (_, i) => ({
    name: `${i}.png`,
    caption: `stripes ${i}`,
    read: () => Promise.resolve(stripes(i)),
  }));
}

/** Writes pictures into a folder. */
export async function writePictures(folder: string, names: readonly string[]): Promise<void> {
  await Deno.mkdir(folder, { recursive: true });
  for (const [i, name] of names.entries()) {
    await Deno.writeFile(`${folder}/${name}`, await stripes(i).toPng());
  }
}

/** The tiny model of the golden runs. */
export function tinyFolder(): ModelFolder {
  return memoryFolder(tinyFiles(), "tiny");
}

/** The same, to be trained on the CPU. */
export async function tinyModel(options: TrainableModelOptions = {}): Promise<TrainableModel> {
  return await TrainableModel.fromPretrained(tinyFolder(), {
    device: "wasm",
    threads: 1,
    ...options,
  });
}
