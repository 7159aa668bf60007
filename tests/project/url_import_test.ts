// mod.ts as users import it: from a URL, without a config file, with the fewest permissions.

import { assertEquals } from "@std/assert";
import { VQDiffusionPipeline } from "../../mod.ts";
import { fileResponse } from "../files/file_server.ts";
import { temporaryFolder } from "../temporary_folder.ts";

const ROOT = new URL("../../", import.meta.url);

const OPTIONS = { seed: 5, numInferenceSteps: 3, outputType: "tokens" } as const;

/** What the program of a user prints. */
interface Printed {
  readonly device: string;
  readonly tokens: number[];
  readonly png: number[];
}

/** A program that draws with the embedded model. */
function program(mod: string): string {
  return `
import { VQDiffusionPipeline } from ${JSON.stringify(mod)};
await using pipe = await VQDiffusionPipeline.fromPretrained(undefined, { device: "wasm", threads: 2 });
const options = ${JSON.stringify(OPTIONS)};
const { images: [tokens] } = await pipe.generate("a red apple", options);
const { images: [image] } = await pipe.generate("a red apple", { ...options, outputType: "image" });
const png = await image.toPng();
console.log(JSON.stringify({ device: pipe.device.type, tokens: [...tokens], png: [...png] }));
`;
}

/**
 * Runs the program, and tells which permissions were asked for.
 *
 * @param folder Where the program lies, by which Deno tells the caches of programs apart.
 */
async function runProgram(
  folder: string,
  mod: string,
  permissions: string[],
): Promise<{ printed: Printed; asked: string[] }> {
  const script = `${folder}/script.ts`;
  const log = `${folder}/permissions.jsonl`;
  await Deno.writeTextFile(script, program(mod));
  const { success, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-config", "--no-lock", "--no-prompt", ...permissions, script],
    cwd: folder,
    env: { DENO_AUDIT_PERMISSIONS: log },
  }).output();
  if (!success) throw new Error(new TextDecoder().decode(stderr));
  const asked = (await Deno.readTextFile(log)).trim().split("\n").map((line) => {
    return JSON.parse(line).permission as string;
  });
  return { printed: JSON.parse(new TextDecoder().decode(stdout)), asked };
}

/** What the program prints if all is well. */
async function expected(): Promise<Printed> {
  await using pipe = await VQDiffusionPipeline.fromPretrained(ROOT.href + "weights", {
    device: "wasm",
    dtype: "fp32",
    threads: 1,
  });
  const { images: [tokens] } = await pipe.generate("a red apple", OPTIONS);
  const options = { ...OPTIONS, outputType: "image" } as const;
  const { images: [image] } = await pipe.generate("a red apple", options);
  return { device: "wasm", tokens: [...tokens!], png: [...await image!.toPng()] };
}

/** Serves the files that a program may ask for, and notes their paths. */
function serveProject(paths: Set<string>): Deno.HttpServer<Deno.NetAddr> {
  const options = { port: 0, hostname: "127.0.0.1", onListen() {} };
  return Deno.serve(options, async (request) => {
    const path = new URL(request.url).pathname.slice(1);
    paths.add(path);
    if (!/^(mod\.ts|(src|wasm|weights)\/[\w./-]+)$/.test(path) || path.includes("..")) {
      return new Response("none", { status: 404 });
    }
    try {
      const bytes = await Deno.readFile(new URL(path, ROOT));
      const headers = path.endsWith(".ts") ? { "content-type": "text/typescript" } : {};
      return fileResponse(bytes, request.headers.get("range"), headers);
    } catch (error) {
      if (!(error instanceof Deno.errors.NotFound)) throw error;
      return new Response("none", { status: 404 });
    }
  });
}

Deno.test("mod.ts draws over http with access to its host alone, and a second time without the network", async () => {
  await using folder = await temporaryFolder();
  const paths = new Set<string>();
  const server = serveProject(paths);
  const host = `127.0.0.1:${server.addr.port}`;
  const mod = `http://${host}/mod.ts`;
  const permissions = [`--allow-import=${host}`, `--allow-net=${host}`];
  const first = await runProgram(folder.path, mod, [
    ...permissions,
    // Another run may have had this port.
    `--reload=http://${host}`,
  ]);
  assertEquals(first.printed, await expected());
  assertEquals([...new Set(first.asked)].sort(), ["import", "net"]);
  assertEquals([...paths].filter((path) => !/^(mod\.ts$|src|wasm|weights)/.test(path)), []);
  await server.shutdown();
  const second = await runProgram(folder.path, mod, [...permissions, "--cached-only"]);
  assertEquals(second.printed, first.printed);
});

Deno.test("mod.ts draws from a file: URL with permission to read its weights alone", async () => {
  await using folder = await temporaryFolder();
  const weights = new URL("weights", ROOT).pathname;
  const { printed, asked } = await runProgram(folder.path, new URL("mod.ts", ROOT).href, [
    `--allow-read=${weights}`,
  ]);
  assertEquals(printed, await expected());
  // Deno may note the opening of a file as both.
  assertEquals([...new Set(asked)].filter((permission) => permission !== "write"), ["read"]);
});
