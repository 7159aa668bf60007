// Runtimes and tools from npm, installed into temporary folders: nothing of them is part of the project.

import { temporaryFolder } from "../temporary_folder.ts";

/** A package that has been installed. */
export interface Installed extends AsyncDisposable {
  /** Path of the folder that has `node_modules`. */
  readonly path: string;
}

/**
 * Installs packages, without their scripts, into an empty folder; undefined, and a message, where that is
 * not possible, such as without a network.
 */
export async function install(...packages: string[]): Promise<Installed | undefined> {
  const folder = await temporaryFolder();
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--fetch-retries=1"];
  try {
    await Deno.writeTextFile(
      `${folder.path}/package.json`,
      `{ "private": true, "type": "module" }`,
    );
    const { success, stderr } = await new Deno.Command("npm", {
      args: ["install", ...options, ...packages],
      cwd: folder.path,
      env: { npm_config_loglevel: "error" },
      stdin: "null",
    }).output();
    if (success) return folder;
    throw new Error(new TextDecoder().decode(stderr));
  } catch (error) {
    console.log(`Skipped: npm cannot install ${packages.join(" ")} here: ${firstLine(error)}`);
    await folder[Symbol.asyncDispose]();
    return undefined;
  }
}

function firstLine(error: unknown): string {
  return String(error).split("\n")[0]!;
}
