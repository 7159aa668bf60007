// Measures how many different pictures of a name different seeds draw: see `USAGE`.

import { integerOption, UsageError } from "../src/cli/arguments.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../src/random/torch_generator.ts";
import { markdownTable, percent } from "../tools/markdown_table.ts";
import { runScript } from "../tools/script.ts";
import { Drawings, namesToDraw } from "./drawings.ts";
import { EmojiData } from "./emoji_data.ts";
import {
  addValues,
  halfInterval,
  meanOf,
  NO_VALUES,
  shareInterval,
  type Sums,
} from "./estimate.ts";
import { type Case, drawAll, type Drawn } from "./generation.ts";
import { mostUnlike } from "./image_measures.ts";
import { KNOWN_NAMES } from "./known_names.ts";
import { promptOf, STYLES } from "./prompts.ts";
import { choose } from "./random_choice.ts";

/** From which difference on two pictures are clearly different; of 255. */
const CLEARLY = 30;

/** What a name is to have at least. */
const WANTED = 3;

const USAGE = `Measures how many different pictures of a name different seeds draw.

    deno run --allow-all evaluation/variety.ts --data folder [options]

--data folder     drawings that the model has learned, as evaluation/render_drawings.ts renders them
--model m         a folder, URL or hub id; default: the embedded model
--names n         names drawn at random from those with a drawing in each style; default: 48
--seeds n         seeds of each name, from 0; default: 8
--sampler a,b     samplers; default: the model's
--steps a,b       inference steps; default: the model's

Prompts name no style: seeds choose it, if the model has styles. "recognised": share of pictures that are nearer to a drawing of their own name than
to those of all other known names, in all styles. "drawings": how many drawings of the own name the pictures
of a name are nearest to, of ${STYLES.length} at most. "clearly different": of how many of them any two are; only
recognised pictures count. "three": share of names with three such pictures. Two pictures are clearly different if
the root of their mean squared difference is ${CLEARLY} of 255 or more, by means of 16 × 16 blocks: nine of ten
pairs of drawings in fluent and in flat style, which mostly share an outline, are nearer, and nine of ten
pairs in any other two styles are not. After ± half of the 95 % interval, in brackets that by Wilson.`;

const NAME_SEED = 0;

/** What was measured with one sampler and number of steps. */
interface Variety {
  readonly recognised: Sums;
  readonly drawings: Sums;
  readonly different: Sums;
  readonly three: Sums;
}

function varietyOf(drawn: readonly Drawn[], names: readonly string[], drawings: Drawings): Variety {
  const seeds = drawn.length / names.length;
  let variety: Variety = {
    recognised: NO_VALUES,
    drawings: NO_VALUES,
    different: NO_VALUES,
    three: NO_VALUES,
  };
  for (const [i, name] of names.entries()) {
    const pictures = drawn.slice(i * seeds, (i + 1) * seeds).map(({ image }) => {
      return { image, nearest: drawings.nearest(image) };
    });
    const own = pictures.filter(({ nearest }) => nearest.name === name);
    const styles = new Set(own.map(({ nearest }) => nearest.style));
    const different = mostUnlike(own.map(({ image }) => image), CLEARLY);
    variety = {
      recognised: addValues(
        variety.recognised,
        pictures.map(({ nearest }) => Number(nearest.name === name)),
      ),
      drawings: addValues(variety.drawings, [styles.size]),
      different: addValues(variety.different, [different]),
      three: addValues(variety.three, [Number(different >= WANTED)]),
    };
  }
  return variety;
}

function rowOf(sampler: string, steps: string, variety: Variety): string[] {
  const share = (sums: Sums) => {
    const [low, high] = shareInterval(sums);
    return `${percent(meanOf(sums))} (${(100 * low).toFixed(0)}–${(100 * high).toFixed(0)})`;
  };
  const count = (sums: Sums) => `${meanOf(sums).toFixed(2)} ± ${halfInterval(sums).toFixed(2)}`;
  const { recognised, drawings, different, three } = variety;
  return [sampler, steps, share(recognised), count(drawings), count(different), share(three)];
}

const OPTIONS = {
  data: { type: "string" },
  model: { type: "string" },
  names: { type: "string", default: "48" },
  seeds: { type: "string", default: "8" },
  sampler: { type: "string" },
  steps: { type: "string" },
} as const;

await runScript({
  usage: USAGE,
  options: OPTIONS,
  async run({ values }) {
    if (values.data === undefined) {
      throw new UsageError("Expected --data with a folder of pictures");
    }
    const data = await EmojiData.read(values.data);
    await using pipe = await VQDiffusionPipeline.fromPretrained(values.model, { device: "wasm" });
    const { vqvae, transformer } = pipe.components;
    const side = vqvae.scaleFactor * transformer.config.sampleSize;
    const drawings = new Drawings(data, KNOWN_NAMES, STYLES, side);
    const count = integerOption("names", values.names)!;
    const names = choose(namesToDraw(data), count, new TorchGenerator(NAME_SEED));
    const seeds = integerOption("seeds", values.seeds)!;
    const cases = names.flatMap((name) => {
      return Array.from(
        { length: seeds },
        (_, seed): Case => ({ prompt: promptOf({ name }), seed }),
      );
    });
    const rows: string[][] = [];
    for (const sampler of values.sampler?.split(",") ?? [undefined]) {
      for (const steps of values.steps?.split(",") ?? [undefined]) {
        const numInferenceSteps = integerOption("steps", steps);
        const { styles } = pipe.generationConfig;
        const drawn = await drawAll(pipe, cases, { sampler, numInferenceSteps, styles });
        const variety = varietyOf(drawn, names, drawings);
        rows.push(rowOf(sampler ?? "the model's", steps ?? "the model's", variety));
      }
    }
    console.log(`${names.length} names, ${seeds} seeds of each\n`);
    const columns = ["sampler", "steps", "recognised", "drawings", "clearly different", "three"];
    console.log(markdownTable(columns, rows));
  },
});
