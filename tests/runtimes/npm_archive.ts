// The npm package as an archive, as `npm publish` would send it.

import { writePackage } from "../../tools/npm/package.ts";
import { temporaryFolder } from "../temporary_folder.ts";
import { install, type Installed } from "./npm_packages.ts";
import { outputOf } from "./runtimes.ts";

/** Packs the package and installs that, with others, into an empty folder; undefined where that cannot be. */
export async function installPackage(...others: string[]): Promise<Installed | undefined> {
  await using folder = await temporaryFolder();
  await writePackage(folder.path);
  const options = { cwd: folder.path };
  const packed = await outputOf("npm", ["pack", "--json", "--ignore-scripts"], options);
  const [{ filename }] = JSON.parse(packed);
  return await install(`${folder.path}/${filename}`, ...others);
}
