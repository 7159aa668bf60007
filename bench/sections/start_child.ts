// Starts as a program does that draws with the embedded model, as far as the first step, and prints how
// long it took: start_child.ts <device> <threads> <dtype>

import type { DeviceType, WeightDType } from "../../mod.ts";

/** Milliseconds of the parts of a start. */
export interface StartTimes {
  readonly import: number;
  readonly load: number;
  readonly step: number;
}

const [device, threads, dtype] = Deno.args as [DeviceType | "auto", string, WeightDType];
const begin = performance.now();
const { VQDiffusionPipeline } = await import("../../mod.ts");
const imported = performance.now();
const options = { device, threads: Number(threads), dtype };
await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, options);
const loaded = performance.now();
await pipe.stream("a red apple on a blue background", { seed: 1 }).next();
const stepped = performance.now();
const times: StartTimes = {
  import: imported - begin,
  load: loaded - imported,
  step: stepped - loaded,
};
console.log(JSON.stringify(times));
