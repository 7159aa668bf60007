/**
 * Shaders as data: what a kernel binds, its parameters and its WGSL. The declarations of bindings are
 * generated from these, so that a kernel's text holds nothing but its arithmetic.
 *
 * @module
 */

/** Type of the elements of a storage buffer, in WGSL. */
export type ElementType = "f32" | "i32" | "u32" | "vec4f" | "vec2u";

/** A compute shader: one entry point `main`. */
export interface Kernel {
  /** What it does, with its variant; kernels of one name have the same code. */
  readonly name: string;
  /** Storage buffers that it reads, by variable name. */
  readonly inputs: Readonly<Record<string, ElementType>>;
  /** Storage buffers that it writes (and may read), by variable name. */
  readonly outputs: Readonly<Record<string, ElementType>>;
  /** Fields of the uniform `params`, four bytes each. */
  readonly params: Readonly<Record<string, "u32" | "i32" | "f32">>;
  /** Makes the WGSL of workgroup variables, functions and `main`. */
  readonly body: () => string;
}

/** The whole WGSL of a kernel. Bindings are numbered: inputs, outputs, `params`. */
export function shaderSource(kernel: Kernel): string {
  const { inputs, outputs, params } = kernel;
  const declare = (access: string, buffers: Kernel["inputs"], first: number) =>
    Object.entries(buffers).map(([name, type], i) =>
      `@group(0) @binding(${first + i}) var<storage, ${access}> ${name}: array<${type}>;`
    );
  const readCount = Object.keys(inputs).length;
  const count = readCount + Object.keys(outputs).length;
  const fields = Object.entries(params).map(([name, type]) => `${name}: ${type}`);
  return [
    ...declare("read", inputs, 0),
    ...declare("read_write", outputs, readCount),
    `struct Params { ${fields.join(", ")} }`,
    `@group(0) @binding(${count}) var<uniform> params: Params;`,
    kernel.body(),
  ].join("\n");
}

/** What the three dimensions of a dispatch hold at most, by the specification's defaults. */
const MAX_WORKGROUPS = 65535;

/** Number of workgroups along x, y and z. */
export type Workgroups = readonly [x: number, y: number, z: number];

/** Workgroups for `count` pieces of work that the shader numbers by {@linkcode LINEAR_GROUP}. */
export function linearWorkgroups(count: number): Workgroups {
  const rows = Math.ceil(count / MAX_WORKGROUPS);
  return [rows > 1 ? MAX_WORKGROUPS : count, rows, 1];
}

/** Parameters of `main` in kernels whose workgroups are numbered through. */
export const LINEAR_MAIN_PARAMETERS = `@builtin(workgroup_id) group: vec3u,
  @builtin(num_workgroups) groups: vec3u,
  @builtin(local_invocation_index) thread: u32`;

/** Number of a workgroup in a dispatch of {@linkcode linearWorkgroups}; the last may be superfluous. */
export const LINEAR_GROUP = "group.y * groups.x + group.x";

/**
 * A workgroup-wide reduction: `fn name(thread, value)` combines the values of all threads and gives
 * every thread the result. To be called in uniform control flow.
 *
 * @param combine WGSL expression of `a` and `b`; associative and commutative.
 */
export function reduction(name: string, type: string, threads: number, combine: string): string {
  return `
var<workgroup> ${name}_values: array<${type}, ${threads}>;
fn ${name}(thread: u32, value: ${type}) -> ${type} {
  ${name}_values[thread] = value;
  workgroupBarrier();
  for (var span = ${threads / 2}u; span > 0u; span >>= 1u) {
    if (thread < span) {
      let a = ${name}_values[thread];
      let b = ${name}_values[thread + span];
      ${name}_values[thread] = ${combine};
    }
    workgroupBarrier();
  }
  let result = ${name}_values[0];
  workgroupBarrier();
  return result;
}`;
}

/** The lines that `line` makes for 0 … count − 1: loops that a shader has to have unrolled. */
export function unroll(count: number, line: (i: number) => string): string {
  return Array.from({ length: count }, (_, i) => line(i)).join("\n");
}
