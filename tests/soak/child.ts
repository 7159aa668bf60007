/**
 * Trials in processes of their own.
 *
 * @module
 */

/**
 * Shows the collector of garbage, and holds the room for new objects at one size: how far it grows is the
 * engine's choice, and counts as memory of the process.
 */
const ENGINE_FLAGS = "--expose-gc,--min-semi-space-size=4,--max-semi-space-size=4";

/**
 * Runs a module as a program, with the collector of garbage at hand.
 *
 * @returns What it prints, which is JSON.
 */
export async function runChild<T>({ filename }: ImportMeta, ...args: string[]): Promise<T> {
  const flags = ["run", "--quiet", "--allow-all", `--v8-flags=${ENGINE_FLAGS}`, filename!];
  const command = new Deno.Command(Deno.execPath(), { args: [...flags, ...args] });
  const { stdout, stderr, success } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}
