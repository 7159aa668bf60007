/**
 * Conversions into a folder that holds a model already, which are killed at any time.
 *
 * @module
 */

import { INCOMPLETE_MARK } from "../../src/files/incomplete.ts";
import { VQDiffusionPipeline } from "../../src/pipeline/vq_diffusion_pipeline.ts";
import { startTask } from "../cli/run_task.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import type { TrialResult } from "./main.ts";

/** Milliseconds that the renaming takes, about. */
const RENAMING = 4;

const TINY = new URL("../fixtures/pipeline/tiny/model", import.meta.url);

/** Draws with a folder; undefined if it is refused as incomplete. */
async function draw(folder: string): Promise<string | undefined> {
  try {
    await using pipe = await VQDiffusionPipeline.fromPretrained(folder, {
      ...{ device: "wasm", threads: 1 },
    });
    const { images } = await pipe.generate("a cat", {
      ...{ seed: 1, numInferenceSteps: 3, outputType: "tokens" },
    });
    return images[0]!.join();
  } catch (error) {
    if (String(error).includes("it is incomplete")) return undefined;
    throw error;
  }
}

async function convert(cwd: string, dtype: string): Promise<Deno.ChildProcess> {
  const args = [TINY.href, "--out", "model", "--dtype", dtype, "--quiet"];
  const child = await startTask("convert", args, { cwd });
  child.stdout.cancel();
  child.stderr.cancel();
  return child;
}

/** Waits until the folder is marked: its files are being renamed. Or until the process has ended. */
async function untilMarked(folder: string, ended: Promise<unknown>): Promise<void> {
  using events = Deno.watchFs(folder);
  const watch = (async () => {
    for await (const { paths } of events) {
      if (paths.some((path) => path.endsWith(INCOMPLETE_MARK))) return;
    }
  })();
  await Promise.race([watch, ended]);
}

/**
 * 200 kills, half of them at any time and half while files are being renamed: the folder is the old
 * model, the new one, or refused; SIGTERM leaves no other files.
 */
export async function killedConversions(scale: number): Promise<TrialResult[]> {
  const count = Math.ceil(200 * scale);
  const counts = { complete: 0, refused: 0, wrong: 0, leftovers: 0 };
  await inTemporaryFolder(async (cwd) => {
    const known = new Set<string | undefined>();
    let milliseconds = 0;
    for (const dtype of ["q8", "fp32"]) {
      const start = performance.now();
      await (await convert(cwd, dtype)).status;
      milliseconds = performance.now() - start;
      known.add(await draw(`${cwd}/model`));
    }
    for (let i = 0; i < count; i++) {
      const child = await convert(cwd, i % 2 === 0 ? "q8" : "fp32");
      if (i % 8 < 4) await untilMarked(`${cwd}/model`, child.status);
      const most = i % 8 < 4 ? RENAMING : milliseconds;
      await new Promise((resolve) => setTimeout(resolve, Math.random() * most));
      const signal = i % 4 < 2 ? "SIGKILL" : "SIGTERM";
      try {
        child.kill(signal);
      } catch {
        // It had come to its end.
      }
      await child.status;
      const drawn = await draw(`${cwd}/model`);
      if (drawn === undefined) counts.refused++;
      else if (known.has(drawn)) counts.complete++;
      else counts.wrong++;
      if (signal === "SIGTERM") counts.leftovers += removeTemporaries(`${cwd}/model`);
      else removeTemporaries(`${cwd}/model`);
    }
  });
  const { complete, refused, wrong, leftovers } = counts;
  const found = `${complete} models, ${refused} refused, ${wrong} mixed, ${leftovers} files left`;
  return [{ trial: "kills of convert", count, found, passed: wrong === 0 && leftovers === 0 }];
}

/** Removes what killed programs left, and counts it. */
function removeTemporaries(folder: string): number {
  let count = 0;
  for (const { name, isDirectory } of Deno.readDirSync(folder)) {
    const path = `${folder}/${name}`;
    if (isDirectory) count += removeTemporaries(path);
    else if (name.endsWith(".tmp")) {
      Deno.removeSync(path);
      count++;
    }
  }
  return count;
}
