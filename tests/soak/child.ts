/**
 * Trials in processes of their own.
 *
 * @module
 */

/**
 * Runs a module as a program, with the collector of garbage at hand.
 *
 * @returns What it prints, which is JSON.
 */
export async function runChild<T>({ filename }: ImportMeta, ...args: string[]): Promise<T> {
  const flags = ["run", "--quiet", "--allow-all", "--v8-flags=--expose-gc", filename!];
  const command = new Deno.Command(Deno.execPath(), { args: [...flags, ...args] });
  const { stdout, stderr, success } = await command.output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  return JSON.parse(new TextDecoder().decode(stdout));
}
