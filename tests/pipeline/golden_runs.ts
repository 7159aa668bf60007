// Golden data of whole pipelines: models, and the runs that diffusers made with them.

import type { ModelFolder } from "../../src/files/source.ts";
import { typedArray } from "../../src/checkpoints/arrays.ts";
import { memoryFolder } from "../../src/files/memory_folder.ts";
import { parseSafetensors } from "../../src/checkpoints/safetensors.ts";
import { encodeSafetensors } from "../../src/checkpoints/safetensors_writer.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);

/** Files of a folder by path. */
export type Files = Record<string, Uint8Array<ArrayBuffer>>;

/** A run of the reference: its arguments by the names of diffusers, and what it gave. */
export interface GoldenRun {
  /** Name, such as `a`. */
  readonly name: string;
  readonly prompt: string | string[];
  readonly num_inference_steps: number;
  readonly guidance_scale: number;
  readonly truncation_rate: number;
  readonly num_images_per_prompt: number;
  readonly generator_seed: number;
  /** Whether the model's learned embeddings stand for no prompt; not told of the embedded model. */
  readonly learnable_embeddings?: boolean;
  /** (…) ids or floats; undefined if the run does not have them. */
  array(name: string): { readonly shape: readonly number[]; readonly data: unknown } | undefined;
}

/** All runs of a model. */
export function goldenRuns(model: "pipeline/tiny" | "pipeline/ithq_like" | "default_model") {
  const folder = new URL(`${model}/`, FIXTURES);
  const { runs } = JSON.parse(Deno.readTextFileSync(new URL("case.json", folder)));
  return Object.entries<Omit<GoldenRun, "name" | "array"> & { file?: string }>(runs).map(
    ([name, { file = `${name}.safetensors`, ...run }]): GoldenRun => {
      const arrays = parseSafetensors(Deno.readFileSync(new URL(file, folder)));
      const array = (key: string) => {
        const stored = arrays.get(key);
        return stored && { shape: stored.shape, data: typedArray(stored) };
      };
      return { ...run, name, array };
    },
  );
}

/** Integers of a run. */
export function ids(run: GoldenRun, name: string): Int32Array {
  const data = run.array(name)?.data;
  if (!(data instanceof Int32Array)) throw new TypeError(`Run ${run.name} has no integers ${name}`);
  return data;
}

/** Floating point numbers of a run. */
export function floats(run: GoldenRun, name: string): Float32Array {
  const data = run.array(name)?.data;
  if (!(data instanceof Float32Array)) throw new TypeError(`Run ${run.name} has no floats ${name}`);
  return data;
}

/** The files of the tiny model of the golden runs. */
export function tinyFiles(): Files {
  return filesOf(new URL("pipeline/tiny/model/", FIXTURES));
}

/** The tiny model without learned embeddings for classifier-free guidance. */
export function tinyFilesWithoutLearned(): Files {
  const changes = filesOf(new URL("pipeline/tiny/no_learned_embeddings/", FIXTURES));
  return { ...tinyFiles(), ...changes };
}

/**
 * The model of the shape of ithq's. Its vocabulary is CLIP's, which lies among the tokenizer's fixtures.
 * Of its token embeddings only the rows that the golden runs use are kept; the others are so
 * great that a result shows their use.
 */
export function ithqLikeFiles(): Files {
  const files = filesOf(new URL("pipeline/ithq_like/model/", FIXTURES));
  for (const name of ["vocab.json", "merges.txt"]) {
    files[`tokenizer/${name}`] = Deno.readFileSync(new URL(`tokenizer/${name}`, FIXTURES));
  }
  const { "text_encoder/used_rows.safetensors": stored, ...rest } = files;
  return { ...rest, "text_encoder/model.safetensors": withAllTokens(stored!) };
}

/** Opens files as a folder, so that each test can change some. */
export function folderOf(files: Files): ModelFolder {
  return memoryFolder(files, "golden");
}

/** JSON of a file, changed. */
export function withJson(files: Files, path: string, changes: Record<string, unknown>): Files {
  const json = { ...JSON.parse(new TextDecoder().decode(files[path])), ...changes };
  return { ...files, [path]: new TextEncoder().encode(JSON.stringify(json)) };
}

/** The files below a folder by path. */
export function filesOf(folder: URL, path = ""): Files {
  const files: Files = {};
  for (const { name, isDirectory } of Deno.readDirSync(new URL(path, folder))) {
    if (isDirectory) Object.assign(files, filesOf(folder, `${path}${name}/`));
    else files[`${path}${name}`] = Deno.readFileSync(new URL(`${path}${name}`, folder));
  }
  return files;
}

function withAllTokens(stored: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  const name = "text_model.embeddings.token_embedding.weight";
  const { used_ids: ids, ...arrays } = Object.fromEntries(parseSafetensors(stored));
  const [used, rows] = [ids!, arrays[name]!].map((array) => typedArray(array));
  const [vocabulary, columns] = [49408, rows!.length / used!.length];
  const table = new Float32Array(vocabulary * columns).fill(1e30);
  (used as Int32Array).forEach((id, i) => {
    table.set((rows as Float32Array).subarray(i * columns, (i + 1) * columns), id * columns);
  });
  const bytes = new Uint8Array(table.buffer);
  const all = { ...arrays, [name]: { dtype: "F32", shape: [vocabulary, columns], bytes } as const };
  return encodeSafetensors(Object.entries(all));
}
