// Compiles the kernels to `wasm/`: two variants, each as a file for runtimes that compile what they were
// deployed with and nothing else, and as base64 in a TypeScript module, so that importing it needs no
// permission; the bindings that `asc` generates, and the layouts of the commands.

import { main as asc } from "npm:assemblyscript@0.28.20/asc";
import { encodeBase64 } from "npm:deno-std@1.4.0/encoding/base64.js";
import { runScript } from "../../tools/script.ts";
import { readInterface, writeInterface } from "./layouts.ts";

const USAGE = `Compiles the kernels of asm/ to wasm/.

Usage: deno task build [--check]

  --check  Write nothing, and fail if a file is another one`;

const root = new URL("../../", import.meta.url);

const options = [
  ["-O3", "--noAssert", "--runtime", "stub", "--bindings", "raw"],
  ["--enable", "simd", "--enable", "threads"],
  // The host makes the memory: 1 MiB at first, up to 4 GiB, shared by the threads.
  ["--importMemory", "--sharedMemory", "--initialMemory", "16", "--maximumMemory", "65536"],
].flat();

const variants = {
  relaxed_simd: ["--enable", "relaxed-simd"],
  simd: [],
};

const header = "// Made from asm/ by `deno task build`; do not edit.\n";

async function compile(flags: string[]): Promise<Map<string, string | Uint8Array>> {
  const files = new Map<string, string | Uint8Array>();
  const { error, stderr } = await asc(["kernels.ts", ...options, ...flags, "-o", "out.wasm"], {
    readFile: (name: string) => Deno.readTextFile(new URL(`asm/${name}`, root)).catch(() => null),
    writeFile: (name: string, data: string | Uint8Array) => void files.set(name, data),
    listFiles: () => [],
  });
  if (error) throw new Error(`Cannot compile the kernels: ${error.message}\n${stderr}`);
  return files;
}

/** Texts of the kernels, by name of the file. */
async function readSources(): Promise<Map<string, string>> {
  const folder = new URL("asm/", root);
  const names = (await Array.fromAsync(Deno.readDir(folder)))
    .flatMap(({ name, isFile }) => isFile ? [name] : []).sort();
  const texts = names.map((name) => Deno.readTextFile(new URL(name, folder)));
  return new Map((await Promise.all(texts)).map((text, i) => [names[i]!, text]));
}

/** Bytes of the files of `wasm/`, by name. */
async function build(): Promise<Map<string, Uint8Array>> {
  const outputs = new Map<string, Uint8Array>();
  const write = (name: string, text: string) => outputs.set(name, new TextEncoder().encode(text));
  const commands = writeInterface(readInterface(await readSources()));
  write("commands.ts", `${header}\n${commands}`);
  for (const [name, flags] of Object.entries(variants)) {
    const files = await compile(flags);
    const module = files.get("out.wasm") as Uint8Array;
    outputs.set(`${name}.wasm`, module);
    const base64 = encodeBase64(module).replace(/.{100}/g, "$&\\\n");
    write(
      `${name}.ts`,
      `${header}\n/** The module, base64. */\nexport const base64: string = \`\\\n${base64}\`;\n`,
    );
    for (const extension of ["js", "d.ts"]) {
      write(`bindings.${extension}`, header + files.get(`out.${extension}`));
    }
  }
  return outputs;
}

function equal(a: Uint8Array | undefined, b: Uint8Array): boolean {
  return a?.length === b.length && a.every((byte, i) => byte === b[i]);
}

await runScript({
  usage: USAGE,
  options: { check: { type: "boolean" } },
  run: async ({ values: { check } }) => {
    const stale: string[] = [];
    for (const [name, bytes] of await build()) {
      const path = new URL(`wasm/${name}`, root);
      if (equal(await Deno.readFile(path).catch(() => undefined), bytes)) continue;
      stale.push(name);
      if (!check) await Deno.writeFile(path, bytes);
    }
    if (check && stale.length > 0) {
      console.error(`Not what asm/ builds: ${stale.join(", ")} in wasm/; run \`deno task build\``);
      Deno.exit(1);
    }
    console.log(stale.length > 0 ? `Wrote ${stale.join(", ")}` : "wasm/ is what asm/ builds");
  },
});
