// Counting how often work lets the event loop turn, whatever time it takes.

/** Counts the turns of the event loop during work that seems to last long between any two looks at the clock. */
export async function countTurns(work: () => Promise<unknown>): Promise<number> {
  const { now } = performance;
  const scope = globalThis as { scheduler?: { postTask(task: () => void): void } };
  let [time, turns] = [0, 0];
  try {
    performance.now = () => time += 100;
    scope.scheduler = { postTask: (task) => void (turns++, setTimeout(task, 0)) };
    await work();
  } finally {
    performance.now = now;
    delete scope.scheduler;
  }
  return turns;
}
