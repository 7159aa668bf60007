/**
 * Whether there is a GPU, and what to ask of it.
 *
 * @module
 */

/** What {@linkcode probeWebGpu} found. */
export interface WebGpuProbe {
  /** An adapter to use; undefined if there is none. */
  readonly adapter: GPUAdapter | undefined;
  /** Its name, or why there is none, for people: `"no WebGPU in this runtime"`. */
  readonly reason: string;
}

/** Names of drivers that compute on the CPU. */
const SOFTWARE = /llvmpipe|lavapipe|swiftshader|softpipe|software|basic render|\bwarp\b|\bcpu\b/i;

/** Whether an adapter computes on the CPU. */
export function isSoftwareAdapter(info: Partial<GPUAdapterInfo>): boolean {
  const { isFallbackAdapter, vendor, architecture, device, description } = info;
  return isFallbackAdapter === true ||
    SOFTWARE.test([vendor, architecture, device, description].join(" "));
}

/** Name of an adapter, for people. */
export function describeAdapter(info: Partial<GPUAdapterInfo>): string {
  const { vendor, architecture, device, description } = info;
  if (description) return description;
  return [vendor, architecture, device].filter(Boolean).join(" ") || "unnamed GPU";
}

/**
 * Looks for a GPU. Never throws.
 *
 * @param options `allowSoftware`: whether an adapter that computes on the CPU counts. Default false.
 */
export async function probeWebGpu(
  options: { readonly allowSoftware?: boolean } = {},
): Promise<WebGpuProbe> {
  // Typed as always there, which it is not.
  const gpu = (globalThis.navigator as Navigator | undefined)?.gpu as GPU | undefined;
  if (gpu === undefined) return { adapter: undefined, reason: "no WebGPU in this runtime" };
  let adapter: GPUAdapter | null;
  try {
    adapter = await gpu.requestAdapter({ powerPreference: "high-performance" }) ??
      await gpu.requestAdapter();
  } catch (error) {
    return { adapter: undefined, reason: `no WebGPU adapter (${(error as Error).message})` };
  }
  if (adapter === null) return { adapter: undefined, reason: "no WebGPU adapter" };
  const name = describeAdapter(adapter.info);
  if (!options.allowSoftware && isSoftwareAdapter(adapter.info)) {
    return { adapter: undefined, reason: `the only WebGPU adapter, ${name}, computes on the CPU` };
  }
  return { adapter, reason: name };
}

/** Limits of the adapter that are asked for: the defaults are those of small phones. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupSizeY",
] as const;

/** Takes a device of an adapter, with all that it offers of the limits that kernels care for. */
export function requestDevice(adapter: GPUAdapter): Promise<GPUDevice> {
  const requiredLimits = Object.fromEntries(LIMITS.map((name) => [name, adapter.limits[name]]));
  return adapter.requestDevice({ label: "vq-diffusion", requiredLimits });
}
