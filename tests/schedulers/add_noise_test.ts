import { assert, assertEquals, assertThrows } from "@std/assert";
import { TorchGenerator } from "../../src/random/torch_generator.ts";
import { VQDiffusionScheduler } from "../../src/schedulers/vq_diffusion_scheduler.ts";
import { floats, IMAGE_RUNS, ints } from "../pipeline/sampling_image.ts";

/** x_t as the definition has it: argmax over all classes of log q(x_t | x_0) and Gumbel noise. */
function naive(
  scheduler: VQDiffusionScheduler,
  tokens: Int32Array,
  t: number,
  uniform: Float32Array,
): Int32Array {
  const { numVecClasses } = scheduler.config;
  const pixels = uniform.length / numVecClasses;
  const [keep, replace, mask] = [
    scheduler.logCumprodAt[t]!,
    scheduler.logCumprodBt[t]!,
    scheduler.logCumprodCt[t]!,
  ].map(Math.exp) as [number, number, number];
  return Int32Array.from({ length: pixels }, (_, i) => {
    const scores = Array.from({ length: numVecClasses }, (_, k) => {
      const q = k === numVecClasses - 1 ? mask : (k === tokens[i] ? keep : 0) + replace;
      return Math.log(q) - Math.log(-Math.log(uniform[k * pixels + i]! + 1e-30) + 1e-30);
    });
    return scores.indexOf(Math.max(...scores));
  });
}

Deno.test("VQDiffusionScheduler.addNoise() draws the tokens that Microsoft's code starts from", () => {
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 25 });
  const clean = ints("image_tokens");
  const sizes = { batch: 2, pixels: 64 };
  for (const [name, { seed, filter_ratio }] of Object.entries(IMAGE_RUNS)) {
    const t = Math.floor(100 * filter_ratio) - 1;
    const generator = new TorchGenerator(seed);
    const noised = scheduler.addNoise(clean, t, sizes, generator);
    assertEquals(noised, ints(`${name}_start_tokens`), name);
    // It takes as many numbers as there are classes, masks included.
    const uniform = new Float32Array(2 * 25 * 64);
    new TorchGenerator(seed).fill(uniform);
    assertEquals(uniform, floats(`${name}_start_uniform`));
    const other = new TorchGenerator(seed);
    other.fill(uniform);
    assertEquals(generator.random32(), other.random32());
  }
});

Deno.test("VQDiffusionScheduler.addNoise() draws by log q(x_t | x_0), also where much is replaced", () => {
  const config = { numVecClasses: 6, gammaCumEnd: 0.5 };
  const scheduler = new VQDiffusionScheduler(config);
  const pixels = 3000;
  const clean = Int32Array.from({ length: pixels }, (_, i) => i % 5);
  for (const t of [0, 1, 50, 98, 99]) {
    const uniform = new Float32Array(6 * pixels);
    new TorchGenerator(t).fill(uniform);
    const noised = scheduler.addNoise(clean, t, { batch: 1, pixels }, new TorchGenerator(t));
    assertEquals(noised, naive(scheduler, clean, t, uniform), `timestep ${t}`);
    const masked = noised.filter((token) => token === 5).length / pixels;
    const kept = noised.filter((token, i) => token === clean[i]).length / pixels;
    const [a, b, c] = [scheduler.logCumprodAt, scheduler.logCumprodBt, scheduler.logCumprodCt]
      .map((logs) => Math.exp(logs[t]!)) as [number, number, number];
    // Four standard deviations of a share of 3000, at most.
    assert(Math.abs(masked - c) < 0.037 && Math.abs(kept - a - b) < 0.037, `${masked}, ${kept}`);
  }
});

Deno.test("VQDiffusionScheduler.addNoise() leaves masked tokens masked, and what it is given alone", () => {
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 6 });
  const clean = Int32Array.of(5, 1, 5, 2);
  const noised = scheduler.addNoise(clean, 0, { batch: 2, pixels: 2 }, new TorchGenerator(0));
  assertEquals([[...noised], [...clean]], [[5, 1, 5, 2], [5, 1, 5, 2]]);
});

Deno.test("VQDiffusionScheduler.addNoise() refuses timesteps and numbers that do not fit", () => {
  const scheduler = new VQDiffusionScheduler({ numVecClasses: 6 });
  const call = (length: number, t: number) => () =>
    scheduler.addNoise(new Int32Array(length), t, { batch: 2, pixels: 2 }, new TorchGenerator(0));
  for (const t of [-1, 100, 0.5]) {
    assertThrows(call(4, t), RangeError, `timestep is ${t}, expected`);
  }
  assertThrows(call(3, 0), RangeError, "tokens.length is 3, expected 2 · 2");
});
