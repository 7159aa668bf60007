/**
 * What is built: entries, syntax and contents of each bundle.
 *
 * @module
 */

/** A bundle. */
export interface Target {
  /** Files of the repository, by the names of the entries. */
  readonly entries: Readonly<Record<string, string>>;
  /** Oldest engines that its syntax is for. */
  readonly engines: readonly string[];
  /** Whether names and spaces are shortened. */
  readonly minify: boolean;
  /** Whether what is loaded later is in files of its own. */
  readonly splitting: boolean;
  /** What stands in for classes that these engines may lack. */
  readonly inject: readonly string[];
  /** Modules that others take the place of. */
  readonly instead: Readonly<Record<string, string>>;
  /** Modules that are left out, and what needs them. They are loaded dynamically. */
  readonly without: Readonly<Record<string, string>>;
}

const BROWSERS = ["chrome113", "firefox128", "safari17"];
const STACKS = "tools/bundle/disposable_stacks.ts";
const FLOAT16 = "tools/bundle/float16_array.ts";

/** Entries of the library, by the names that users import them by. */
const LIBRARY = {
  "mod": "mod.ts",
  "models": "src/models/mod.ts",
  "schedulers": "src/schedulers/mod.ts",
  "tokenizers": "src/tokenizers/mod.ts",
  "images": "src/images/mod.ts",
  "backends": "src/backends/mod.ts",
  "checkpoints": "src/checkpoints/mod.ts",
  "server": "src/server/mod.ts",
  "training": "src/training/mod.ts",
};

/** The bundles by their names. */
export const TARGETS: Readonly<Record<"browser" | "edge" | "node", Target>> = {
  browser: {
    entries: {
      mod: LIBRARY.mod,
      checkpoints: LIBRARY.checkpoints,
      training: LIBRARY.training,
    },
    engines: BROWSERS,
    minify: true,
    splitting: true,
    inject: [STACKS],
    instead: {},
    without: { "src/hub/disk_cache.ts": "a cache on disk" },
  },
  edge: {
    entries: { edge: "edge.ts" },
    engines: ["es2022"],
    minify: true,
    splitting: false,
    inject: [STACKS],
    instead: { "src/hub/open_cache.ts": "tools/bundle/no_cache.ts" },
    without: {
      "src/hub/cached_http_folder.ts": "a cache",
      "src/hub/hub.ts": "a model of the hub",
      "src/checkpoints/original/open_original.ts": "an original checkpoint",
      "src/checkpoints/torch/torch_file.ts": "a torch file",
      "src/files/disk_folder.ts": "a folder on disk",
      "src/files/folder_writer.ts": "a folder on disk",
      "src/files/node_file_system.ts": "a folder on disk",
      "src/pipeline/save_pipeline.ts": "a folder on disk",
      "src/checkpoints/save_weights.ts": "a folder on disk",
      "src/images/jpeg.ts": "JPEG",
      "src/backends/wasm/worker_pool.ts": "threads",
      "src/backends/webgpu/dry.ts": "WebGPU",
      "src/backends/webgpu/mod.ts": "WebGPU",
    },
  },
  node: {
    entries: LIBRARY,
    engines: ["node20", ...BROWSERS],
    minify: false,
    splitting: true,
    inject: [STACKS, FLOAT16],
    instead: {},
    without: {},
  },
};
