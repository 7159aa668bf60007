// How good the pictures of each cell are. What has been measured is kept, so that more pictures can be
// added to it.

import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { Drawings, namesToDraw } from "../drawings.ts";
import { EmojiData } from "../emoji_data.ts";
import { addValues } from "../estimate.ts";
import { type Case, drawBatch, type Drawn } from "../generation.ts";
import { peakSignalToNoise, shareOfRight } from "../image_measures.ts";
import { KNOWN_NAMES } from "../known_names.ts";
import { GROUNDS, promptOf, STYLES } from "../prompts.ts";
import { choose } from "../random_choice.ts";
import { encodedTokens, learnedTokens, type RightTokens } from "../right_tokens.ts";
import { type Cell, samplingOf } from "./grid.ts";
import {
  type CellScores,
  readScores,
  type Scores,
  SCORES_FILE,
  scoresOf,
  withCell,
  write,
} from "./results.ts";

/** Pictures that a cell gets at a time. */
export const TURN = 8;

const NAME_SEED = 0;
const STYLE = STYLES[0]!;

const WEIGHTS_FOLDER = new URL("../../weights/", import.meta.url);
const WEIGHTS = [
  "transformer/diffusion_pytorch_model.safetensors",
  "text_encoder/model.safetensors",
  "vqvae/diffusion_pytorch_model.safetensors",
];

/** What a picture shows. Every other one is on a ground, the grounds in turn. */
interface Subject {
  readonly name: string;
  readonly ground: string | undefined;
}

/** What pictures are compared with. */
interface References {
  readonly subjects: readonly Subject[];
  readonly drawings: Drawings;
  /** The right tokens of each subject. */
  readonly right: readonly RightTokens[];
}

/**
 * Brings the scores of cells to a number of pictures, a few at a time, all cells in turn, and writes
 * them after each turn.
 *
 * @param data Folder of the training pictures.
 * @param tokens The tokens that the training found for them. Default: what the model's encoder finds.
 * @param pictures A multiple of {@linkcode TURN}.
 */
export async function measureScores(
  pipe: VQDiffusionPipeline,
  cells: readonly Cell[],
  { data, tokens, pictures }: {
    readonly data: string;
    readonly tokens: string | undefined;
    readonly pictures: number;
  },
): Promise<void> {
  const model = await embeddedModel();
  const known = await readScores();
  let scores: Scores = known.model === model ? known : { model, cells: [] };
  const references = await makeReferences(pipe, await EmojiData.read(data), tokens, pictures);
  for (let wanted = TURN; wanted <= pictures; wanted += TURN) {
    for (const cell of cells) {
      const before = scoresOf(scores, cell);
      if (before.tokens.count >= wanted) continue;
      scores = withCell(scores, await addTurn(pipe, before, references));
      await write(scores, SCORES_FILE);
      console.error(
        `${cell.sampler}, ${cell.steps} steps, guidance ${cell.guidance}: ${wanted} pictures`,
      );
    }
  }
}

/** A hash of the weights of the embedded model: with others the scores begin anew. */
async function embeddedModel(): Promise<string> {
  const hashes: string[] = [];
  for (const component of WEIGHTS) {
    const bytes = await Deno.readFile(new URL(component, WEIGHTS_FOLDER));
    const hash = await crypto.subtle.digest("SHA-256", bytes);
    hashes.push(new Uint8Array(hash).toHex().slice(0, 8));
  }
  return hashes.join(" ");
}

/** The scores of a cell with those of the next few pictures. */
async function addTurn(
  pipe: VQDiffusionPipeline,
  known: CellScores,
  references: References,
): Promise<CellScores> {
  const first = known.tokens.count;
  const { scheduler, numInferenceSteps } = samplingOf(known, pipe.components.scheduler.config);
  const cases = references.subjects.slice(first, first + TURN).map((subject, i): Case => {
    return { prompt: promptOf({ ...subject, style: STYLE }), seed: first + i };
  });
  await using other = new VQDiffusionPipeline({ ...pipe.components, scheduler });
  const options = { numInferenceSteps, guidanceScale: known.guidance };
  const drawn = await drawBatch(other, cases, options);
  const values = drawn.map((one, i) => valuesOf(one, first + i, references));
  const pixels = drawn[0]!.tokens.length;
  return {
    ...known,
    calls: scheduler.plan(numInferenceSteps, { pixels }).steps.length,
    tokens: addValues(known.tokens, values.map(({ tokens }) => tokens)),
    nearest: addValues(known.nearest, values.map(({ nearest }) => nearest)),
    psnr: addValues(known.psnr, values.map(({ psnr }) => psnr)),
  };
}

function valuesOf({ image, tokens }: Drawn, index: number, references: References) {
  const { drawings } = references;
  const { name, ground } = references.subjects[index]!;
  const right = references.right[index]!;
  return {
    tokens: shareOfRight(tokens, right.tokens, right.shown),
    nearest: Number(drawings.nearest(image, ground).name === name),
    psnr: peakSignalToNoise(image, drawings.of(name, STYLE, ground)),
  };
}

async function makeReferences(
  pipe: VQDiffusionPipeline,
  data: EmojiData,
  tokens: string | undefined,
  pictures: number,
): Promise<References> {
  const { vqvae, transformer } = pipe.components;
  const side = vqvae.scaleFactor * transformer.config.sampleSize;
  const drawings = new Drawings(data, KNOWN_NAMES, [STYLE], side);
  const names = choose(namesToDraw(data), pictures, new TorchGenerator(NAME_SEED));
  const subjects = names.map((name, i): Subject => {
    return { name, ground: i % 2 === 0 ? undefined : GROUNDS[(i - 1) / 2 % GROUNDS.length]! };
  });
  const rightTokens = tokens === undefined
    ? encodedTokens(vqvae, drawings)
    : await learnedTokens(tokens);
  const right = [];
  for (const name of names) right.push(await rightTokens(name, STYLE));
  return { subjects, drawings, right };
}
