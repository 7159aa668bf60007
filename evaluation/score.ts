// Scores how well a model of emoji follows prompts: see `USAGE`.

import { WEIGHT_DTYPES, type WeightDType } from "../src/base/dtypes.ts";
import type { Backend } from "../src/backends/backend.ts";
import { createBackend } from "../src/backends/select.ts";
import {
  integerOption,
  numberOption,
  type ParsedArguments,
  UsageError,
} from "../src/cli/arguments.ts";
import type { RasterImage } from "../src/images/raster_image.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../src/random/torch_generator.ts";
import { markdownTable, percent } from "../tools/markdown_table.ts";
import { choicesOption, runScript } from "../tools/script.ts";
import { Drawings, namesToDraw } from "./drawings.ts";
import { EmojiData } from "./emoji_data.ts";
import { type Case, drawAll, type DrawOptions } from "./generation.ts";
import {
  borderColor,
  meanSquaredDifference,
  nearestColor,
  peakSignalToNoise,
  shareOfRight,
} from "./image_measures.ts";
import { KNOWN_NAMES } from "./known_names.ts";
import { GROUND_COLORS, GROUNDS, promptOf, STYLES } from "./prompts.ts";
import { choose } from "./random_choice.ts";
import { encodedTokens, type FindRightTokens, learnedTokens } from "./right_tokens.ts";

const USAGE = `Scores how well a model of emoji follows prompts.

    deno run --allow-all evaluation/score.ts --data folder [options]

--data folder     drawings that the model has learned, as evaluation/render_drawings.ts renders them
--tokens file     the tokens that the training found for them, tokens.npz; default: the model's encoder
--model a,b       folders, URLs or hub ids; default: the embedded model
--dtype a,b       how weights are held: fp32, fp16, q8; default: fp32
--guidance a,b    guidance scales; default: 1
--truncation r    truncation rate; default: 0.8
--steps n         inference steps; default: the model's
--style a,b       styles named in the prompts, of ${STYLES.join(", ")}; default:
                  none is named, any is right
--images n        images on white, and as many on grounds, or "all": one of each name; default: 200
--json file       writes the table as JSON, too`;

const EXPLANATION = `
Images of "a <name>" on white, and of "a <name> on a <colour> background" in turn for twelve colours; the
names are drawn at random from those that the model knows, in weights/names.json, and that there is a
drawing of in noto, fluent, flat and the style named.
"ground": share of images whose ground, the median colour of the border, is nearest to the right one of
the twelve colours; by chance 8.3 %. "nearest": share of images that are nearer to their own name's
drawing than to those of all ${KNOWN_NAMES.length} known names on the same ground, as means of 16 × 16 blocks;
by chance 0.1 %. "tokens": share of tokens that are those of the drawing on white, of those where
something of it is to be seen. "PSNR": to the drawing, in decibels. Where no style is named, the drawing
is the nearest of those of the name, and all names compete in all styles. "pairs": share of 20 other names,
drawn at random, whose pictures are farther away than those of the own name; by chance 50 %. That
distance is the mean squared difference to the nearest of a name's drawings in all styles.
After ± the standard error.`;

/** Names that a picture's own name competes with in pairs. */
const RIVALS = 20;
/** Seeds of the choice of names; those of images are 0, 1, 2 … in each score. */
const NAME_SEED = 0;
const RIVAL_SEED = 1;

interface Options {
  readonly data: string;
  readonly tokens: string | undefined;
  readonly models: readonly (string | undefined)[];
  readonly dtypes: readonly WeightDType[];
  readonly guidances: readonly number[];
  readonly draw: Omit<DrawOptions, "guidanceScale">;
  /** Styles that the prompts name; undefined: none is named, Noto is meant. */
  readonly styles: readonly (string | undefined)[];
  readonly images: number | "all";
  readonly json: string | undefined;
}

/** A mean with its standard error. */
interface Estimate {
  readonly mean: number;
  readonly error: number;
}

/** The measures of many images. */
interface Measures {
  readonly ground: Estimate;
  readonly nearest: Estimate;
  readonly tokens: Estimate;
  readonly psnr: Estimate;
  readonly pairs: Estimate;
}

/** The scores of one model with weights held in one way. */
interface Score {
  readonly model: string;
  readonly dtype: WeightDType;
  readonly guidance: number;
  readonly style: string | undefined;
  readonly on: "white" | "grounds";
  readonly measures: Measures;
}

/** What is to be drawn; without a ground the prompt names none, and it is white. */
interface Subject {
  readonly name: string;
  readonly ground?: string;
}

/** What images are compared with. */
interface References {
  readonly data: EmojiData;
  readonly drawings: Drawings;
  readonly rightTokens: FindRightTokens;
  readonly style: string | undefined;
}

async function measure(
  pipe: VQDiffusionPipeline,
  subjects: readonly Subject[],
  options: DrawOptions,
  { data, drawings, rightTokens, style }: References,
): Promise<Measures> {
  const cases = subjects.map((subject, seed): Case => {
    return { prompt: promptOf({ ...subject, style }), seed };
  });
  const rivals = new TorchGenerator(RIVAL_SEED);
  const [ground, nearest, tokens, psnr, pairs]: number[][] = [[], [], [], [], []];
  for (const [i, { image, tokens: drawn }] of (await drawAll(pipe, cases, options)).entries()) {
    const { name, ground: named } = subjects[i]!;
    const shownIn = style ?? drawings.nearest(image, named, name).style;
    ground!.push(Number(nearestColor(borderColor(image), GROUND_COLORS) === (named ?? "white")));
    nearest!.push(Number(drawings.nearest(image, named).name === name));
    psnr!.push(peakSignalToNoise(image, drawings.of(name, shownIn, named)));
    pairs!.push(pairsWon(image, subjects[i]!, data, rivals));
    const right = await rightTokens(name, shownIn);
    tokens!.push(shareOfRight(drawn, right.tokens, right.shown));
  }
  return {
    ground: estimate(ground!),
    nearest: estimate(nearest!),
    tokens: estimate(tokens!),
    psnr: estimate(psnr!),
    pairs: estimate(pairs!),
  };
}

/** Share of other names that an image is farther away from than from its own. */
function pairsWon(
  image: RasterImage,
  { name, ground }: Subject,
  data: EmojiData,
  generator: TorchGenerator,
): number {
  const distance = (other: string) => {
    const pictures = data.pictures(other, image.width, GROUND_COLORS[ground ?? "white"]);
    return Math.min(...pictures.map((picture) => meanSquaredDifference(image, picture)));
  };
  const own = distance(name);
  const rivals = choose(namesToDraw(data).filter((other) => other !== name), RIVALS, generator);
  return rivals.filter((rival) => distance(rival) > own).length / RIVALS;
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
  options: Options,
): Promise<Score[]> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(model, { backend, dtype });
  const scores: Score[] = [];
  for (const style of options.styles) {
    const { references, sets } = await material(pipe, data, style, options);
    for (const guidance of options.guidances) {
      for (const on of ["white", "grounds"] as const) {
        const draw = { ...options.draw, guidanceScale: guidance };
        const measures = await measure(pipe, sets[on], draw, references);
        scores.push({ model: model ?? "embedded", dtype, guidance, style, on, measures });
      }
    }
  }
  return scores;
}

/** What is drawn in a style, and what it is compared with. */
async function material(
  { components: { vqvae, transformer } }: VQDiffusionPipeline,
  data: EmojiData,
  style: string | undefined,
  { images, tokens }: Options,
): Promise<{ references: References; sets: Record<Score["on"], readonly Subject[]> }> {
  const side = vqvae.scaleFactor * transformer.config.sampleSize;
  const drawings = new Drawings(data, KNOWN_NAMES, style === undefined ? STYLES : [style], side);
  const inStyle = new Set(data.namesIn(style ?? STYLES[0]!));
  const names = images === "all"
    ? KNOWN_NAMES.filter((name) => inStyle.has(name))
    : choose(namesToDraw(data, style), images, new TorchGenerator(NAME_SEED));
  const rightTokens = tokens === undefined
    ? encodedTokens(vqvae, drawings)
    : await learnedTokens(tokens);
  return {
    references: { data, drawings, rightTokens, style },
    sets: {
      white: names.map((name): Subject => ({ name })),
      grounds: names.map((name, i): Subject => ({ name, ground: GROUNDS[i % GROUNDS.length]! })),
    },
  };
}

async function scoreAll(options: Options): Promise<Score[]> {
  await using backend = await createBackend({ device: "wasm" });
  const data = await EmojiData.read(options.data);
  const scores: Score[] = [];
  for (const model of options.models) {
    for (const dtype of options.dtypes) {
      scores.push(...await score(backend, model, dtype, data, options));
    }
  }
  return scores;
}

function tableOf(scores: readonly Score[]): string {
  const share = ({ mean, error }: Estimate) => `${percent(mean)} ± ${(100 * error).toFixed(1)}`;
  const decibels = ({ mean, error }: Estimate) => `${mean.toFixed(1)} ± ${error.toFixed(1)}`;
  return markdownTable(
    ["model", "weights", "style", "guidance", "on", "ground", "nearest", "tokens", "PSNR", "pairs"],
    scores.map(({ model, dtype, style, guidance, on, measures }) => {
      const { ground, nearest, tokens, psnr, pairs } = measures;
      const cells = [share(ground), share(nearest), share(tokens), decibels(psnr), share(pairs)];
      return [model, dtype, style ?? "none named", `${guidance}`, on, ...cells];
    }),
  );
}

const OPTIONS = {
  data: { type: "string" },
  tokens: { type: "string" },
  model: { type: "string" },
  dtype: { type: "string", default: "fp32" },
  guidance: { type: "string", default: "1" },
  truncation: { type: "string", default: "0.8" },
  steps: { type: "string" },
  style: { type: "string" },
  images: { type: "string", default: "200" },
  json: { type: "string" },
} as const;

function readOptions({ values }: ParsedArguments<typeof OPTIONS>): Options {
  if (values.data === undefined) throw new UsageError("Expected --data with a folder of pictures");
  return {
    data: values.data,
    tokens: values.tokens,
    models: values.model?.split(",") ?? [undefined],
    dtypes: choicesOption("dtype", values.dtype, WEIGHT_DTYPES)!,
    guidances: values.guidance.split(",").map((text) => numberOption("guidance", text)!),
    draw: {
      truncationRate: numberOption("truncation", values.truncation, { min: 0, max: 1 })!,
      numInferenceSteps: integerOption("steps", values.steps),
    },
    styles: choicesOption("style", values.style, STYLES) ?? [undefined],
    images: values.images === "all" ? "all" : integerOption("images", values.images)!,
    json: values.json,
  };
}

await runScript({
  usage: USAGE,
  options: OPTIONS,
  async run(args) {
    const options = readOptions(args);
    const scores = await scoreAll(options);
    const { images, draw, json } = options;
    if (json !== undefined) {
      await Deno.writeTextFile(json, `${JSON.stringify({ images, draw, scores }, null, 2)}\n`);
    }
    const count = images === "all" ? "An image of each name" : `${images} images`;
    const steps = draw.numInferenceSteps ?? "the model's";
    console.log(`${count}, seeds from 0, truncation ${draw.truncationRate}, ${steps} steps\n`);
    console.log(`${tableOf(scores)}\n${EXPLANATION}`);
  },
});
