/**
 * The operations of the self-check in plain TypeScript and float64.
 *
 * @module
 */

const indices = (count: number) => Array.from({ length: count }, (_, i) => i);
const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);

/** quickGelu(x·Wᵀ + b). */
export function linearQuickGelu(
  x: Float32Array,
  w: Float32Array,
  bias: Float32Array,
  inner: number,
): number[] {
  return indices(x.length / inner).flatMap((m) =>
    [...bias].map((b, n) => {
      const y = b + sum(indices(inner).map((k) => x[m * inner + k]! * w[n * inner + k]!));
      return y / (1 + Math.exp(-1.702 * y));
    })
  );
}

/** Every `step`-th element of x·Wᵀ. */
export function someProducts(
  x: Float32Array,
  w: Float32Array,
  inner: number,
  step: number,
): number[] {
  const columns = w.length / inner;
  const size = x.length / inner * columns;
  return indices(Math.ceil(size / step)).map((i) => {
    const [m, n] = [Math.floor(i * step / columns), i * step % columns];
    return sum(indices(inner).map((k) => x[m * inner + k]! * w[n * inner + k]!));
  });
}

/** Causal attention of rows (q, k, v), each of heads · headDim columns. */
export function causalAttention(
  joined: Float32Array,
  rows: number,
  heads: number,
  headDim: number,
  scale: number,
): number[] {
  const width = heads * headDim;
  const at = (part: number, row: number, column: number) =>
    joined[row * 3 * width + part * width + column]!;
  return indices(rows).flatMap((query) =>
    indices(heads).flatMap((head) => {
      const columns = indices(headDim).map((d) => head * headDim + d);
      const weights = indices(query + 1).map((key) =>
        Math.exp(scale * sum(columns.map((c) => at(0, query, c) * at(1, key, c))))
      );
      const total = sum(weights);
      return columns.map((c) => sum(weights.map((w, key) => w * at(2, key, c))) / total);
    })
  );
}

/** (x − mean) / sqrt(variance + eps) · weight + bias. */
export function layerNorm(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  eps: number,
): number[] {
  const columns = weight.length;
  return indices(x.length / columns).flatMap((r) => {
    const row = [...x.subarray(r * columns, (r + 1) * columns)];
    const mean = sum(row) / columns;
    const variance = sum(row.map((value) => (value - mean) ** 2)) / columns;
    return row.map((value, i) =>
      (value - mean) / Math.sqrt(variance + eps) * weight[i]! + bias[i]!
    );
  });
}

/** A 3×3 convolution of (height, width, in) by (out, in, 3, 3). */
export function convolution(
  x: Float32Array,
  weight: Float32Array,
  bias: Float32Array,
  height: number,
  width: number,
): number[] {
  const channels = x.length / height / width;
  const pixel = (line: number, column: number, channel: number) =>
    line < 0 || line >= height || column < 0 || column >= width
      ? 0
      : x[(line * width + column) * channels + channel]!;
  return indices(height * width).flatMap((at) =>
    [...bias].map((b, out) =>
      b + sum(
        indices(channels * 9).map((k) => {
          const [channel, tap] = [Math.floor(k / 9), k % 9];
          const line = Math.floor(at / width) + Math.floor(tap / 3) - 1;
          return weight[out * channels * 9 + k]! * pixel(line, at % width + tap % 3 - 1, channel);
        }),
      )
    )
  );
}

/** x − log Σ exp x. */
export function logSoftmax(x: ArrayLike<number>): Float64Array {
  const values = Float64Array.from(x);
  const total = logSumExp(values);
  return values.map((value) => value - total);
}

/** The denoising step of one image at t = 1, for tokens that are not all masked. */
export function sampleStep(
  logProbs: Float32Array,
  latents: Int32Array,
  noise: Float32Array,
  schedule: Float32Array,
  options: { readonly guidanceScale: number; readonly truncationRate: number },
): number[] {
  const pixels = latents.length;
  const columns = logProbs.length / pixels / 2;
  const [keep, replace, mask] = schedule.subarray(3, 6) as unknown as Three;
  const now = schedule.subarray(6, 9) as unknown as Three;
  const cumulative = schedule.subarray(9, 12) as unknown as Three;
  const logZero = Math.log(1e-30);
  return [...latents].map((token, pixel) => {
    const row = (r: number) => logProbs.subarray(r * columns, (r + 1) * columns);
    const conditional = row(pixels + pixel);
    const guided = row(pixel).map((u, k) => u + options.guidanceScale * (conditional[k]! - u));
    const values = truncate(logSoftmax(guided), options.truncationRate);
    const toToken = (k: number, [kept, replaced, masked]: Three) =>
      token === columns ? masked : logAddExp((k === token ? 0 : logZero) + kept, replaced);
    const q = values.map((value, k) => value - toToken(k, cumulative));
    const total = logSumExp(q);
    const scores = [...q].map((value, k) =>
      logAddExp(value - total + keep, replace) + toToken(k, now) + total
    );
    scores.push(mask + (token === columns ? 0 : logZero) + total);
    const noised = scores.map((score, k) =>
      score - Math.log(-Math.log(noise[k * pixels + pixel]! + 1e-30) + 1e-30)
    );
    return noised.indexOf(Math.max(...noised));
  });
}

/** Logarithms of the probabilities to keep a token, to replace it by each other, to mask it. */
type Three = readonly [keep: number, replace: number, mask: number];

function truncate(logProbs: Float64Array, rate: number): Float64Array {
  const kept = new Float64Array(logProbs.length).fill(-70);
  let before = 0;
  for (const k of indices(logProbs.length).sort((i, j) => logProbs[j]! - logProbs[i]!)) {
    kept[k] = Math.max(logProbs[k]!, -70);
    before += Math.exp(logProbs[k]!);
    if (before >= rate) break;
  }
  return kept;
}

function logAddExp(a: number, b: number): number {
  return logSumExp([a, b]);
}

function logSumExp(values: Iterable<number>): number {
  const all = [...values];
  const largest = Math.max(...all);
  return largest + Math.log(sum(all.map((value) => Math.exp(value - largest))));
}
