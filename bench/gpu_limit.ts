// What the arithmetic of a GPU can give at most.

import type { Frame } from "../src/backends/backend.ts";
import { Device } from "../src/backends/webgpu/device.ts";
import { type Kernel, unroll } from "../src/backends/webgpu/kernels/kernel.ts";
import { Recorder } from "../src/backends/webgpu/recorder.ts";
import { ENOUGH, type GpuBench, type Row, timeOf } from "./gpu_timing.ts";

/** How fast fused multiply-adds go that touch no memory. */
const LIMIT_KERNEL: Kernel = {
  name: "limit",
  inputs: {},
  outputs: { y: "f32" },
  params: { turns: "u32", a: "f32", b: "f32" },
  body: () => `
@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3u) {
  ${unroll(16, (i) => `var s${i} = vec4f(f32(id.x) + ${i}.0);`)}
  for (var turn = 0u; turn < params.turns; turn++) {
    ${unroll(4, () => unroll(16, (i) => `s${i} = fma(s${i}, vec4f(params.a), vec4f(params.b));`))}
  }
  let sum = ${Array.from({ length: 16 }, (_, i) => `s${i}`).join(" + ")};
  if (sum.x + sum.y + sum.z + sum.w == 12345.0) { y[0] = 1.0; }
}`,
};

/** Finds the number of workgroups that the GPU computes fastest with. */
export async function limit({ gpu, backend }: GpuBench): Promise<Row[]> {
  const device = new Device(gpu, { owned: false });
  const tile = { queries: 64, keys: 32 };
  let best: Row | undefined;
  for (let groups = 64, turns = 16; groups <= 8192; groups *= 4, turns *= 2) {
    const recorder = new Recorder(backend, device, {
      dispatchesPerSubmission: Infinity,
      attentionTile: tile,
    });
    const result = recorder.operation("limit", () => {
      const y = recorder.result([1]);
      recorder.dispatch(LIMIT_KERNEL, { y }, { turns, a: 0.5, b: 0.25 }, [groups, 1, 1]);
      return y;
    });
    const frame = { run: () => recorder.run() } as Frame;
    const milliseconds = await timeOf(frame, result);
    const flops = groups * 256 * turns * 4 * 16 * 4 * 2;
    recorder.dispose();
    if (!best || flops / milliseconds > best.flops! / best.milliseconds) {
      best = { name: "limit: fused multiply-adds in registers", milliseconds, flops };
    }
    if (milliseconds > ENOUGH) break;
  }
  await device.close();
  return [best!];
}
