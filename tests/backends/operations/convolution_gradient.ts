// Tests of Frame.packConv(), conv2dWeightGradient(), dilate() and sumBlocks().

import type { ConvSampling } from "../../../src/backends/backend.ts";
import { compare, type MakeBackend, type Refusals, ROUNDOFF, sumTolerance } from "./trial.ts";

// Batch, height, width, channels of the argument, channels of the result.
const SHAPES: readonly [number, number, number, number, number][] = [
  [1, 1, 1, 1, 1],
  [1, 3, 5, 2, 3],
  [2, 8, 8, 16, 8],
  [1, 7, 9, 13, 17],
  [2, 5, 6, 3, 32],
  [1, 2, 33, 5, 68],
  [3, 15, 14, 8, 7],
];

// Kernel size and sampling.
const KINDS: readonly [1 | 3, ConvSampling][] = [
  [3, {}],
  [1, {}],
  [3, { stride: 2 }],
  [3, { upsample: true }],
  [1, { upsample: true }],
];

/** Registers the tests. */
export function testConvolutionGradient(name: string, makeBackend: MakeBackend): void {
  Deno.test(`${name}: Frame.packConv() makes a weight of a kernel, or of its adjoint`, async () => {
    await using backend = await makeBackend();
    for (const [batch, height, width, inChannels, outChannels] of SHAPES) {
      for (const size of [1, 3]) {
        for (const transpose of [false, true]) {
          for (const biased of [false, true]) {
            const sizes = transpose ? [inChannels, outChannels] : [outChannels, inChannels];
            await compare(
              backend,
              `${batch} × ${height} × ${width}, ${inChannels} → ${outChannels} by ${size}, ` +
                `transpose ${transpose}, bias ${biased}`,
              (t) => {
                // Of a result, so that packing is done each time the frame is run.
                const kernel = t.frame.repeat(t.floats(...sizes, size, size), 1);
                const bias = biased ? { bias: t.floats(outChannels) } : {};
                const weight = t.frame.packConv(kernel, { transpose, ...bias });
                return t.frame.conv2d(t.floats(batch, height, width, inChannels), weight);
              },
              { absolute: sumTolerance(size ** 2 * inChannels) },
            );
          }
        }
      }
    }
  });

  Deno.test(`${name}: Frame.packConv() gives its memory back with its scope`, async () => {
    await using backend = await makeBackend();
    await compare(
      backend,
      "three weights, one after the other",
      (t) => {
        const image = t.floats(2, 5, 4, 8);
        const kernels = [t.floats(8, 8, 3, 3), t.floats(8, 8, 3, 3), t.floats(8, 8, 3, 3)];
        return kernels.reduce((x, kernel) => {
          const y = t.frame.repeat(x, 1);
          using _scope = t.frame.scope();
          return t.frame.conv2d(x, t.frame.packConv(kernel), { addTo: y });
        }, image);
      },
      // Sums of 72 terms of numbers that grow twentyfold from one to the next.
      { absolute: 400 * sumTolerance(72) },
    );
  });

  Deno.test(`${name}: Frame.conv2dWeightGradient() sums over all pixels`, async () => {
    await using backend = await makeBackend();
    for (const [batch, height, width, inChannels, outChannels] of SHAPES) {
      for (const [kernelSize, sampling] of KINDS) {
        if (sampling.stride === 2 && Math.min(height, width) < 2) continue;
        const length = (side: number) =>
          sampling.stride === 2 ? side >> 1 : sampling.upsample ? 2 * side : side;
        await compare(
          backend,
          `${batch} × ${height} × ${width}, ${inChannels} → ${outChannels} by ${kernelSize}, ` +
            JSON.stringify(sampling),
          (t) =>
            t.frame.conv2dWeightGradient(
              t.floats(batch, height, width, inChannels),
              t.floats(batch, length(height), length(width), outChannels),
              { kernelSize, ...sampling },
            ),
          { absolute: sumTolerance(batch * length(height) * length(width)) },
        );
      }
    }
    await compare(
      backend,
      "several slices",
      (t) =>
        t.frame.conv2dWeightGradient(t.floats(2, 67, 65, 3), t.floats(2, 67, 65, 2), {
          kernelSize: 3,
        }),
      { absolute: sumTolerance(2 * 67 * 65) },
    );
  });

  Deno.test(`${name}: Frame.dilate() puts zeros between pixels`, async () => {
    await using backend = await makeBackend();
    for (const [height, width, channels] of [[2, 2, 1], [5, 8, 3], [13, 7, 16]] as const) {
      await compare(
        backend,
        `${height} × ${width} × ${channels}`,
        (t) => t.frame.dilate(t.floats(2, height >> 1, width >> 1, channels), height, width),
        { absolute: 0 },
      );
    }
  });

  Deno.test(`${name}: Frame.sumBlocks() adds four pixels`, async () => {
    await using backend = await makeBackend();
    for (const [height, width, channels] of [[1, 1, 1], [3, 5, 7], [6, 4, 16]] as const) {
      await compare(
        backend,
        `${height} × ${width} × ${channels}`,
        (t) => t.frame.sumBlocks(t.floats(2, 2 * height, 2 * width, channels)),
        { absolute: 8 * ROUNDOFF },
      );
    }
  });
}

/** Calls with arguments that do not fit. */
export const CONVOLUTION_GRADIENT_REFUSALS: Refusals = {
  packConv: [
    (t, f) => f.packConv(t.floats(2, 3, 3)),
    (t, f) => f.packConv(t.floats(2, 3, 3, 1)),
    (t, f) => f.packConv(t.floats(2, 3, 5, 5)),
    (t, f) => f.packConv(t.floats(2, 3, 3, 3), { bias: t.floats(3) }),
    (t, f) => f.packConv(t.floats(2, 3, 3, 3), { bias: t.floats(2), transpose: true }),
  ],
  conv2dWeightGradient: [
    (t, f) => {
      const [x, dy] = [t.floats(1, 4, 4, 3), t.floats(1, 4, 3, 2)];
      return f.conv2dWeightGradient(x, dy, { kernelSize: 3 });
    },
    (t, f) => {
      const [x, dy] = [t.floats(1, 4, 4, 3), t.floats(1, 2, 2, 2)];
      return f.conv2dWeightGradient(x, dy, { kernelSize: 1, stride: 2 });
    },
    (t, f) => {
      const [x, dy] = [t.floats(1, 4, 4, 3), t.floats(1, 4, 4, 2)];
      return f.conv2dWeightGradient(x, dy, { kernelSize: 2 as 3 });
    },
  ],
  dilate: [
    (t, f) => f.dilate(t.floats(1, 2, 2, 3), 4, 6),
    (t, f) => f.dilate(t.floats(1, 2, 2, 3), 4.5, 4),
  ],
  sumBlocks: [
    (t, f) => f.sumBlocks(t.floats(1, 3, 2, 3)),
    (t, f) => f.sumBlocks(t.floats(4, 2, 3)),
  ],
};
