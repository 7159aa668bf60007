// The command line of `deno task bench`.

import { parseArgs } from "node:util";
import { WEIGHT_DTYPES, type WeightDType } from "../src/base/dtypes.ts";
import { bestSimd, type SimdVariant } from "../src/backends/wasm/kernels.ts";

/** What to measure, and how. */
export interface BenchOptions {
  /** Names of the sections. */
  readonly sections: readonly string[];
  readonly threads: readonly number[];
  readonly dtypes: readonly WeightDType[];
  readonly simd: readonly SimdVariant[];
  /** Rounds, of which the best counts. */
  readonly runs: number;
  /** Whether onnxruntime runs beside. */
  readonly peer: boolean;
  /** A Python with PyTorch, which runs beside; undefined for none. */
  readonly python: string | undefined;
}

/** How to use it. */
export const USAGE = `Measures the CPU backend.

    deno task bench [options]

--sections a,b   some of gemm, block, step, scheduler, decode, image, start; default: all
--threads n,m    numbers of threads; default: that of the processors
--dtype a,b      how weights are held: fp32, fp16, q8; default: all
--simd a,b       instruction sets: relaxed-simd, simd; default: the best there is
--runs n         rounds, of which the best counts; default: 5
--peer           runs onnxruntime-web and onnxruntime-node beside, which npm installs in the user's cache
--python path    runs PyTorch beside, in this Python

GFLOP/s counts products and sums of matrices, attention and convolutions as they are defined; a
convolution that gets along with fewer may pass its limit. The limit is that of a loop of the same
instructions without memory. The difference is the largest from the first line of the same work.`;

const SIMD: readonly SimdVariant[] = ["relaxed-simd", "simd"];

/**
 * Reads the arguments; undefined if they ask for help.
 *
 * @throws {TypeError} If an option is unknown.
 * @throws {RangeError} If a value is not one of those above.
 */
export function parseOptions(
  args: readonly string[],
  sections: readonly string[],
): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      sections: { type: "string" },
      threads: { type: "string" },
      dtype: { type: "string" },
      simd: { type: "string" },
      runs: { type: "string", default: "5" },
      peer: { type: "boolean", default: false },
      python: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const { hardwareConcurrency } = navigator;
  return {
    sections: choices("sections", values.sections, sections) ?? sections,
    threads: values.threads?.split(",").map((text) => count("threads", text)) ??
      [hardwareConcurrency],
    dtypes: choices("dtype", values.dtype, WEIGHT_DTYPES) ?? WEIGHT_DTYPES,
    simd: choices("simd", values.simd, SIMD) ?? [bestSimd()],
    runs: count("runs", values.runs),
    peer: values.peer,
    python: values.python,
  };
}

/** The values that are named, in the order of those that are allowed. */
function choices<T extends string>(
  option: string,
  text: string | undefined,
  allowed: readonly T[],
): readonly T[] | undefined {
  if (text === undefined) return undefined;
  const names = text.split(",");
  const unknown = names.find((name) => !allowed.some((value) => value === name));
  if (unknown !== undefined) {
    throw new RangeError(`--${option} takes some of ${allowed.join(", ")}, got ${unknown}`);
  }
  return allowed.filter((value) => names.includes(value));
}

function count(option: string, text: string): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1) return value;
  throw new RangeError(`--${option} takes whole numbers from 1 on, got ${text}`);
}
