// The critic, its gradients and those through it, against plain functions and their differences.

import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { CriticTrainer } from "../../src/training/critic_trainer.ts";
import { PatchCritic } from "../../src/training/patch_critic.ts";
import { VQLoss } from "../../src/training/vq_loss.ts";
import { BACKENDS } from "../backends/backends.ts";
import { makeWebGpu, WITHOUT_WEBGPU } from "../backends/webgpu_adapter.ts";
import { assertClose, Random, settle } from "../backends/operations/trial.ts";
import { GoldenArrays, goldenVQModel } from "./golden_training.ts";
import {
  naiveCritic,
  naiveCriticLoss,
  naiveImages,
  naiveTerms,
  type Weights,
  weightsOf,
} from "./naive_critic.ts";

const [BATCH, SIDE] = [2, 16];

/**
 * Half the distance of arguments in float64: what differences of thrice differentiable functions leave out is
 * far below float32's rounding, and so is their own. |x| is not differentiable at 0, which no feature comes near.
 */
const STEP = 1e-5;

/** Sums of some thousand products in float32, through four layers. */
const CLOSE = { absolute: 1e-6, relative: 1e-4 };

/** The parameter of the decoder that is the last. */
const LAST_BIAS = "decoder.conv_out.bias";

/** Some gradients of a parameter, and the differences that they have to be. */
function assertSlopes(
  gradient: Float32Array,
  at: (index: number, step: number) => number,
  what: string,
): void {
  const indices = Array.from({ length: 8 }, (_, i) => Math.floor(i * gradient.length / 8));
  const slopes = indices.map((i) => (at(i, STEP) - at(i, -STEP)) / (2 * STEP));
  assert(slopes.some((slope) => Math.abs(slope) > 1e-5), `${what}: ${slopes}`);
  assertClose(indices.map((i) => gradient[i]!), slopes, CLOSE, what);
}

const MAKERS = [
  ...BACKENDS.map((backend) => ({ ...backend, ignore: false })),
  { name: "WebGPU", slow: false, ignore: WITHOUT_WEBGPU, make: makeWebGpu },
];

for (const { name, slow, ignore, make } of MAKERS) {
  const what = `${name}: PatchCritic scores patches, each image for itself`;
  Deno.test({
    name: what,
    ignore,
    fn: async () => {
      await using backend = await make();
      using critic = await PatchCritic.create(backend, 3, 1);
      const values = new Random(1).floats(BATCH * 3 * SIDE * SIDE);
      const images = naiveImages(values, BATCH, SIDE);
      using frame = backend.frame();
      critic.parameters.record(frame);
      const input = frame.empty([BATCH, SIDE, SIDE, 3], "f32");
      input.write(Float32Array.from(images.flatMap(({ data }) => [...data])));
      const { scores, features } = critic.record(frame, input);
      await frame.run();
      const weights = await weightsOf(critic.parameters);
      const naive = images.map((image) => naiveCritic(weights, image));
      assertEquals(scores.shape, [BATCH, 2, 2, 1]);
      for (const [i, tensor] of [...features, scores].entries()) {
        const expected = naive.flatMap((maps) => [...maps[i]!.data]);
        assertClose(await tensor.data(), expected, { absolute: 1e-5 }, `layer ${i}`);
      }
    },
  });

  // The oracle takes half a minute.
  if (slow) continue;
  Deno.test({
    name: `${name}: VQLoss with a critic has the gradients of what it adds`,
    ignore,
    fn: async () => {
      await using backend = await make();
      const { model, parameters } = await goldenVQModel(backend);
      await using _model = model;
      using critic = await PatchCritic.create(backend, 3, 1);
      const options = { batch: BATCH, height: SIDE, width: SIDE };
      using plain = new VQLoss(model, parameters, options);
      using judged = new VQLoss(model, parameters, options, { critic, weight: 10 });
      const pictures = new GoldenArrays("vq/io").floats("image_0");
      const { decoded } = await plain.compute(pictures);
      assertEquals(await judged.compute(pictures), await plain.compute(pictures));
      const biases = await Promise.all([plain, judged].map(({ gradients }) => {
        const bias = gradients.find(({ parameter }) => parameter.arrays[0]![0] === LAST_BIAS);
        return bias!.gradient.data();
      }));
      const added = biases[1]!.map((value, i) => value - biases[0]![i]!);
      const weights = await weightsOf(critic.parameters);
      const images = naiveImages(pictures, BATCH, SIDE);
      // The bias of the last layer is added to all pixels of a channel.
      const slopes = Array.from(added, (_, channel) => {
        const [more, less] = [STEP, -STEP].map((step) => {
          const moved = Float64Array.from(
            decoded,
            (value, i) => value + (Math.floor(i / SIDE ** 2) % 3 === channel ? step : 0),
          );
          return naiveTerms(weights, naiveImages(moved, BATCH, SIDE), images, 10);
        });
        return (more! - less!) / (2 * STEP);
      });
      assertClose(added, slopes, { absolute: 1e-5, relative: 1e-4 }, LAST_BIAS);
      const named = judged.gradients.map(({ parameter }) => parameter.arrays[0]![0]);
      assertEquals(named, plain.gradients.map(({ parameter }) => parameter.arrays[0]![0]));
    },
  });

  Deno.test({
    name: `${name}: CriticTrainer goes down the gradients of the squares of the critic's errors`,
    ignore,
    fn: async () => {
      await using backend = await make();
      using trainer = await CriticTrainer.create(backend, [BATCH, 3, SIDE, SIDE], 1);
      const random = new Random(1);
      const [pictures, decoded] = [1, 2].map(() => random.floats(BATCH * 3 * SIDE * SIDE));
      const [images, others] = [pictures!, decoded!].map((x) => naiveImages(x, BATCH, SIDE));
      const weights = await weightsOf(trainer.critic.parameters);
      const lossOf = (changed: Weights) => naiveCriticLoss(changed, others!, images!);
      const loss = await trainer.step(pictures!, decoded!, 1e-3);
      assertClose([loss], [lossOf(weights)], { absolute: 0, relative: 1e-5 }, "loss");
      for (const { parameter, gradient } of trainer.gradients) {
        const name = parameter.arrays[0]![0];
        assertSlopes(await gradient.data(), (i, step) => {
          const values = weights.get(name)!;
          return lossOf(new Map(weights).set(name, values.with(i, values[i]! + step)));
        }, name);
      }
      let last = loss;
      for (let step = 0; step < 20; step++) last = await trainer.step(pictures!, decoded!, 1e-3);
      assert(last < loss / 2, `${last} after ${loss}`);
    },
  });
}

const { make } = BACKENDS[1]!;

Deno.test("PatchCritic begins with the same for a seed", async () => {
  await using backend = await make();
  const of = async (seed: number) => {
    using critic = await PatchCritic.create(backend, 3, seed);
    return await weightsOf(critic.parameters);
  };
  assertEquals(await of(1), await of(1));
  assertNotEquals(await of(1), await of(2));
});

Deno.test("CriticTrainer refuses pictures that do not fit, and gives all memory back", async () => {
  await using backend = await make();
  const { bytes } = backend.memoryUse();
  const small = () => CriticTrainer.create(backend, [1, 3, 16, 7], 1);
  await assertRejects(small, RangeError, "the smaller side of pictures is 7, expected at least 8");
  {
    using trainer = await CriticTrainer.create(backend, [1, 3, 8, 9], 1);
    const [fit, long] = [216, 217].map((size) => new Float32Array(size));
    await assertRejects(() => trainer.step(long!, fit!, 1), RangeError, "the length of pictures");
    const broken = fit!.with(7, NaN);
    await assertRejects(
      () => trainer.step(fit!, broken, 1),
      RangeError,
      "reconstructions[7] is NaN",
    );
  }
  await settle(backend);
  assertEquals(backend.memoryUse().bytes, bytes);
});
