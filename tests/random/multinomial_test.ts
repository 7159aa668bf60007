import { assert, assertEquals } from "@std/assert";
import { typedArray } from "../../src/checkpoints/arrays.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { chooseByWeight, drawByWeight, fillExponential } from "../../src/random/multinomial.ts";
import { TorchGenerator } from "../../src/random/torch_generator.ts";

/** Tensors of a fixture. */
function fixture(path: string) {
  const file = new URL(`../fixtures/${path}.safetensors`, import.meta.url);
  const arrays = parseSafetensors(Deno.readFileSync(file));
  return (name: string) => typedArray(arrays.get(name)!) as Float32Array;
}

Deno.test("fillExponential() and chooseByWeight() choose the positions of the reference", () => {
  const golden = fixture("sampling_purity/runs/small_t25_rule2");
  const generator = new TorchGenerator(1);
  generator.fill(new Float32Array(33 * 64));
  const exponential = new Float32Array(64);
  fillExponential(generator, exponential);
  assertEquals(exponential, golden("exponential_0"));
  const expected = [...golden("selected_0_0")];
  const chosen = chooseByWeight(golden("score_0"), exponential, expected.length);
  assertEquals(chosen.toSorted((a, b) => a - b), expected);
});

Deno.test("chooseByWeight() takes the first of equals, and nothing without a weight", () => {
  const weights = Float32Array.of(0.5, 0, 0.5, 0.25, 0.5);
  const ones = new Float32Array(5).fill(1);
  assertEquals(chooseByWeight(weights, ones, 2), [0, 2]);
  assertEquals(chooseByWeight(weights, ones, 9), [0, 2, 4, 3]);
  // An exponential number of 0 makes the greatest quotient there is.
  assertEquals(chooseByWeight(weights, Float32Array.of(1, 0, 1, 0, 0), 3), [3, 4, 0]);
  assertEquals(chooseByWeight(weights, ones, 0), []);
});

Deno.test("drawByWeight() draws the timesteps that the reference's training draws", () => {
  const golden = fixture("torch_rng/multinomial");
  const [steps, batch, timesteps] = [40, 8, 10];
  const t = golden("t");
  const history = golden("Lt_history");
  const generator = new TorchGenerator(3);
  for (let step = 0; step < steps; step++) {
    const expected = [...t.slice(step * batch, (step + 1) * batch)];
    if (step < 22) {
      // Every timestep is as probable as long as few losses are known: torch.randint.
      const drawn = expected.map(() => generator.random32() % timesteps);
      assertEquals(drawn, expected, `step ${step}`);
    } else {
      const before = history.slice((step - 1) * timesteps, step * timesteps);
      const roots = before.map((loss) => Math.fround(Math.sqrt(loss + 1e-10)) + 1e-4);
      roots[0] = roots[1]!;
      const weights = roots.map((root) => root / roots.reduce((a, b) => a + b));
      assertEquals(drawByWeight(weights, batch, generator), expected, `step ${step}`);
    }
    // The noise of the step: 13 classes of 16 tokens.
    generator.fill(new Float32Array(batch * 13 * 16));
  }
});

Deno.test("drawByWeight() never draws what has no weight", () => {
  const weights = Float32Array.of(0, 1, 0, 3, 0);
  const drawn = drawByWeight(weights, 2000, new TorchGenerator(2));
  assert(drawn.every((index) => index === 1 || index === 3));
  const share = drawn.filter((index) => index === 3).length / 2000;
  // Five standard errors.
  assert(Math.abs(share - 0.75) < 5 * Math.sqrt(0.75 * 0.25 / 2000), `${share}`);
});

Deno.test("fillExponential() takes generators of float32 numbers only", () => {
  const numbers = [0.5, 0.25, 0, 0.5];
  const generator = { fill: (out: Float32Array) => out.set(numbers.splice(0, out.length)) };
  const out = new Float32Array(2);
  fillExponential(generator, out);
  assertEquals(out, Float32Array.of(-Math.log(0.5 - 2 ** -26), 2 ** -25));
});
