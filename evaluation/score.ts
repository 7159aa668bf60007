// Scores how well a model of emoji follows prompts: see `USAGE`.

import { WEIGHT_DTYPES, type WeightDType } from "../src/base/dtypes.ts";
import type { Backend } from "../src/backends/backend.ts";
import { createBackend } from "../src/backends/select.ts";
import { integerOption, type ParsedArguments, UsageError } from "../src/cli/arguments.ts";
import type { RasterImage } from "../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../src/random/torch_generator.ts";
import { markdownTable, percent } from "../tools/markdown_table.ts";
import { choicesOption, runScript } from "../tools/script.ts";
import { EmojiData } from "./emoji_data.ts";
import { type Case, drawAll } from "./generation.ts";
import { borderColor, meanSquaredDifference, nearestColor } from "./image_measures.ts";
import { GROUND_COLORS, GROUNDS, promptOf, STYLES } from "./prompts.ts";
import { choose } from "./random_choice.ts";

const USAGE = `Scores how well a model of emoji follows prompts.

    deno run --allow-all evaluation/score.ts --data folder [options]

--data folder   training pictures: names.json and rgba.bin.gz, as the training renders them
--model a,b     folders, URLs or hub ids; default: the embedded model
--dtype a,b     how weights are held: fp32, fp16, q8; default: fp32
--images n      images of each score; default: 200 of grounds, 300 of names
--json file     writes the table as JSON, too`;

const EXPLANATION = `
"ground": share of images of "a <name> on a <colour> background" whose ground, the median colour of
the border, is nearest to the right one of the twelve colours; by chance 8.3 %.
"nearest of 21": share of images of "a <name>" that are nearer to a training picture of their own name
than to those of 20 other names, drawn at random; by chance 4.8 %. "pairs won": share of the 20 other
names that are farther away than the own, on average; by chance 50 %. The distance to a name is the
mean squared difference of red, green and blue to the nearest of its pictures in three styles, on white.
After ± the standard error.`;

/** Names that a picture's own name competes with. */
const RIVALS = 20;
/** Seeds of the choice of names; those of images are 0, 1, 2 … in each score. */
const NAME_SEED = 0;
const RIVAL_SEED = 1;

interface Options {
  readonly data: string;
  readonly models: readonly (string | undefined)[];
  readonly dtypes: readonly WeightDType[];
  readonly grounds: number;
  readonly names: number;
  readonly json: string | undefined;
}

/** A share with its standard error. */
interface Estimate {
  readonly mean: number;
  readonly error: number;
}

/** The scores of one model with weights held in one way. */
interface Score {
  readonly model: string;
  readonly dtype: WeightDType;
  readonly ground: Estimate;
  readonly nearest: Estimate;
  readonly pairs: Estimate;
}

/** Share of images with the right ground. */
async function scoreGrounds(
  pipe: VQDiffusionPipeline,
  names: readonly string[],
): Promise<Estimate> {
  const grounds = names.map((_, i) => GROUNDS[i % GROUNDS.length]!);
  const cases = names.map((name, seed): Case => {
    return { prompt: promptOf({ name, ground: grounds[seed] }), seed };
  });
  const images = await drawAll(pipe, cases);
  const isRight = images.map((image, i) => {
    return nearestColor(borderColor(image), GROUND_COLORS) === grounds[i] ? 1 : 0;
  });
  return estimate(isRight);
}

/** How often images are nearest to their own names. */
async function scoreNames(
  pipe: VQDiffusionPipeline,
  names: readonly string[],
  data: EmojiData,
): Promise<Pick<Score, "nearest" | "pairs">> {
  const images = await drawAll(
    pipe,
    names.map((name, seed): Case => ({ prompt: promptOf({ name }), seed })),
  );
  const generator = new TorchGenerator(RIVAL_SEED);
  const all = data.names(STYLES.length);
  const won = names.map((name, i) => {
    const rivals = choose(all.filter((other) => other !== name), RIVALS, generator);
    const own = distance(images[i]!, name, data);
    return rivals.filter((rival) => distance(images[i]!, rival, data) > own).length / RIVALS;
  });
  return { nearest: estimate(won.map((share) => share === 1 ? 1 : 0)), pairs: estimate(won) };
}

function distance(image: RasterImage, name: string, data: EmojiData): number {
  const pictures = data.pictures(name, image.width);
  return Math.min(...pictures.map((picture) => meanSquaredDifference(image, picture)));
}

function estimate(values: readonly number[]): Estimate {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length;
  return { mean, error: Math.sqrt(variance / values.length) };
}

async function score(
  backend: Backend,
  model: string | undefined,
  dtype: WeightDType,
  data: EmojiData,
  { grounds, names }: Options,
): Promise<Score> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(model, { backend, dtype });
  const chosen = choose(
    data.names(STYLES.length),
    Math.max(grounds, names),
    new TorchGenerator(NAME_SEED),
  );
  const ground = await scoreGrounds(pipe, chosen.slice(0, grounds));
  const ofNames = await scoreNames(pipe, chosen.slice(0, names), data);
  return { model: model ?? "embedded", dtype, ground, ...ofNames };
}

async function scoreAll(options: Options): Promise<Score[]> {
  await using backend = await createBackend({ device: "wasm" });
  const data = await EmojiData.read(options.data);
  const scores: Score[] = [];
  for (const model of options.models) {
    for (const dtype of options.dtypes) {
      scores.push(await score(backend, model, dtype, data, options));
    }
  }
  return scores;
}

function tableOf(scores: readonly Score[]): string {
  const cell = ({ mean, error }: Estimate) => `${percent(mean)} ± ${(100 * error).toFixed(1)}`;
  return markdownTable(
    ["model", "weights", "ground", "nearest of 21", "pairs won"],
    scores.map(({ model, dtype, ground, nearest, pairs }) => {
      return [model, dtype, cell(ground), cell(nearest), cell(pairs)];
    }),
  );
}

const OPTIONS = {
  data: { type: "string" },
  model: { type: "string" },
  dtype: { type: "string", default: "fp32" },
  images: { type: "string" },
  json: { type: "string" },
} as const;

function readOptions({ values }: ParsedArguments<typeof OPTIONS>): Options {
  if (values.data === undefined) throw new UsageError("Expected --data with a folder of pictures");
  const images = integerOption("images", values.images);
  return {
    data: values.data,
    models: values.model?.split(",") ?? [undefined],
    dtypes: choicesOption("dtype", values.dtype, WEIGHT_DTYPES)!,
    grounds: images ?? 200,
    names: images ?? 300,
    json: values.json,
  };
}

await runScript({
  usage: USAGE,
  options: OPTIONS,
  async run(args) {
    const options = readOptions(args);
    const scores = await scoreAll(options);
    const { grounds, names, json } = options;
    if (json !== undefined) {
      await Deno.writeTextFile(json, `${JSON.stringify({ grounds, names, scores }, null, 2)}\n`);
    }
    console.log(`${grounds} images of grounds and ${names} of names, seeds from 0 each\n`);
    console.log(`${tableOf(scores)}\n${EXPLANATION}`);
  },
});
