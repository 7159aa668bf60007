/**
 * A Web Worker that ends without telling anyone, for tests in Deno and in browsers.
 *
 * @module
 */

/**
 * Lets the next worker that is started end at one of its jobs, the first being 1, while the others wait for it. It refers to
 * nothing outside, so that its text can be given to a page.
 *
 * @returns What counts the workers that were started, until it is disposed of.
 */
export function letNextWorkerDie(job: number): { started(): number } & Disposable {
  const death = `
    const wait = Atomics.wait;
    let jobs = 0;
    Atomics.wait = (...args) => {
      wait(...args);
      if (++jobs < ${job}) return;
      self.postMessage = () => {};
      self.close();
      throw new Error("it is over");
    };`;
  const globals = globalThis as { Worker: typeof Worker };
  const Own = globals.Worker;
  let started = 0;
  globals.Worker = class extends Own {
    constructor(url: string | URL, options?: WorkerOptions) {
      const source = [`data:text/javascript,${encodeURIComponent(death)}`, url]
        .map((url) => `import "${url}";`).join("\n");
      const dying = new Blob([source], { type: "text/javascript" });
      super(started++ === 0 ? URL.createObjectURL(dying) : url, options);
    }
  };
  return { started: () => started, [Symbol.dispose]: () => void (globals.Worker = Own) };
}
