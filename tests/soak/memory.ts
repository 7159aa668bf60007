/**
 * What a process holds.
 *
 * @module
 */

/** MiB of this process, after the collector of garbage has run; it needs `--expose-gc`. */
export async function memoryNow(): Promise<number> {
  const { gc } = globalThis as unknown as { gc(): void };
  for (let i = 0; i < 4; i++) {
    gc();
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  // How much room the engine reserves for new objects is its own choice, and grows in leaps.
  const { rss, heapTotal, heapUsed } = Deno.memoryUsage();
  return (rss - heapTotal + heapUsed) / 2 ** 20;
}
