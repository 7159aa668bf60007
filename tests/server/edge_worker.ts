// Run by edge_test.ts in a process of its own: draws an image where there is hardly anything but fetch.
// The argument is the URL of the model. Prints the answer's status and body in base64.

const { compileKernels, createHandler, VQDiffusionPipeline } = await import("../../edge.ts");
const module = [await compileKernels(), await compileKernels("simd")];

const [source = "", ...absent] = Deno.args;
const write = console.log;
const missing = globalThis as unknown as Record<string, unknown>;
for (const name of absent) delete missing[name];
// Such runtimes compile what they were deployed with, and nothing else.
const forbidden = () => {
  throw new WebAssembly.CompileError("Wasm code generation disallowed by embedder");
};
Object.assign(WebAssembly, {
  compile: forbidden,
  compileStreaming: forbidden,
  validate: forbidden,
});

const load = () =>
  VQDiffusionPipeline.fromPretrained(new URL(source), { threads: 1, device: "wasm", module });
const handler = createHandler(load);
const response = await handler(
  new Request("http://localhost/generate?prompt=a+cat&steps=3&seed=0"),
);
const body = new Uint8Array(await response.arrayBuffer());
write(JSON.stringify({ status: response.status, body: body.toBase64() }));
