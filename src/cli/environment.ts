/**
 * Variables of the environment. The library itself never looks there.
 *
 * @module
 */

import type { HubOptions } from "../hub/hub.ts";

/** What {@linkcode hubOptions} finds. */
export type EnvironmentHubOptions = Pick<
  HubOptions,
  "endpoint" | "token" | "cache" | "localFilesOnly"
>;

/** Gives a variable, if it is set and not empty. */
export type ReadVariable = (name: string) => string | undefined;

/**
 * The hub to ask, or that it is not to be asked, the token to show and the folder to keep models in:
 * `HF_ENDPOINT`, `HF_HUB_OFFLINE`, `HF_TOKEN`, and `HF_HUB_CACHE` or `HF_HOME` or the folder that Python's
 * `huggingface_hub` uses without them, so that what one has downloaded the other need not.
 *
 * @param read Reads the environment. Default: Deno's, where that is allowed.
 */
export function hubOptions(read: ReadVariable = readAllowed): EnvironmentHubOptions {
  return {
    endpoint: read("HF_ENDPOINT"),
    token: read("HF_TOKEN"),
    cache: cacheFolder(read),
    localFilesOnly: /^(1|on|yes|true)$/i.test(read("HF_HUB_OFFLINE") ?? ""),
  };
}

/**
 * Keeps libwayland from complaining on the standard error output where there is no desktop: looking for
 * a GPU, wgpu asks it for a display, which nothing here needs.
 */
export function quietDisplayServer(): void {
  const variable = "XDG_RUNTIME_DIR";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  if (Deno.build.os !== "linux" || state !== "granted") return;
  if (!Deno.env.get(variable)) Deno.env.set(variable, "/nonexistent");
}

/**
 * Goes back to the folder where a person has called `deno task`, which runs its commands in the folder
 * of deno.json: paths are meant from there, and files belong there.
 */
export function goWhereThePersonStands(): void {
  const folder = readAllowed("INIT_CWD");
  const root = new URL("../../", import.meta.url);
  if (folder === undefined || root.protocol !== "file:") return;
  if (Deno.realPathSync(".") === Deno.realPathSync(root)) Deno.chdir(folder);
}

function cacheFolder(read: ReadVariable): string | undefined {
  const home = read("HOME") ?? read("USERPROFILE");
  // As in Python, which asks no shell, `~` at the beginning is the home.
  const path = (variable: string) => {
    const value = read(variable);
    return home === undefined ? value : value?.replace(/^~(?=$|[/\\])/, () => home);
  };
  const folder = path("HF_HUB_CACHE") ?? path("HUGGINGFACE_HUB_CACHE");
  if (folder) return folder;
  const huggingFace = path("HF_HOME");
  if (huggingFace) return `${huggingFace}/hub`;
  const caches = path("XDG_CACHE_HOME") ?? (home && `${home}/.cache`);
  return caches && `${caches}/huggingface/hub`;
}

/** A variable, if it is set, not empty, and may be read without asking. */
function readAllowed(variable: string): string | undefined {
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" ? Deno.env.get(variable) || undefined : undefined;
}
