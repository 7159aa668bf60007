// Runs tasks of deno.json in processes of their own, with the permissions they have there.

const ROOT = new URL("../../", import.meta.url);

/** What a task ended with. */
export interface TaskResult {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** How to run a task. */
export interface TaskOptions {
  /** Current folder of the process. */
  readonly cwd: string;
  /** Variables of the environment, beside those of this process. */
  readonly env?: Readonly<Record<string, string>>;
  /** Most kilobytes of a file that the process may write. Default: any number. */
  readonly mostKilobytes?: number;
}

/** Starts a task with more arguments. */
export async function startTask(
  task: string,
  args: readonly string[],
  { cwd, env = {}, mostKilobytes }: TaskOptions,
): Promise<Deno.ChildProcess> {
  const { tasks } = JSON.parse(await Deno.readTextFile(new URL("deno.json", ROOT)));
  const main = new URL("src/cli/main.ts", ROOT);
  const lock = new URL("src/cli/deno.lock", ROOT);
  // The current folder is another one here.
  const words: string[] = tasks[task].command.replace("src/cli/main.ts", main.href)
    .replace("src/cli/deno.lock", decodeURIComponent(lock.pathname)).split(" ");
  const whole = [Deno.execPath(), ...words.slice(1), ...args];
  // The signal that comes with the limit is left to the process, which would end at it.
  const limit = `trap '' XFSZ; ulimit -f ${mostKilobytes}; exec "$@"`;
  const [program, ...others] = mostKilobytes === undefined
    ? whole
    : ["bash", "-c", limit, "bash", ...whole];
  const command = new Deno.Command(program!, {
    args: others,
    cwd,
    env: { ...env, NO_COLOR: "1" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
  return command.spawn();
}

/** Runs a task to its end. */
export async function runTask(
  task: string,
  args: readonly string[],
  options: TaskOptions,
): Promise<TaskResult> {
  const child = await startTask(task, args, options);
  const { code, stdout, stderr } = await child.output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Names of all that is in a folder. */
export function namesIn(path: string): string[] {
  return [...Deno.readDirSync(path)].map(({ name }) => name).sort();
}
