// How long one picture of each cell takes, once the model is loaded.

import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { type Cell, samplingOf } from "./grid.ts";
import { type CellTimes, TIMES_FILE, write } from "./results.ts";

const PROMPT = "a red apple on a blue background";
const SEED = 1;

/**
 * Takes the time of all cells in turn, after a round that does not count, and writes them.
 *
 * @param cells All cells: what was measured before is replaced.
 */
export async function measureTimes(
  pipe: VQDiffusionPipeline,
  cells: readonly Cell[],
  { runs, machine }: { readonly runs: number; readonly machine: string },
): Promise<void> {
  const times = cells.map((): number[] => []);
  for (let run = 0; run <= runs; run++) {
    for (const [i, cell] of cells.entries()) {
      const milliseconds = await timeOf(pipe, cell);
      if (run > 0) times[i]!.push(Math.round(milliseconds * 10) / 10);
    }
    console.error(run === 0 ? "warmed up" : `round ${run} of ${runs}`);
  }
  const measured = cells.map((cell, i): CellTimes => ({ ...cell, milliseconds: times[i]! }));
  const backend = pipe.components.transformer.backend.device.name;
  await write({ machine, backend, cells: measured }, TIMES_FILE);
}

/** Milliseconds from the prompt to the pixels. */
async function timeOf(pipe: VQDiffusionPipeline, cell: Cell): Promise<number> {
  const { scheduler, numInferenceSteps } = samplingOf(cell, pipe.components.scheduler.config);
  await using other = new VQDiffusionPipeline({ ...pipe.components, scheduler });
  const start = performance.now();
  await other.generate(PROMPT, {
    seed: SEED,
    numInferenceSteps,
    guidanceScale: cell.guidance,
  });
  return performance.now() - start;
}
