// How many steps, by which sampler, with which guidance: see `USAGE`.

import {
  integerOption,
  type ParsedArguments,
  UsageError,
  wrongValue,
} from "../src/cli/arguments.ts";
import { VQDiffusionPipeline } from "../src/pipeline/vq_diffusion_pipeline.ts";
import { choicesOption, runScript } from "../tools/script.ts";
import { allCells, GUIDANCES } from "./steps/grid.ts";
import { writeReport } from "./steps/report.ts";
import { measureScores, TURN } from "./steps/scores.ts";
import { measureTimes } from "./steps/times.ts";

const USAGE = `Compares samplers, numbers of steps and guidance scales with the embedded model.

    deno run --allow-all evaluation/steps.ts scores --data folder [options]
    deno run --allow-all evaluation/steps.ts times --machine "…" [options]
    deno run --allow-all evaluation/steps.ts report

scores    how good the pictures are, in evaluation/steps/scores.json: what is there of the same weights
          stays, and pictures are added until there are enough; it can be stopped and goes on where it was
times     how long one picture takes, in evaluation/steps/times.json: all cells anew; for a machine
          that does nothing else
report    the tables of docs/steps.md and README.md and the plot docs/steps.svg, from these two files;
          the other two do it, too

--data folder     drawings that the model has learned, as evaluation/render_drawings.ts renders them
--tokens file     the tokens that the training found for them, tokens.npz; default: the model's encoder
--pictures n      pictures of each cell, a multiple of ${TURN}; default: 48
--guidance a,b    scales to draw more pictures at: ${GUIDANCES.join(", ")}; default: all
--runs n          runs of each cell whose time is taken; default: 5
--machine text    what machine it is, for the tables
--threads n       threads; default: one for each processor`;

const OPTIONS = {
  data: { type: "string" },
  tokens: { type: "string" },
  pictures: { type: "string", default: "48" },
  guidance: { type: "string", default: GUIDANCES.join(",") },
  runs: { type: "string", default: "5" },
  machine: { type: "string" },
  threads: { type: "string" },
} as const;

/** What a part is given. */
type Arguments = ParsedArguments<typeof OPTIONS>;

async function scores({ values }: Arguments): Promise<void> {
  const { data } = values;
  if (data === undefined) throw new UsageError("Expected --data with a folder of pictures");
  const pictures = integerOption("pictures", values.pictures)!;
  if (pictures % TURN > 0) {
    throw wrongValue("pictures", `a multiple of ${TURN}`, values.pictures);
  }
  const scales = choicesOption("guidance", values.guidance, GUIDANCES.map(String))!.map(Number);
  const cells = allCells().filter(({ guidance }) => scales.includes(guidance));
  await using pipe = await load(values.threads);
  await measureScores(pipe, cells, { data, tokens: values.tokens, pictures });
}

async function times({ values }: Arguments): Promise<void> {
  const { machine } = values;
  if (machine === undefined) throw new UsageError("Expected --machine with a description of it");
  const runs = integerOption("runs", values.runs)!;
  await using pipe = await load(values.threads);
  await measureTimes(pipe, allCells(), { runs, machine });
}

async function load(threads: string | undefined): Promise<VQDiffusionPipeline> {
  return await VQDiffusionPipeline.fromPretrained(undefined, {
    device: "wasm",
    threads: integerOption("threads", threads),
  });
}

const PARTS = new Map<string, (args: Arguments) => Promise<void>>([
  ["scores", scores],
  ["times", times],
  ["report", () => Promise.resolve()],
]);

await runScript({
  usage: USAGE,
  options: OPTIONS,
  positionals: true,
  async run(args) {
    const [name, ...rest] = args.positionals;
    const part = rest.length > 0 ? undefined : PARTS.get(name ?? "");
    if (part === undefined) throw new UsageError(`Expected one of ${[...PARTS.keys()].join(", ")}`);
    await part(args);
    await writeReport();
  },
});
