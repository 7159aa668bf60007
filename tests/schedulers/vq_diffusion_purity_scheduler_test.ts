import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { DeviceLostError } from "../../src/backends/errors.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import {
  type VQDiffusionPurityOptions,
  VQDiffusionPurityScheduler,
} from "../../src/schedulers/vq_diffusion_purity_scheduler.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { createOracle } from "../backends/oracle_backend.ts";
import { Random } from "../backends/operations/trial.ts";
import { makeWebGpu, testDevice, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import { checkRun, type MicrosoftRun, microsoftRuns, RUN_BACKENDS } from "./microsoft_runs.ts";

const RUNS = microsoftRuns("sampling_purity");

function schedulerOf(run: MicrosoftRun): VQDiffusionPurityScheduler {
  return VQDiffusionPurityScheduler.fromConfig(run.config, {
    priorRule: run.prior_rule,
    priorWeight: run.prior_weight,
    inferSpeed: run.infer_speed || undefined,
  });
}

Deno.test("VQDiffusionPurityScheduler is tested on all runs of the reference", () => {
  assertEquals(RUNS.length, 13);
});

for (const { name, slow, make, ignore = false } of RUN_BACKENDS) {
  for (const run of RUNS) {
    if (slow && run.calls > 25) continue;
    // Software Vulkan takes seconds for a call of 1024 tokens.
    if (name === "WebGPU" && run.calls > 10 && !run.name.startsWith("small_")) continue;
    Deno.test({
      name: `${name}: VQDiffusionPurityScheduler draws ${run.name} of the reference`,
      ignore,
      fn: async () => {
        await using backend = await make();
        await checkRun(backend, schedulerOf(run), run);
        assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
      },
    });
  }
}

Deno.test({
  name: "WebGPU: VQDiffusionPurityScheduler tells that the GPU is lost in the middle of a step",
  ignore: WITHOUT_WEBGPU,
  fn: async () => {
    const device = await testDevice();
    await using backend = await makeWebGpu({ device });
    using frame = backend.frame();
    const scheduler = new VQDiffusionPurityScheduler({ numVecClasses: 9 });
    const plan = scheduler.plan(10, { pixels: 30 });
    const tokens = frame.empty([1, 30], "i32");
    const logProbs = frame.logSoftmax(frame.empty([1, 30, 8], "f32"));
    const recorded = scheduler.recordStep(frame, { plan, logProbs, tokens });
    tokens.write(new Int32Array(30).fill(8));
    const step = plan.steps[0]!;
    const sizes = { batch: 1, pixels: 30 };
    recorded.write(step, scheduler.drawNoise(step, sizes, new TorchGenerator(1)));
    await recorded.run();
    const running = recorded.run();
    device.destroy();
    await assertRejects(() => running, DeviceLostError);
  },
});

Deno.test("VQDiffusionPurityScheduler.drawNoise() draws the numbers of the reference", () => {
  for (const run of RUNS) {
    const scheduler = schedulerOf(run);
    const pixels = run.name.startsWith("small_") ? 64 : 1024;
    const sizes = { batch: run.prompts.length, pixels };
    const generator = new TorchGenerator(run.seed);
    const [uniform, exponential] = ["uniform_head", "exponential_head"].map((key) =>
      run.numbers(key) as Float32Array
    ) as [Float32Array, Float32Array];
    const start = (scheduler.maskClass + 1) * pixels;
    const { steps } = scheduler.plan(run.num_train_timesteps!, { pixels });
    let noise: Float32Array | undefined;
    for (const [call, step] of steps.entries()) {
      noise = scheduler.drawNoise(step, sizes, generator, noise);
      assertEquals(noise.subarray(0, 8), uniform.subarray(8 * call, 8 * call + 8));
      if (step.reveal === undefined) continue;
      assertEquals(
        noise.subarray(start, start + 4),
        exponential.subarray(4 * call, 4 * call + 4),
        `${run.name}, call ${call}`,
      );
    }
  }
});

Deno.test("VQDiffusionPurityScheduler.plan() reveals as many tokens as the reference", () => {
  for (const run of RUNS) {
    const pixels = run.name.startsWith("small_") ? 64 : 1024;
    const { steps } = schedulerOf(run).plan(run.num_train_timesteps!, { pixels });
    assertEquals(steps.map(({ timestep }) => timestep), [...run.numbers("timesteps")]);
    const images = run.prompts.length;
    let revealed = 0;
    steps.forEach(({ timestep, row, reveal }, call) => {
      assertEquals(row, timestep);
      revealed = steps[call - 1]?.timestep === timestep ? revealed + reveal! : reveal ?? 0;
      assertEquals(revealed, run.numbers("revealed")[images * call], `${run.name}, call ${call}`);
    });
  }
});

Deno.test("VQDiffusionPurityScheduler.plan() spreads any number of steps over the timesteps", () => {
  const scheduler = new VQDiffusionPurityScheduler({ numVecClasses: 9 });
  for (const n of [1, 2, 10, 25, 33, 100]) {
    for (const pixels of [1, 36, 64, 1024, 4096]) {
      const { steps } = scheduler.plan(n, { pixels });
      const timesteps = new Set(steps.map(({ timestep }) => timestep));
      assert(timesteps.size === steps.length && steps.length <= n);
      assertEquals(steps.at(-1), { timestep: Math.round(100 / n) - 1, row: 0 });
      const revealed = steps.slice(0, -1).reduce((sum, { reveal }) => sum + reveal!, 0);
      assert(revealed <= pixels && (n === 1 || revealed >= 0.9 * pixels - 1), `${n}, ${pixels}`);
    }
  }
  assertThrows(() => scheduler.plan(101, { pixels: 64 }), RangeError, "n is 101");
});

Deno.test("VQDiffusionPurityScheduler.plan() leaves no call with a single token that can be avoided", () => {
  const nSample = [1, 11, 10, 4, 1, 0];
  const options = { numVecClasses: 9, numTrainTimesteps: 6 };
  const scheduler = new VQDiffusionPurityScheduler({
    ...options,
    ...{ nSample, inferSpeed: 0.03 },
  });
  // ⌊⌊1024 / 6⌋ · 0.03⌋ = 5 in a call.
  const { steps } = scheduler.plan(6, { pixels: 64 });
  assertEquals(
    steps.map(({ timestep, reveal }) => [timestep, reveal]),
    [[4, 1], [3, 4], [2, 5], [2, 5], [1, 5], [1, 6], [0, undefined]],
  );
});

Deno.test("VQDiffusionPurityScheduler.recordStep() reveals only masked tokens, each image for itself", async () => {
  await using backend = await createOracle();
  const [batch, pixels, classes] = [2, 30, 9];
  const scheduler = new VQDiffusionPurityScheduler({ numVecClasses: classes });
  const plan = scheduler.plan(10, { pixels });
  const logits = new Random(2).floats(batch * pixels * (classes - 1), -4, 4);
  // The second image has few masked tokens left.
  const known = Int32Array.from({ length: batch * pixels }, (_, i) => i < pixels + 28 ? 8 : 1);
  known.fill(3, pixels, pixels + 26);
  const draw = async (from: Int32Array, first: number, images: number, seed: number) => {
    using frame = backend.frame();
    const size = pixels * (classes - 1);
    const given = backend.tensor(
      logits.slice(first * size, (first + images) * size),
      [images, pixels, classes - 1],
    );
    const tokens = frame.empty([images, pixels], "i32");
    tokens.write(from.slice(first * pixels, (first + images) * pixels));
    const logProbs = frame.logSoftmax(given);
    const recorded = scheduler.recordStep(frame, { plan, logProbs, tokens });
    const step = { ...plan.steps[0]!, reveal: 7 };
    const sizes = { batch: images, pixels };
    recorded.write(step, scheduler.drawNoise(step, sizes, new TorchGenerator(seed)));
    await recorded.run();
    return await tokens.data();
  };
  const both = await draw(known, 0, 2, 5);
  const changed = both.map((token, i) => token === known[i] ? 0 : 1);
  assertEquals(changed.slice(0, pixels).reduce((a, b) => a + b), 7);
  assertEquals([...changed.keys()].filter((i) => i >= pixels && changed[i]), [56, 57]);
  assert(both.every((token, i) => !changed[i] || token < 8));
});

Deno.test("VQDiffusionPurityScheduler refuses options out of range", () => {
  const { config } = new VQDiffusionScheduler({ numVecClasses: 9, numTrainTimesteps: 25 });
  const make = (options: object) => () =>
    VQDiffusionPurityScheduler.fromConfig(config, options as VQDiffusionPurityOptions);
  const refusals: [object, string][] = [
    [{ priorRule: 3 }, "priorRule is 3, expected 1 or 2"],
    [{ priorRule: 0 }, "priorRule is 0"],
    [{ priorWeight: -1 }, "priorWeight is -1"],
    [{ priorWeight: Infinity }, "priorWeight"],
    [{ inferSpeed: 1 }, "inferSpeed is 1, expected a number below 1"],
    [{ inferSpeed: 2 }, "inferSpeed is 2"],
    [{ inferSpeed: 0.01 }, "inferSpeed is 0.01"],
    [{ inferSpeed: 0 }, "inferSpeed"],
    [{ nSample: [] }, "nSample.length is 0"],
    [{ nSample: Array(26).fill(1) }, "nSample.length is 26"],
    [{ nSample: [1, -1] }, "nSample[1] is -1"],
    [{ nSample: [1, 2.5] }, "nSample[1] is 2.5"],
  ];
  for (const [options, message] of refusals) assertThrows(make(options), RangeError, message);
  assertThrows(make({ nSample: "1,2" }), TypeError, "nSample");
  assertThrows(make({ nSample: [1, undefined] }), TypeError, "nSample[1]");
  assertThrows(make({ priorWeight: "1" }), TypeError, "priorWeight");
  assertThrows(make({ priorweight: 1 }), TypeError, "priorWeight");
  const scheduler = make({ nSample: [1, 60, 5] })();
  assertThrows(
    () => scheduler.plan(3, { pixels: 64 }),
    RangeError,
    "the sum of nSample without its first number is 65, expected at most 64",
  );
  assertThrows(() => scheduler.plan(25, { pixels: 64 }), RangeError, "n is 25, expected 3");
  assertEquals(scheduler.plan(3, { pixels: 65 }).steps.length, 3);
});
