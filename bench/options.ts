// The command line of `deno task bench`.

import { WEIGHT_DTYPES, type WeightDType } from "../src/base/dtypes.ts";
import { bestSimd, type SimdVariant } from "../src/backends/wasm/kernels.ts";
import { integerOption, type ParsedArguments } from "../src/cli/arguments.ts";
import { choicesOption } from "../tools/script.ts";

/** What to measure, and how. */
export interface BenchOptions {
  /** Names of the sections. */
  readonly sections: readonly string[];
  readonly threads: readonly number[];
  readonly dtypes: readonly WeightDType[];
  readonly simd: readonly SimdVariant[];
  /** Rounds, of which the best counts. */
  readonly runs: number;
  /** Whether sections that take long measure less. */
  readonly quick: boolean;
  /** Whether onnxruntime runs beside. */
  readonly peer: boolean;
  /** A Python with PyTorch, which runs beside; undefined for none. */
  readonly python: string | undefined;
}

/** How to use it. */
export const USAGE = `Measures the CPU backend.

    deno task bench [options]

--section a,b    some of gemm, block, step, scheduler, decode, image, training, start, headline; default:
                 all but headline, which takes some ten minutes for each type of weights
--threads n,m    numbers of threads; default: that of the processors
--dtype a,b      how weights are held: fp32, fp16, q8; default: all
--simd a,b       instruction sets: relaxed-simd, simd; default: the best there is
--runs n         rounds, of which the best counts; default: 5
--quick          headline: only the embedded model with 64 and 256 tokens; training: two rounds
--peer           runs onnxruntime-web and onnxruntime-node beside, which npm installs in the user's cache
--python path    runs PyTorch beside, in this Python

GFLOP/s counts products and sums of matrices, attention and convolutions as they are defined; a
convolution that needs fewer may pass its limit. The limit is that of a loop of the same instructions
without memory. The peak of memory is that of a whole process. The difference is the largest from the
first line of the same work.`;

/** The options, as `parseArguments` takes them. */
export const OPTIONS = {
  section: { type: "string" },
  threads: { type: "string" },
  dtype: { type: "string" },
  simd: { type: "string" },
  runs: { type: "string", default: "5" },
  quick: { type: "boolean", default: false },
  peer: { type: "boolean", default: false },
  python: { type: "string" },
} as const;

/** The section that has to be asked for. */
const LONG_SECTION = "headline";

const SIMD: readonly SimdVariant[] = ["relaxed-simd", "simd"];

/**
 * Reads the values of the options.
 *
 * @param sections Names of all sections.
 * @throws {UsageError} If a value is not one of those above.
 */
export function readOptions(
  { values }: ParsedArguments<typeof OPTIONS>,
  sections: readonly string[],
): BenchOptions {
  return {
    sections: choicesOption("section", values.section, sections) ??
      sections.filter((name) => name !== LONG_SECTION),
    threads: values.threads?.split(",").map((text) => integerOption("threads", text)!) ??
      [navigator.hardwareConcurrency],
    dtypes: choicesOption("dtype", values.dtype, WEIGHT_DTYPES) ?? WEIGHT_DTYPES,
    simd: choicesOption("simd", values.simd, SIMD) ?? [bestSimd()],
    runs: integerOption("runs", values.runs)!,
    quick: values.quick,
    peer: values.peer,
    python: values.python,
  };
}
