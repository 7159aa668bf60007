// The WebGPU backend when something goes wrong: a lost device, an abort, errors that arrive late.

import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import type { Frame, Tensor } from "../../src/backends/backend.ts";
import { Device } from "../../src/backends/webgpu/device.ts";
import { DeviceLostError } from "../../src/backends/errors.ts";
import { Trial } from "./operations/trial.ts";
import { makeWebGpu, testDevice, WITHOUT_WEBGPU } from "./webgpu_adapter.ts";

const ignore = WITHOUT_WEBGPU;

/** Layers one after the other; the result of the last. */
function layers(frame: Frame, input: Tensor, count: number): Tensor {
  let x = input;
  for (let i = 0; i < count; i++) x = frame.normalizeRows(x);
  return x;
}

Deno.test({
  name: "WebGPU: a device lost in mid-run gives DeviceLostError from run() and data()",
  ignore,
  fn: async () => {
    const device = await testDevice();
    const backend = await makeWebGpu({ device });
    const trial = new Trial(backend);
    const out = layers(trial.frame, trial.floats(64, 64), 50);
    await trial.frame.run();
    const run = trial.frame.run();
    const data = out.data();
    device.destroy();
    const results = await Promise.allSettled([run, data]);
    for (const result of results) {
      // What was submitted may have come through; if not, the error says why.
      if (result.status === "rejected") assert(result.reason instanceof DeviceLostError);
    }
    await device.lost;
    await assertRejects(() => trial.frame.run(), DeviceLostError);
    await assertRejects(() => out.data(), DeviceLostError, "The GPU was lost");
    trial[Symbol.dispose]();
    assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
    await backend.dispose();
  },
});

Deno.test({
  name: "WebGPU: a device lost while kernels compile gives DeviceLostError",
  ignore,
  fn: async () => {
    const device = await testDevice();
    await using backend = await makeWebGpu({ device });
    using trial = new Trial(backend);
    const out = layers(trial.frame, trial.floats(8, 8), 3);
    const run = trial.frame.run();
    device.destroy();
    // The loss may become known before the kernels are ready, or only after.
    const [result] = await Promise.allSettled([run]);
    if (result.status === "rejected") assert(result.reason instanceof DeviceLostError);
    await assertRejects(() => out.data(), DeviceLostError);
    await assertRejects(() => trial.frame.run(), DeviceLostError);
  },
});

Deno.test({
  name: "WebGPU: Backend.dispose() leaves the caller's device alive and its own destroyed",
  ignore,
  fn: async () => {
    const device = await testDevice();
    const backend = await makeWebGpu({ device });
    const tensor = backend.tensor(Float32Array.of(1, 2), [2]);
    await backend.dispose();
    await backend.dispose();
    await assertRejects(() => tensor.data(), ReferenceError, "disposed of");
    tensor.dispose();
    const again = await makeWebGpu({ device });
    using other = again.tensor(Float32Array.of(3), [1]);
    assertEquals(await other.data(), Float32Array.of(3));
    await again.dispose();
    device.destroy();
  },
});

Deno.test({
  name: "WebGPU: Frame.run() stops between two submissions when aborted",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu({ tuning: { dispatchesPerSubmission: 1 } });
    using trial = new Trial(backend);
    const out = layers(trial.frame, trial.floats(8, 8), 20);
    await trial.frame.run();
    const { submissions } = backend.stats;
    assertEquals(submissions, 20);
    const controller = new AbortController();
    const { signal } = controller;
    // Aborts at the fifth look at the signal, so that no clock decides.
    let looks = 0;
    signal.throwIfAborted = () => {
      if (++looks === 5) controller.abort(new DOMException("enough", "AbortError"));
      if (signal.aborted) throw signal.reason;
    };
    await assertRejects(() => trial.frame.run({ signal }), DOMException, "enough");
    const done = backend.stats.submissions - submissions;
    assert(done < 20, `${done} submissions`);
    await trial.frame.run();
    assertEquals((await out.data()).length, 64);
  },
});

Deno.test({
  name: "WebGPU: Frame.run() aborted while kernels compile frees all with the frame",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu();
    {
      using trial = new Trial(backend);
      layers(trial.frame, trial.floats(8, 8), 3);
      const controller = new AbortController();
      const run = trial.frame.run({ signal: controller.signal });
      controller.abort();
      await assertRejects(() => run, DOMException);
      assertEquals(backend.stats.submissions, 0);
    }
    assertEquals(backend.memoryUse(), { bytes: 0, allocations: 0 });
  },
});

Deno.test({
  name: "WebGPU: errors of the GPU surface as one error that names the operation",
  ignore,
  fn: async () => {
    await using backend = await makeWebGpu();
    using trial = new Trial(backend);
    const weight = trial.floats(8);
    const options = { weight, bias: trial.floats(8), eps: 1e-5 };
    trial.frame.layerNorm(trial.floats(2, 8), options);
    await trial.frame.run();
    weight.dispose();
    await assertRejects(() => trial.frame.run(), Error, "Cannot do run: the GPU refused it");
    using next = new Trial(backend);
    const out = next.frame.repeat(next.tensor([1, 2], 2), 2);
    await next.frame.run();
    assertEquals(await out.data(), Float32Array.of(1, 2, 1, 2));
  },
});

Deno.test({
  name: "WebGPU: Device.kernel() tells what the compiler says of which kernel",
  ignore,
  fn: async () => {
    const gpu = await testDevice();
    const device = new Device(gpu, { owned: true });
    const { ready } = device.kernel({
      name: "broken",
      inputs: {},
      outputs: { y: "f32" },
      params: { count: "u32" },
      body: () => "nonsense",
    });
    const error = await ready.catch((error) => error);
    assert(error instanceof Error);
    assertStringIncludes(error.message, "compilation of broken");
    await device.close();
  },
});
