// Tests of Frame.conv2d().

import type { ConvOptions } from "../../../src/backends/backend.ts";
import { compare, type MakeBackend, type Refusals, sumTolerance } from "./trial.ts";

// Batch, height, width, channels of the argument, channels of the result.
const SHAPES: readonly [number, number, number, number, number][] = [
  [1, 1, 1, 1, 1],
  [1, 3, 5, 2, 3],
  [2, 8, 8, 16, 8],
  [1, 7, 9, 13, 17],
  [1, 16, 12, 32, 3],
  [2, 5, 6, 3, 32],
  [1, 2, 33, 5, 65],
  [1, 17, 2, 64, 64],
  [2, 9, 11, 68, 72],
];

// Winograd's minimal filtering, which a backend may use for many channels, has twice the rounding error of
// the direct sum (rms, measured in float32 against float64 for 128 channels: 1.1e-6 and 6e-7).
const FILTERING = 2;

// Kernel size and options.
const KINDS: readonly [number, ConvOptions][] = [
  [3, {}],
  [1, {}],
  [3, { stride: 2 }],
  [3, { upsample: true }],
  [1, { upsample: true }],
];

/** Registers the tests. */
export function testConvolution(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.conv2d() convolves, strides, doubles and adds`, async () => {
    await using backend = await makeBackend();
    for (const [batch, height, width, inChannels, outChannels] of SHAPES) {
      for (const [kernelSize, options] of KINDS) {
        if (options.stride === 2 && Math.min(height, width) < 2) continue;
        for (const add of [false, true]) {
          const length = (side: number) =>
            options.stride === 2 ? side >> 1 : options.upsample ? 2 * side : side;
          await compare(
            backend,
            `${batch} × ${height} × ${width}, ${inChannels} → ${outChannels} by ${kernelSize}, ` +
              `${JSON.stringify(options)}, addTo ${add}`,
            (t) => {
              const x = t.floats(batch, height, width, inChannels);
              const addTo = t.floats(batch, length(height), length(width), outChannels);
              const weight = t.conv(outChannels, inChannels, kernelSize);
              return t.frame.conv2d(x, weight, { ...options, ...(add && { addTo }) });
            },
            { absolute: FILTERING * sumTolerance(kernelSize ** 2 * inChannels) },
          );
        }
      }
    }
  });

  Deno.test(`${name}: Backend.convWeight() widens what checkpoints store`, async () => {
    await using backend = await makeBackend();
    for (const dtype of ["f16", "bf16", "i8"] as const) {
      await compare(
        backend,
        dtype,
        (t) => {
          const weight = t.array(dtype, 7, 5, 3, 3);
          const bias = t.array(dtype === "i8" ? "f32" : dtype, 7);
          const x = t.floats(1, 4, 6, 5);
          return t.frame.conv2d(x, t.own(t.backend.convWeight(weight, bias)));
        },
        { absolute: sumTolerance(45) },
      );
    }
  });
}

/** Calls with arguments that do not fit. */
export const CONVOLUTION_REFUSALS: Refusals = {
  conv2d: [
    (t, f) => f.conv2d(t.floats(1, 4, 4, 3), t.conv(2, 4, 3)),
    (t, f) => f.conv2d(t.floats(16, 4), t.conv(2, 4, 3)),
    (t, f) => f.conv2d(t.floats(1, 4, 4, 4), t.conv(2, 4, 3), { addTo: t.floats(1, 4, 4, 4) }),
    (t, f) => f.conv2d(t.floats(1, 1, 4, 4), t.conv(2, 4, 3), { stride: 2 }),
    (t, f) => f.conv2d(t.floats(1, 4, 4, 4), t.conv(2, 4, 1), { stride: 2 }),
    (t, f) => f.conv2d(t.floats(1, 4, 4, 4), t.conv(2, 4, 3), { stride: 2, upsample: true }),
    (t, f) => {
      const x = t.floats(1, 4, 4, 4);
      return f.conv2d(x, t.conv(4, 4, 3), { addTo: x });
    },
  ],
};
