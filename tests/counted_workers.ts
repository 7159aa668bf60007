// Counting the workers that are started.

const globals = globalThis as { Worker: typeof Worker };

/** How many workers some work starts. */
export async function countWorkers(work: () => Promise<unknown>): Promise<number> {
  const Own = globals.Worker;
  let count = 0;
  globals.Worker = class extends Own {
    constructor(...args: ConstructorParameters<typeof Own>) {
      super(...args);
      count++;
    }
  };
  try {
    await work();
  } finally {
    globals.Worker = Own;
  }
  return count;
}
