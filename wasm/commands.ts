// Made from asm/ by `deno task build`; do not edit.

/** Bytes from one command to the next. */
export const COMMAND_BYTES = 96;

/** `Format` of asm/convert.ts. */
export const Format = { f32: 0, f16: 1, bf16: 2, i8: 3 } as const;

/** `Activation` of asm/math.ts. */
export const Activation = { none: 0, quickGelu: 1, silu: 2, gelu: 3 } as const;

const address = <const N extends number>(at: N) => ["address", at] as const;
const int = <const N extends number>(at: N) => ["int", at] as const;
const float = <const N extends number>(at: N) => ["float", at] as const;
const bool = <const N extends number>(at: N) => ["bool", at] as const;

/** `LinearCommand` of asm/linear.ts: x is (rows, k), out is (rows, n). */
const LinearCommand = {
  x: address(4),
  /** Panels of the weight. */
  weight: address(8),
  /** One float for each column of the panels. */
  bias: address(12),
  out: address(16),
  rows: int(20),
  /** Columns of the result. */
  n: int(24),
  /** Columns of x. */
  k: int(28),
  /** Whether the panels hold float16. */
  half: bool(32),
  activation: int(36),
  /** Whether `out` is added to. */
  add: bool(40),
  /** Columns of a chunk, whole panels: their part of W, at most 512 KiB, stays in the second-level cache. The host chooses it by the numbers of rows and threads. */
  chunkColumns: int(44),
} as const;

/** `QuantizeRowsCommand` of asm/linear_q8.ts: x is (rows, columns), out is (rows, quantizedRowBytes(columns)) bytes, scales is (rows). */
const QuantizeRowsCommand = {
  x: address(4),
  out: address(8),
  /** One scale for each row. */
  scales: address(12),
  rows: int(16),
  columns: int(20),
} as const;

/** `LinearQ8Command` of asm/linear_q8.ts: x is (rows, quantizedRowBytes(k)) bytes, xScales is (rows), out is (rows, n). */
const LinearQ8Command = {
  /** Quantised activations and their scales. */
  x: address(4),
  xScales: address(8),
  weight: address(12),
  /** One float for each column of the panels: scales, biases. */
  weightScales: address(16),
  bias: address(20),
  /** One int32 for each column: what the offset of the activations adds to the dot product. */
  offsets: address(24),
  out: address(28),
  rows: int(32),
  n: int(36),
  k: int(40),
  activation: int(44),
  /** Whether `out` is added to. */
  add: bool(48),
} as const;

/** `AttentionCommand` of asm/attention.ts: q is (batch, queries, qStride), k is (batch, keys, kStride), v is (batch, keys, vStride), of which the first heads · headDim columns count; out is (batch, queries, heads · headDim). */
const AttentionCommand = {
  /** First element of the columns that count. */
  q: address(4),
  k: address(8),
  v: address(12),
  out: address(16),
  /** Floats from row to row. */
  qStride: int(20),
  kStride: int(24),
  vStride: int(28),
  batch: int(32),
  heads: int(36),
  headDim: int(40),
  /** Rows of q, and of k and v, in each sequence. */
  queries: int(44),
  keys: int(48),
  scale: float(52),
  /** Whether a query sees only the keys up to its own position. */
  causal: bool(56),
  /** Rows of q in a chunk; the host chooses it by the number of heads and threads. */
  chunkQueries: int(60),
} as const;

/** `LayerNormCommand` of asm/norms.ts: x and out are (rows, columns), weight and bias are (columns). */
const LayerNormCommand = {
  x: address(4),
  weight: address(8),
  bias: address(12),
  out: address(16),
  rows: int(20),
  columns: int(24),
  eps: float(28),
} as const;

/** `AdaLayerNormCommand` of asm/norms.ts: x and out are (rows, columns), table is (timesteps, 2 · columns): scales, then shifts; timestep is (rows / rowsEach) int32. */
const AdaLayerNormCommand = {
  x: address(4),
  table: address(8),
  /** The rows of the table to use: one outside is taken as the nearest inside. */
  timestep: address(12),
  out: address(16),
  rows: int(20),
  /** Rows that follow each other and have the same timestep. */
  rowsEach: int(24),
  columns: int(28),
  timesteps: int(32),
  eps: float(36),
} as const;

/** `GroupNormCommand` of asm/norms.ts: x and out are (batch, pixels, channels), sums is (batch, groupNormBlocks(pixels), 2, channels) float64, weight and bias are (channels). */
const GroupNormCommand = {
  x: address(4),
  out: address(8),
  /** Sums and sums of squares over a block of pixels. */
  sums: address(12),
  weight: address(16),
  bias: address(20),
  batch: int(24),
  pixels: int(28),
  channels: int(32),
  groups: int(36),
  eps: float(40),
  /** Whether SiLU follows. */
  silu: bool(44),
} as const;

/** `Conv2dCommand` of asm/convolution.ts: x is (batch, height, width, inChannels), out is (batch, outHeight, outWidth, outChannels), bias is (outChannels). */
const Conv2dCommand = {
  x: address(4),
  /** A pixel of zeros, for the padding. */
  zero: address(8),
  weight: address(12),
  bias: address(16),
  out: address(20),
  batch: int(24),
  height: int(28),
  width: int(32),
  inChannels: int(36),
  outHeight: int(40),
  outWidth: int(44),
  outChannels: int(48),
  kernelSize: int(52),
  stride: int(56),
  /** Whether x is doubled in height and width first. */
  upsample: bool(60),
  /** Whether `out` is added to. */
  add: bool(61),
} as const;

/** `WinogradCommand` of asm/winograd.ts: x is (batch, height, width, inChannels), out is (batch, outHeight, outWidth, outChannels), bias is (outChannels). */
const WinogradCommand = {
  x: address(4),
  /** A pixel of zeros, for the padding. */
  zero: address(8),
  weight: address(12),
  bias: address(16),
  out: address(20),
  batch: int(24),
  height: int(28),
  width: int(32),
  /** A multiple of 4. */
  inChannels: int(36),
  outHeight: int(40),
  outWidth: int(44),
  /** A multiple of 8. */
  outChannels: int(48),
  /** Whether x is doubled in height and width first. */
  upsample: bool(52),
  /** Whether `out` is added to. */
  add: bool(53),
} as const;

/** `EmbeddingCommand` of asm/rows.ts: ids is (count), table is (tableRows, columns), position is (positions, columns), out is (count, columns). */
const EmbeddingCommand = {
  ids: address(4),
  table: address(8),
  /** Rows that are added in turn, or null. */
  position: address(12),
  out: address(16),
  count: int(20),
  columns: int(24),
  positions: int(28),
  /** Rows of the table: ids outside are taken as the nearest inside. */
  tableRows: int(32),
} as const;

/** `RowsCommand` of asm/rows.ts: x and out are (rows, columns); for geglu x is (rows, 2 · columns), for rowMax out is (rows). */
const RowsCommand = {
  x: address(4),
  out: address(8),
  rows: int(12),
  /** Columns of the result; for rowMax those of x. */
  columns: int(16),
} as const;

/** `TransposeCommand` of asm/rows.ts: x is (batch, rows, columns), out is (batch, columns, rows). */
const TransposeCommand = {
  x: address(4),
  out: address(8),
  batch: int(12),
  rows: int(16),
  columns: int(20),
} as const;

/** `RepeatCommand` of asm/rows.ts: x is (size), out is (times, size). */
const RepeatCommand = {
  x: address(4),
  out: address(8),
  times: int(12),
  size: int(16),
} as const;

/** `NearestCodeCommand` of asm/rows.ts: x is (rows, columns), codebook is (codes, columns), out is (rows) int32. */
const NearestCodeCommand = {
  x: address(4),
  codebook: address(8),
  out: address(12),
  rows: int(16),
  columns: int(20),
  codes: int(24),
} as const;

/** `PosteriorCommand` of asm/sampling.ts: logProbs is (pixels, classes − 1), latents is (pixels) int32, schedule is (lastRow + 1, 6), row is (1) int32, out is (pixels, classes). */
const PosteriorCommand = {
  logProbs: address(4),
  latents: address(8),
  schedule: address(12),
  /** The row of the schedule that the step goes from; the row before it is where it leads. */
  row: address(16),
  out: address(20),
  /** Those of all images. */
  pixels: int(24),
  classes: int(28),
  lastRow: int(32),
} as const;

/** `SampleStepCommand` of asm/sampling.ts: logProbs is (batch or, if guided, 2 · batch, pixels, classes − 1), latents is (batch, pixels) int32, noise is (batch, classes, pixels), or (batch, classes − 1, pixels) from row 0, schedule is (lastRow + 1, 6), row is (1) int32. */
const SampleStepCommand = {
  logProbs: address(4),
  /** x_t, replaced by x_{t−1}. */
  latents: address(8),
  /** Uniform numbers. */
  noise: address(12),
  schedule: address(16),
  /** The row of the schedule that the step goes from; the row before it is where it leads. */
  row: address(20),
  batch: int(24),
  pixels: int(28),
  classes: int(32),
  lastRow: int(36),
  guided: bool(40),
  guidanceScale: float(44),
  truncated: bool(48),
  truncationRate: float(52),
  /** Most classes that are kept; 0 for all. */
  topK: int(56),
} as const;

/** `PredictCommand` of asm/prediction.ts: logProbs is (batch or, if guided, 2 · batch, pixels, columns), out is (batch, pixels, columns). */
const PredictCommand = {
  logProbs: address(4),
  out: address(8),
  /** Those of all images. */
  pixels: int(12),
  columns: int(16),
  guided: bool(20),
  guidanceScale: float(24),
  truncated: bool(28),
  truncationRate: float(32),
  /** Most classes that are kept; 0 for all. */
  topK: int(36),
} as const;

/** `SharpenCommand` of asm/prediction.ts: logProbs and out are (batch, pixels, columns), best is (batch, pixels), weight is (1). */
const SharpenCommand = {
  logProbs: address(4),
  /** The greatest log p of each pixel. */
  best: address(8),
  weight: address(12),
  out: address(16),
  batch: int(20),
  pixels: int(24),
  columns: int(28),
} as const;

/** `ElementsCommand` of asm/gradients.ts: x, other and out are (count). */
const ElementsCommand = {
  x: address(4),
  /** The second summand or factor, or the gradient of the result; null if there is none. */
  other: address(8),
  out: address(12),
  count: int(16),
  activation: int(20),
} as const;

/** `RowsGradientCommand` of asm/gradients.ts: For geglu x and out are (rows, 2 · columns) and dy is (rows, columns); for logSoftmax, where x is its result, and for normalizeRows all are (rows, columns). */
const RowsGradientCommand = {
  x: address(4),
  /** Gradient of the result. */
  dy: address(8),
  out: address(12),
  rows: int(16),
  columns: int(20),
} as const;

/** `LayerNormGradientCommand` of asm/gradients.ts: x, dy and out are (rows, columns), affine is (rows, 2 · columns). Factors are (columns); with timesteps they are the table of an adaptive norm and timestep is (rows / rowsEach) int32. */
const LayerNormGradientCommand = {
  x: address(4),
  dy: address(8),
  factors: address(12),
  /** Rows of the table, or null for a plain norm. */
  timestep: address(16),
  out: address(20),
  /** Gradients of factor and shift for each row of x. */
  affine: address(24),
  rows: int(28),
  rowsEach: int(32),
  columns: int(36),
  timesteps: int(40),
  eps: float(44),
} as const;

/** `AttentionGradientCommand` of asm/attention_gradient.ts: q, dq are (batch · queries, qStride), k, dk and v, dv are (batch · keys, kStride or vStride), from the column that the first head begins with; dy is (batch · queries, heads · headDim). */
const AttentionGradientCommand = {
  q: address(4),
  k: address(8),
  v: address(12),
  dy: address(16),
  dq: address(20),
  dk: address(24),
  dv: address(28),
  qStride: int(32),
  kStride: int(36),
  vStride: int(40),
  batch: int(44),
  heads: int(48),
  headDim: int(52),
  queries: int(56),
  keys: int(60),
  scale: float(64),
  causal: bool(68),
} as const;

/** `ScatterAddCommand` of asm/gradients.ts: x is (ids · rowsEach, columns), ids is (ids) int32, out is (outRows, columns). */
const ScatterAddCommand = {
  x: address(4),
  ids: address(8),
  out: address(12),
  count: int(16),
  /** Rows of x that follow each other and have the same id. */
  rowsEach: int(20),
  columns: int(24),
  outRows: int(28),
} as const;

/** `PackCommand` of asm/gradients.ts: x is (n, k), transposed (k, n); bias is (n); out is panels [n / 8][k][8], outBias (n / 8 · 8). */
const PackCommand = {
  x: address(4),
  /** Null for zeros. */
  bias: address(8),
  out: address(12),
  outBias: address(16),
  n: int(20),
  k: int(24),
  transposed: bool(28),
} as const;

/** `DiffusionLossCommand` of asm/loss.ts: logProbs is (batch, pixels, classes − 1), x0 and xt are (batch, pixels) int32, schedule is (lastRow + 1, 6), row is (batch) int32, out is (batch, pixels, 3). */
const DiffusionLossCommand = {
  logProbs: address(4),
  x0: address(8),
  xt: address(12),
  schedule: address(16),
  /** For each image, the row of the schedule that the step goes from. */
  row: address(20),
  out: address(24),
  batch: int(28),
  pixels: int(32),
  classes: int(36),
  lastRow: int(40),
} as const;

/** `DiffusionLossGradientCommand` of asm/loss.ts: As DiffusionLossCommand; dy is (batch, pixels, 3), out is (batch, pixels, classes − 1). */
const DiffusionLossGradientCommand = {
  logProbs: address(4),
  x0: address(8),
  xt: address(12),
  schedule: address(16),
  /** For each image, the row of the schedule that the step goes from. */
  row: address(20),
  /** Gradient of the terms. */
  dy: address(24),
  out: address(28),
  batch: int(32),
  pixels: int(36),
  classes: int(40),
  lastRow: int(44),
} as const;

/** `PackConvCommand` of asm/convolution_gradient.ts: weight is (outChannels, inChannels, taps); out is panels [n / 8][taps][k][8], outBias is (n / 8 · 8). */
const PackConvCommand = {
  weight: address(4),
  /** Null for zeros. */
  bias: address(8),
  out: address(12),
  outBias: address(16),
  /** A pixel of k zeros, for the padding. */
  zero: address(20),
  /** Channels of the result. */
  n: int(24),
  /** Channels of the argument. */
  k: int(28),
  taps: int(32),
  /** Whether n are the weight's inChannels; then its rows and columns are turned round. */
  transposed: bool(36),
} as const;

/** `Conv2dWeightGradientCommand` of asm/convolution_gradient.ts: x is (batch, height, width, inChannels), dy is (pixels, outChannels) with pixels = batch · outHeight · outWidth, partial is (slices, ⌈outChannels / 6⌉ · 6, taps, ⌈inChannels / 8⌉ · 8), out is (outChannels, inChannels, taps). */
const Conv2dWeightGradientCommand = {
  x: address(4),
  dy: address(8),
  partial: address(12),
  out: address(16),
  batch: int(20),
  height: int(24),
  width: int(28),
  inChannels: int(32),
  outHeight: int(36),
  outWidth: int(40),
  outChannels: int(44),
  kernelSize: int(48),
  stride: int(52),
  /** Pixels of the result in a slice. */
  slicePixels: int(56),
  slices: int(60),
  /** Whether x was doubled in height and width first. */
  upsample: bool(64),
} as const;

/** `PixelsCommand` of asm/convolution_gradient.ts: The larger image is (batch, height, width, channels), the smaller one (batch, height / 2, width / 2, channels), rounded down. */
const PixelsCommand = {
  x: address(4),
  out: address(8),
  batch: int(12),
  height: int(16),
  width: int(20),
  channels: int(24),
} as const;

/** `GroupNormGradientCommand` of asm/norms_gradient.ts: x, dy and out are (batch, pixels, channels), sums is that of `groupNormSums`, slopes is (batch, groupNormBlocks(pixels), 2, channels), affine is (batch, 2, channels), weight and bias are (channels). */
const GroupNormGradientCommand = {
  x: address(4),
  dy: address(8),
  out: address(12),
  /** Sums and sums of squares over a block of pixels. */
  sums: address(16),
  /** Sums of the gradients by factors and shifts over a block of pixels. */
  slopes: address(20),
  /** Gradients by the factors and shifts, for each image. */
  affine: address(24),
  weight: address(28),
  bias: address(32),
  batch: int(36),
  pixels: int(40),
  channels: int(44),
  groups: int(48),
  eps: float(52),
  /** Whether SiLU followed. */
  silu: bool(56),
} as const;

/** `DistanceCommand` of asm/distance.ts: x, y, dy and out are (count). */
const DistanceCommand = {
  x: address(4),
  y: address(8),
  /** Gradient of the result; null if that is computed. */
  dy: address(12),
  out: address(16),
  count: int(20),
  /** Whether it is (x − y)². */
  squared: bool(24),
} as const;

/** Opcode of each operation, and the fields of its command: what they hold, first byte. */
export const COMMANDS = {
  linear: { opcode: 0, fields: LinearCommand },
  quantizeRows: { opcode: 1, fields: QuantizeRowsCommand },
  linearQ8: { opcode: 2, fields: LinearQ8Command },
  attention: { opcode: 3, fields: AttentionCommand },
  layerNorm: { opcode: 4, fields: LayerNormCommand },
  adaLayerNorm: { opcode: 5, fields: AdaLayerNormCommand },
  groupNormSums: { opcode: 6, fields: GroupNormCommand },
  groupNormApply: { opcode: 7, fields: GroupNormCommand },
  conv2d: { opcode: 8, fields: Conv2dCommand },
  winograd: { opcode: 9, fields: WinogradCommand },
  embedding: { opcode: 10, fields: EmbeddingCommand },
  geglu: { opcode: 11, fields: RowsCommand },
  transpose: { opcode: 12, fields: TransposeCommand },
  repeat: { opcode: 13, fields: RepeatCommand },
  normalizeRows: { opcode: 14, fields: RowsCommand },
  nearestCode: { opcode: 15, fields: NearestCodeCommand },
  logSoftmax: { opcode: 16, fields: RowsCommand },
  posterior: { opcode: 17, fields: PosteriorCommand },
  sampleStep: { opcode: 18, fields: SampleStepCommand },
  predictStart: { opcode: 19, fields: PredictCommand },
  rowMax: { opcode: 20, fields: RowsCommand },
  sharpen: { opcode: 21, fields: SharpenCommand },
  add: { opcode: 22, fields: ElementsCommand },
  activate: { opcode: 23, fields: ElementsCommand },
  activateGradient: { opcode: 24, fields: ElementsCommand },
  gegluGradient: { opcode: 25, fields: RowsGradientCommand },
  logSoftmaxGradient: { opcode: 26, fields: RowsGradientCommand },
  layerNormGradient: { opcode: 27, fields: LayerNormGradientCommand },
  attentionGradient: { opcode: 28, fields: AttentionGradientCommand },
  scatterAdd: { opcode: 29, fields: ScatterAddCommand },
  pack: { opcode: 30, fields: PackCommand },
  diffusionLoss: { opcode: 31, fields: DiffusionLossCommand },
  diffusionLossGradient: { opcode: 32, fields: DiffusionLossGradientCommand },
  packConv: { opcode: 33, fields: PackConvCommand },
  conv2dWeightGradient: { opcode: 34, fields: Conv2dWeightGradientCommand },
  conv2dWeightGradientSum: { opcode: 35, fields: Conv2dWeightGradientCommand },
  dilate: { opcode: 36, fields: PixelsCommand },
  sumBlocks: { opcode: 37, fields: PixelsCommand },
  groupNormGradient: { opcode: 38, fields: GroupNormGradientCommand },
  groupNormGradientApply: { opcode: 39, fields: GroupNormGradientCommand },
  normalizeRowsGradient: { opcode: 40, fields: RowsGradientCommand },
  distance: { opcode: 41, fields: DistanceCommand },
  distanceGradient: { opcode: 42, fields: DistanceCommand },
  multiply: { opcode: 43, fields: ElementsCommand },
} as const;
