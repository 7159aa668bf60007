/**
 * Kernels that move rows, gate them, and look for the nearest of them.
 *
 * @module
 */

import {
  type Kernel,
  LINEAR_GROUP,
  LINEAR_MAIN_PARAMETERS,
  linearWorkgroups,
  reduction,
} from "./kernel.ts";
import { EXACT_SUM, GELU, PRECISE_EXP, PRECISE_LOG } from "./math.ts";
import { forColumns, rowMain, threadsFor } from "./norms.ts";
import type { Recorder } from "../recorder.ts";
import type { BufferSlice, FloatTensor, IntTensor, WebGpuTensor } from "../tensor.ts";

const THREADS = 256;

/** `main` of a kernel with one thread for each of `params.count` elements `i` of the result. */
export function elementMain(body: string): string {
  return `
@compute @workgroup_size(${THREADS})
fn main(${LINEAR_MAIN_PARAMETERS}) {
  let i = (${LINEAR_GROUP}) * ${THREADS}u + thread;
  if (i >= params.count) { return; }
  ${body}
}`;
}

/** Records a kernel of {@linkcode elementMain}. */
export function recordElements(
  recorder: Recorder,
  kernel: Kernel,
  buffers: Readonly<Record<string, BufferSlice | undefined>>,
  count: number,
  params: Readonly<Record<string, number>>,
): void {
  const workgroups = linearWorkgroups(Math.ceil(count / THREADS));
  recorder.dispatch(kernel, buffers, { count, ...params }, workgroups);
}

/** Looks up the ids that lie in a window of the table's rows. */
function embeddingKernel(positioned: boolean): Kernel {
  return {
    name: `embedding${positioned ? " with positions" : ""}`,
    inputs: { ids: "i32", table: "f32", ...(positioned && { position: "f32" }) },
    outputs: { y: "f32" },
    params: {
      count: "u32",
      columns: "u32",
      positions: "u32",
      tableRows: "i32",
      firstRow: "i32",
      rows: "i32",
    },
    body: () =>
      elementMain(`
  let id = clamp(ids[i / params.columns], 0, params.tableRows - 1) - params.firstRow;
  if (id < 0 || id >= params.rows) { return; }
  var value = table[u32(id) * params.columns + i % params.columns];
  ${positioned ? "value += position[i % (params.positions * params.columns)];" : ""}
  y[i] = value;`),
  };
}

/** Records table[ids] + position into y; a table too large for one binding is cut into windows. */
export function embedding(
  recorder: Recorder,
  ids: IntTensor,
  table: FloatTensor,
  position: FloatTensor | undefined,
  y: FloatTensor,
): void {
  const [tableRows, columns] = table.shape as [number, number];
  // A window has to begin at a multiple of 256 bytes: rows of an odd number of columns, at one of 64.
  let unit = 64;
  while (unit > 1 && (unit / 2 * columns) % 64 === 0) unit /= 2;
  const fitting = Math.floor(recorder.device.maxBindingBytes / (4 * columns));
  const windowRows = fitting >= tableRows ? tableRows : Math.floor(fitting / unit) * unit;
  if (windowRows < 1) {
    throw new RangeError(`Cannot run embedding with rows of ${columns} columns: too long to bind`);
  }
  for (let firstRow = 0; firstRow < tableRows; firstRow += windowRows) {
    const rows = Math.min(windowRows, tableRows - firstRow);
    const window = {
      buffer: table.buffer,
      offset: firstRow * columns * 4,
      bytes: rows * columns * 4,
    };
    recordElements(
      recorder,
      embeddingKernel(position !== undefined),
      { ids, table: window, position, y },
      y.size,
      { columns, positions: position?.shape[0] ?? 1, tableRows, firstRow, rows },
    );
  }
}

const GEGLU: Kernel = {
  name: "geglu",
  inputs: { x: "f32" },
  outputs: { y: "f32" },
  params: { count: "u32", columns: "u32" },
  body: () => `
${GELU}
${
    elementMain(`
  let at = i / params.columns * 2u * params.columns + i % params.columns;
  y[i] = x[at] * gelu(x[at + params.columns]);`)
  }`,
};

/** Records a · gelu(b) for the rows (a, b) of x into y. */
export function geglu(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  recordElements(recorder, GEGLU, { x, y }, y.size, { columns: y.shape.at(-1)! });
}

/** On bits, whatever they stand for. */
const REPEAT: Kernel = {
  name: "repeat",
  inputs: { x: "u32" },
  outputs: { y: "u32" },
  params: { count: "u32", size: "u32" },
  body: () => elementMain("y[i] = x[i % params.size];"),
};

/** Records copies of x into y until that is full. */
export function repeat(
  recorder: Recorder,
  x: WebGpuTensor,
  _times: number,
  y: WebGpuTensor,
): void {
  recordElements(recorder, REPEAT, { x, y }, y.size, { size: x.size });
}

const TRANSPOSE_TILE = 16;

/** Reads tiles by rows and writes them by columns, so that both are contiguous. */
const TRANSPOSE: Kernel = {
  name: "transpose",
  inputs: { x: "f32" },
  outputs: { y: "f32" },
  params: { rows: "u32", columns: "u32" },
  body: () => `
var<workgroup> tile: array<f32, ${TRANSPOSE_TILE * (TRANSPOSE_TILE + 1)}>;
@compute @workgroup_size(${TRANSPOSE_TILE}, ${TRANSPOSE_TILE})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let start = group.z * params.rows * params.columns;
  let corner = group.xy * ${TRANSPOSE_TILE}u;
  let source = corner + local.xy;
  if (source.x < params.columns && source.y < params.rows) {
    tile[local.y * ${
    TRANSPOSE_TILE + 1
  }u + local.x] = x[start + source.y * params.columns + source.x];
  }
  workgroupBarrier();
  let goal = corner + local.yx;
  if (goal.x < params.columns && goal.y < params.rows) {
    y[start + goal.x * params.rows + goal.y] = tile[local.x * ${TRANSPOSE_TILE + 1}u + local.y];
  }
}`,
};

/** Records the transposes of the matrices of x (count, rows, columns) into y. */
export function transpose(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  const [count, rows, columns] = x.shape as [number, number, number];
  const tiles = (length: number) => Math.ceil(length / TRANSPOSE_TILE);
  recorder.dispatch(TRANSPOSE, { x, y }, { rows, columns }, [tiles(columns), tiles(rows), count]);
}

function normalizeKernel(threads: number): Kernel {
  return {
    name: `normalizeRows ${threads}`,
    inputs: { x: "f32" },
    outputs: { y: "f32" },
    params: { rows: "u32", columns: "u32" },
    body: () => `
${reduction("total", "f32", threads, "a + b")}
${rowMain(threads)}
  var sum = 0.0;
  ${forColumns(threads, "sum = fma(x[start + i], x[start + i], sum);")}
  let norm = sqrt(total(thread, sum));
  ${forColumns(threads, "y[start + i] = x[start + i] / norm;")}
}`,
  };
}

function logSoftmaxKernel(threads: number): Kernel {
  return {
    name: `logSoftmax ${threads}`,
    inputs: { x: "f32" },
    outputs: { y: "f32" },
    params: { rows: "u32", columns: "u32" },
    body: () => `
${PRECISE_EXP}${PRECISE_LOG}${EXACT_SUM}
${reduction("largest", "f32", threads, "max(a, b)")}
${reduction("total", "vec3u", threads, "a + b")}
${rowMain(threads)}
  var highest = x[start];
  ${forColumns(threads, "highest = max(highest, x[start + i]);")}
  highest = largest(thread, highest);
  var sum = vec3u();
  ${forColumns(threads, "sum += digits(preciseExp(x[start + i] - highest));")}
  let logSum = logOfSum(total(thread, sum));
  ${forColumns(threads, "y[start + i] = (x[start + i] - highest) - logSum;")}
}`,
  };
}

function recordEachRow(
  recorder: Recorder,
  kernel: (threads: number) => Kernel,
  x: FloatTensor,
  y: FloatTensor,
): void {
  const columns = x.shape.at(-1)!;
  const rows = x.size / columns;
  const workgroups = linearWorkgroups(rows);
  recorder.dispatch(kernel(threadsFor(columns)), { x, y }, { rows, columns }, workgroups);
}

/** Records the rows of x, divided by their L2 norms, into y. */
export function normalizeRows(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  recordEachRow(recorder, normalizeKernel, x, y);
}

/** Records x − log Σ exp x for each row into y. */
export function logSoftmax(recorder: Recorder, x: FloatTensor, y: FloatTensor): void {
  recordEachRow(recorder, logSoftmaxKernel, x, y);
}

const CODE_THREADS = 128;

/** One workgroup for each row; each thread tries few of the codes. */
const NEAREST_CODE: Kernel = {
  name: "nearestCode",
  inputs: { x: "f32", codebook: "f32" },
  outputs: { y: "i32" },
  params: { rows: "u32", columns: "u32", codes: "u32" },
  body: () => `
struct Candidate { distance: f32, code: u32 }
fn nearer(a: Candidate, b: Candidate) -> Candidate {
  let second = b.distance < a.distance || (b.distance == a.distance && b.code < a.code);
  if (second) { return b; }
  return a;
}
${reduction("nearest", "Candidate", CODE_THREADS, "nearer(a, b)")}
${rowMain(CODE_THREADS)}
  var best = Candidate(3.0e38, 0u);
  for (var code = thread; code < params.codes; code += ${CODE_THREADS}u) {
    var z2 = 0.0;
    var e2 = 0.0;
    var ze = 0.0;
    for (var i = 0u; i < params.columns; i++) {
      let z = x[start + i];
      let e = codebook[code * params.columns + i];
      z2 = fma(z, z, z2);
      e2 = fma(e, e, e2);
      ze = fma(z, e, ze);
    }
    let distance = z2 + e2 - 2.0 * ze;
    if (distance < best.distance) { best = Candidate(distance, code); }
  }
  best = nearest(thread, best);
  if (thread == 0u) { y[row] = i32(best.code); }
}`,
};

/** Records the index of the nearest row of the codebook for each row of x into y. */
export function nearestCode(
  recorder: Recorder,
  x: FloatTensor,
  codebook: FloatTensor,
  y: IntTensor,
): void {
  const [codes, columns] = codebook.shape as [number, number];
  const rows = y.size;
  const workgroups = linearWorkgroups(rows);
  recorder.dispatch(NEAREST_CODE, { x, codebook, y }, { rows, columns, codes }, workgroups);
}
