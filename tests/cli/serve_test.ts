import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { runTask, startTask } from "./run_task.ts";

const ARGUMENTS = ["--port", "0", "--device", "wasm", "--threads", "1"];

/** A server in a process of its own. */
async function startServer(cwd: string, args: readonly string[] = []) {
  const child = await startTask("serve", [...ARGUMENTS, ...args], { cwd });
  const out = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!text.includes("\n")) {
    const { done, value } = await out.read();
    if (done) throw new Error(await new Response(child.stderr).text());
    text += value;
  }
  const [, host, port] = /^Listening on http:\/\/([\d.]+):(\d+)\/\n/.exec(text) ?? [];
  assert(port, text);
  const url = `http://127.0.0.1:${port}`;
  return {
    host,
    url,
    child,
    /** Waits for the end; what it has said, and its log. */
    async end() {
      const log = new Response(child.stderr).text();
      for (let part = await out.read(); !part.done; part = await out.read()) text += part.value;
      const { code } = await child.status;
      const records = (await log).split("\n").filter((line) => line !== "");
      return { code, text, log: records.map((line) => JSON.parse(line)) };
    },
  };
}

Deno.test("serve draws, and when it is stopped finishes what it draws and gives back the rest", async () => {
  await inTemporaryFolder(async (cwd) => {
    const server = await startServer(cwd);
    const query = "prompt=a+red+apple&seed=1&steps=100";
    const running = await fetch(`${server.url}/generate?${query}`, {
      headers: { accept: "text/event-stream" },
    });
    const reader = running.body!.pipeThrough(new TextDecoderStream()).getReader();
    assertMatch((await reader.read()).value!, /^event: started\n/);
    const waiting = await fetch(`${server.url}/generate?${query}`, {
      headers: { accept: "text/event-stream" },
    });
    server.child.kill("SIGTERM");
    let text = "";
    for (let part = await reader.read(); !part.done; part = await reader.read()) text += part.value;
    assertMatch(text, /\nevent: result\ndata: .*\n\n$/);
    assertMatch(await waiting.text(), /event: error\ndata: \{"error":"The service is stopping/);
    const { code, text: said, log } = await server.end();
    assertEquals(code, 0);
    assertStringIncludes(said, "Stopping");
    const outcomes = log.filter(({ event }) => event === "job").map(({ outcome }) => outcome);
    assertEquals(outcomes.sort(), ["done", "failed"]);
    assert(log.every(({ time }) => !Number.isNaN(Date.parse(time))));
  });
});

Deno.test("serve listens at all addresses, takes tokens from a file, limits and a model", async () => {
  await inTemporaryFolder(async (cwd) => {
    await Deno.writeTextFile(`${cwd}/tokens.txt`, "# people\nsecret\n\n");
    const model = new URL("../fixtures/pipeline/tiny/model", import.meta.url).pathname;
    const options = ["--host", "0.0.0.0", "--tokens", "tokens.txt", "--max-steps", "3", "--quiet"];
    const server = await startServer(cwd, [...options, "--model", model]);
    assertEquals(server.host, "0.0.0.0");
    const ask = (path: string, token: string) =>
      fetch(`${server.url}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const refused = await ask("/v1/models", "x");
    await refused.body?.cancel();
    assertEquals(refused.status, 401);
    assertEquals((await (await ask("/v1/models", "secret")).json()).data[0].id, "model");
    const many = await ask("/generate?prompt=a&steps=4", "secret");
    assertStringIncludes((await many.json()).error, "from 1 to 3");
    await RasterImage.decode(await (await ask("/generate?prompt=a", "secret")).bytes());
    server.child.kill("SIGINT");
    const { code, log } = await server.end();
    assertEquals([code, log], [0, []]);
  });
});

Deno.test("serve --help has all options, and wrong ones are refused before anything is loaded", async () => {
  await inTemporaryFolder(async (cwd) => {
    const help = await runTask("serve", ["--help"], { cwd });
    assertEquals(help.code, 0);
    for (const name of ["host", "port", "tokens", "allow-origin", "max-steps", "queue", "device"]) {
      assertStringIncludes(help.stdout, `  --${name} <`);
    }
    assertStringIncludes(help.stdout, "(default: 8000)");
    assert(help.stdout.split("\n").every((line) => line.length <= 110));
    await Deno.writeTextFile(`${cwd}/empty.txt`, "\n# none\n");
    await Deno.writeTextFile(`${cwd}/spaces.txt`, "a token\n");
    const wrong: [args: string[], message: string][] = [
      [["--port", "65536"], '--port is "65536", expected a whole number from 0 to 65535'],
      [["--max-queue", "-1"], '--max-queue is "-1"'],
      [["--queue", "32"], '--queue is "32", expected nats://'],
      [["--queue", "http://user:secret@host"], '--queue is "…@host", expected nats://'],
      [["--queue-keep", "99"], "--queue-keep is given without --queue"],
      [["--queue", "nats://host", "--threads", "2"], "--threads is given beside --queue"],
      [["--max-step", "5"], "did you mean --max-steps?"],
      [["--device", "cpu"], '--device is "cpu", expected auto, wasm or webgpu'],
      [["--host", ""], '--host is ""'],
      [["--revision", "x"], "--revision is given without --model"],
      [["a cat"], 'Expected options only, got "a cat"'],
      [["--tokens", "none.txt"], "Cannot read none.txt"],
      [["--tokens", "empty.txt"], "There is no token in empty.txt"],
      [["--tokens", "spaces.txt"], "has a space in it"],
    ];
    for (const [args, message] of wrong) {
      const { code, stdout, stderr } = await runTask("serve", args, { cwd });
      assertEquals([code, stdout], [2, ""], stderr);
      assertStringIncludes(stderr, message);
    }
  });
});

Deno.test("serve says why it cannot listen", async () => {
  await inTemporaryFolder(async (cwd) => {
    using taken = Deno.listen({ port: 0, hostname: "127.0.0.1" });
    const { port } = taken.addr;
    const args = [...ARGUMENTS, "--port", `${port}`];
    const { code, stderr } = await runTask("serve", args, { cwd });
    assertEquals(code, 1);
    assertStringIncludes(stderr, `error: Cannot listen at 127.0.0.1, port ${port}: `);
    assertStringIncludes(stderr, "; --port takes another one");
  });
});
