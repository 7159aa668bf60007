import { assertEquals } from "@std/assert";
import { hasNatsServer, openNatsQueue, startNatsServer } from "../jobs/nats/nats_server.ts";
import { startWorker } from "../jobs/nats/workers.ts";
import { loadTiny, post, startService, until } from "./service.ts";

Deno.test({
  name: "Service answers by workers of a queue as it does by itself, and 429 when that is full",
  ignore: !hasNatsServer,
  async fn() {
    await using nats = await startNatsServer();
    await using pipe = await loadTiny();
    await using opened = await openNatsQueue(nats.url, { capacity: 2, capacityPerClient: 2 });
    await using remote = await startService({ queue: opened.queue });
    await using local = await startService();
    const asked = { prompt: "a cat", n: 2, seed: 3, steps: 4, response_format: "b64_json" };
    const path = "/v1/images/generations";
    const waiting = [3, 4].map((seed) => remote.ask(path, post({ ...asked, seed })));
    await until(() => opened.queue.length === 2);
    const refused = await remote.ask(path, post({ ...asked, seed: 5 }));
    assertEquals([refused.status, (await refused.json()).error.code], [429, "rate_limit_exceeded"]);
    assertEquals(Number(refused.headers.get("retry-after")) > 0, true);
    await using worker = await startWorker(pipe, nats.url);
    for (const [i, answer] of (await Promise.all(waiting)).entries()) {
      const expected = await local.ask(path, post({ ...asked, seed: i + 3 }));
      assertEquals((await answer.json()).data, (await expected.json()).data);
    }
    const text = await (await remote.ask("/metrics")).text();
    assertEquals(/^vq_diffusion_jobs_total\{outcome="done"\} 2$/m.test(text), true);
    assertEquals(worker.outcomes(), ["done", "done"]);
    remote.service.close();
    assertEquals((await remote.ask("/healthz")).status, 503);
  },
});
