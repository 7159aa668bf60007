import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { RasterImage } from "../../src/images/raster_image.ts";
import { hasNatsServer, startNatsServer } from "../jobs/nats/nats_server.ts";
import { inTemporaryFolder } from "../temporary_folder.ts";
import { runTask, startTask } from "./run_task.ts";

const TINY = decodeURIComponent(
  new URL("../fixtures/pipeline/tiny/model", import.meta.url).pathname,
);

/** A task, up to a line that it prints. */
async function startUntil(task: string, args: readonly string[], cwd: string, line: RegExp) {
  const child = await startTask(task, [...args, "--model", TINY], { cwd });
  const log = new Response(child.stderr).text();
  const out = child.stdout.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  while (!line.test(text)) {
    const { done, value } = await out.read();
    if (done) throw new Error(text + await log);
    text += value;
  }
  return {
    match: line.exec(text)!,
    /** Stops it; what it has said, and its log. */
    async stop() {
      child.kill("SIGTERM");
      for (let part = await out.read(); !part.done; part = await out.read()) text += part.value;
      const { code } = await child.status;
      const records = (await log).split("\n").filter((line) => line !== "");
      return { code, text, records: records.map((line) => JSON.parse(line)) };
    },
  };
}

Deno.test({
  name: "worker draws what serve --queue is asked for, and both stop when they are told to",
  ignore: !hasNatsServer,
  async fn() {
    await using nats = await startNatsServer(["--user", "me", "--pass", "secret"]);
    await inTemporaryFolder(async (cwd) => {
      const url = nats.url.replace("//", "//me:secret@");
      const service = await startUntil(
        "serve",
        ["--queue", url, "--port", "0"],
        cwd,
        /Listening on (\S+)\/\n/,
      );
      const worker = await startUntil(
        "worker",
        ["--queue", url, "--device", "wasm", "--threads", "1"],
        cwd,
        /Drawing on Wasm.*\n/,
      );
      const ask = async (seed: number) => {
        const path = `/generate?prompt=a+cat&steps=5&seed=${seed}`;
        return await (await fetch(service.match[1]! + path)).bytes();
      };
      const first = await ask(1);
      assertEquals((await RasterImage.decode(first)).width, 32);
      assertEquals(await ask(1), first);
      const info = await (await fetch(`${service.match[1]}/info`)).json();
      assertEquals(info.device.name, "Workers");
      const stopped = [await worker.stop(), await service.stop()];
      for (const { code, text, records } of stopped) {
        assertEquals(code, 0);
        assertMatch(text, /^Connected to the queue at 127\.0\.0\.1:\d+, for model [0-9a-f]{12}\n/);
        assert(!JSON.stringify([text, records]).includes("secret"));
      }
      // The second was stored.
      assertEquals(stopped[0]!.records.map(({ event, outcome }) => [event, outcome]), [
        ["job", "done"],
      ]);
      const jobs = stopped[1]!.records.filter(({ event }) => event === "job");
      assertEquals(jobs.map(({ outcome }) => outcome), ["done", "done"]);
    });
  },
});

Deno.test("worker refuses wrong arguments, and servers that are not there, with one line", async () => {
  await inTemporaryFolder(async (cwd) => {
    const cases: [string[], number, string][] = [
      [[], 2, "--queue is missing"],
      [["--queue", "localhost:4222"], 2, '--queue is "localhost:4222", expected nats://host:port'],
      [["--queue", "nats://h", "--ack-wait", "1"], 2, '--ack-wait is "1"'],
      [["--queue", "nats://h", "--revision", "x"], 2, "--revision is given without --model"],
      [["--queue", "nats://h", "x"], 2, "Expected options only"],
      [
        ["--queue", "nats://u:secret@127.0.0.1:1", "--model", TINY, "--device", "wasm"],
        1,
        "error: Cannot connect to the queue at 127.0.0.1:1",
      ],
    ];
    for (const [args, code, message] of cases) {
      const result = await runTask("worker", args, { cwd });
      assertEquals(result.code, code, result.stderr);
      assertStringIncludes(result.stderr, message);
      assertEquals(result.stderr.trim().split("\n").length, 1);
      assert(!result.stderr.includes("secret"));
    }
    const help = await runTask("worker", ["--help"], { cwd });
    assertStringIncludes(help.stdout, "--ack-wait <n>");
  });
});
