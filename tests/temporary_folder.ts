// Folders for tests that write files.

/** An empty folder that goes away by itself. */
export async function temporaryFolder(): Promise<AsyncDisposable & { readonly path: string }> {
  const path = await Deno.realPath(await Deno.makeTempDir({ prefix: "vq-diffusion-" }));
  return { path, [Symbol.asyncDispose]: () => Deno.remove(path, { recursive: true }) };
}

/** Runs a test in an empty folder. */
export async function inTemporaryFolder(test: (path: string) => Promise<void>): Promise<void> {
  await using folder = await temporaryFolder();
  await test(folder.path);
}
