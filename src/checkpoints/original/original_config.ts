/**
 * The configs of Microsoft's code, in YAML or JSON. Nearly all they say follows from the checkpoint too.
 *
 * @module
 */

import { parse } from "npm:deno-std@1.4.0/yaml/parse.js";
import { describeName, describeValue, escapeControls, listOf } from "../../base/check.ts";
import { isInnerPath } from "../../files/paths.ts";
import { booleanField, type Config, integerField } from "../config.ts";

/** What a model draws from. */
export type OriginalKind = "text" | "class" | "none";

/** What the config of a model says beyond the shapes of its arrays. */
export interface OriginalConfig {
  /** What it is, for error messages. */
  readonly description: string;
  /** What the model draws from. */
  readonly kind: OriginalKind;
  /** Tokens of an image, if the config says how many. */
  readonly pixels: number | undefined;
  /** Name of the file of the image autoencoder, if the config has one of its own. */
  readonly vqvaeFile: string | undefined;
  /** Name of the file that gives the tokens of the codes, if there is one. */
  readonly codesFile: string | undefined;
  /** Number of attention heads. */
  readonly heads: number;
  /** Number of blocks. */
  readonly layers: number;
  /** Columns of the hidden state. */
  readonly columns: number;
  /** Whether the embeddings of "no text" were learned, if the config says so. */
  readonly learnable: boolean | undefined;
}

/** Models of Microsoft's code, and the attention of their blocks. */
const MODELS: Readonly<
  Record<string, { readonly kind: OriginalKind; readonly attention: string }>
> = {
  DALLE: { kind: "text", attention: "selfcross" },
  C_DALLE: { kind: "class", attention: "selfcondition" },
  UC_DALLE: { kind: "none", attention: "self" },
};

/** Choices that are not implemented, but for these values. */
const FIXED: readonly (readonly [path: string, value: unknown])[] = [
  ["model.params.condition_codec_config.params.pad_value", 0],
  ["model.params.diffusion_config.params.alpha_init_type", "alpha1"],
  ["model.params.diffusion_config.params.condition_emb_config.params.normalize", true],
  ["model.params.diffusion_config.params.condition_emb_config.params.pick_last_embedding", false],
  ["model.params.diffusion_config.params.content_emb_config.params.pos_emb_type", "embedding"],
  ["model.params.diffusion_config.params.transformer_config.params.block_activate", "GELU2"],
  ["model.params.diffusion_config.params.transformer_config.params.timestep_type", "adalayernorm"],
  ["model.params.diffusion_config.params.transformer_config.params.class_type", "adalayernorm"],
];

const DIFFUSION = "model.params.diffusion_config.params";
const TRANSFORMER = `${DIFFUSION}.transformer_config.params`;
const CODEC = "model.params.content_codec_config.params";

/**
 * Reads a config such as `configs/ithq.yaml` of Microsoft's repository.
 *
 * @param text YAML or JSON. Python's tags are passed over; nothing is executed.
 * @param description What it is, for error messages.
 * @throws {SyntaxError} If it is not valid YAML.
 * @throws {TypeError} If it is not the config of a model of VQ-Diffusion, or a field is missing.
 * @throws {RangeError} If a field has a value that is not implemented.
 */
export function parseOriginalConfig(text: string, description: string): OriginalConfig {
  const root = parseYaml(text, description);
  const target = valueAt(root, "model.target") ?? "nothing";
  const model = typeof target === "string" ? target.split(".").at(-1)! : describeName(target);
  if (!Object.hasOwn(MODELS, model)) {
    throw new TypeError(
      `Cannot use ${description}: model.target is ${describeName(model)}, expected ${
        listOf(Object.keys(MODELS), "or")
      }`,
    );
  }
  const { kind, attention } = MODELS[model]!;
  for (const [path, expected] of [...FIXED, [`${TRANSFORMER}.attn_type`, attention] as const]) {
    const value = valueAt(root, path) ?? expected;
    if (value === expected) continue;
    throw new RangeError(
      `Cannot use ${description}: ${path} is ${describeValue(value)}, expected ${
        describeValue(expected)
      }`,
    );
  }
  const transformer: Config = { description, values: recordAt(root, TRANSFORMER) };
  const diffusion: Config = { description, values: recordAt(root, DIFFUSION) };
  return {
    description,
    kind,
    pixels: "content_seq_len" in transformer.values
      ? integerField(transformer, "content_seq_len", { min: 1 })
      : undefined,
    vqvaeFile: fileName(valueAt(root, `${CODEC}.ckpt_path`)),
    codesFile: fileName(valueAt(root, `${CODEC}.mapping_path`)),
    heads: integerField(transformer, "n_head", { min: 1 }),
    layers: integerField(transformer, "n_layer", { min: 1 }),
    columns: integerField(transformer, "n_embd", { min: 1 }),
    learnable: "learnable_cf" in diffusion.values
      ? booleanField(diffusion, "learnable_cf")
      : undefined,
  };
}

/** Longest config that is read: Microsoft's have some 4 KiB. */
const MAX_CONFIG_LENGTH = 2 ** 15;

/** Most values that a config may have once each alias stands for what it names. */
const MAX_VALUES = 10_000;

/** Deepest nesting of a config. */
const MAX_DEPTH = 64;

/** Longest reason of a parser that an error repeats. */
const MAX_REASON_LENGTH = 200;

function parseYaml(text: string, description: string): unknown {
  if (text.length > MAX_CONFIG_LENGTH) {
    throw new SyntaxError(
      `Cannot read ${description}: it is ${text.length} characters long, expected a config of at ` +
        `most ${MAX_CONFIG_LENGTH}`,
    );
  }
  let root: unknown;
  try {
    // The core schema has no merge keys, which can make much of little.
    root = parse(text.replaceAll(/!!python\/[\w.:/]+/g, ""), { schema: "core" });
  } catch (cause) {
    const message = cause instanceof SyntaxError ? cause.message.split("\n", 1)[0]! : "";
    const reason = escapeControls(message).slice(0, MAX_REASON_LENGTH) || "it is nested too deeply";
    throw new SyntaxError(`Cannot read ${description}: it is not valid YAML: ${reason}`, { cause });
  }
  checkExpansion(root, description);
  return root;
}

/** Aliases may name what is big, or themselves: what follows walks through values as if they were trees. */
function checkExpansion(root: unknown, description: string): void {
  let count = 0;
  const visit = (value: unknown, depth: number): void => {
    if (++count > MAX_VALUES || depth > MAX_DEPTH) {
      throw new SyntaxError(
        `Cannot read ${description}: it stands for more than ${MAX_VALUES} values, or is nested ` +
          `deeper than ${MAX_DEPTH} levels`,
      );
    }
    if (typeof value !== "object" || value === null) return;
    for (const child of Object.values(value)) visit(child, depth + 1);
  };
  visit(root, 0);
}

/** The last part of a path in a config: nothing outside of a folder is to be found by it. */
function fileName(path: unknown): string | undefined {
  // Python writes what is not there as None, which is a text in YAML.
  if (typeof path !== "string" || path === "None") return undefined;
  const name = path.split(/[/\\]/).at(-1)!;
  return isInnerPath(name) ? name : undefined;
}

function valueAt(root: unknown, path: string): unknown {
  return path.split(".").reduce<unknown>(
    (value, key) => isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined,
    root,
  );
}

function recordAt(root: unknown, path: string): Record<string, unknown> {
  const value = valueAt(root, path);
  return isRecord(value) ? value : {};
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
