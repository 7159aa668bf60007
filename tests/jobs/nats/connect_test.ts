import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { connectionOptions, connectToQueue } from "../../../src/jobs/nats/connect.ts";
import { hasNatsServer, openExchange, startNatsServer } from "./nats_server.ts";

Deno.test("connectionOptions() reads servers, who asks, and whether the connection is encrypted", () => {
  assertEquals(connectionOptions({ url: "nats://host" }), { servers: ["host"] });
  assertEquals(connectionOptions({ url: "tls://host" }), { servers: ["host"], tls: {} });
  assertEquals(connectionOptions({ url: "nats://secret@a:1,nats://b:2/" }), {
    servers: ["a:1", "b:2"],
    token: "secret",
  });
  assertEquals(
    connectionOptions({
      url: "tls://user:p%40ss@[::1]:4222",
      certificates: "certificates",
    }),
    {
      servers: ["[::1]:4222"],
      tls: { ca: "certificates" },
      user: "user",
      pass: "p@ss",
    },
  );
});

Deno.test("connectionOptions() refuses other URLs, and does not quote them", () => {
  for (
    const url of ["", "host:4222", "http://u:secret@host", "nats://", "nats://u:secret@h/path"]
  ) {
    const error = assertThrows(() => connectionOptions({ url }), TypeError, "expected nats://");
    assertEquals(error.message.includes("secret"), false);
  }
});

Deno.test({
  name: "connectToQueue() lets in who has the password, and tells nobody",
  ignore: !hasNatsServer,
  async fn() {
    await using server = await startNatsServer(["--user", "me", "--pass", "secret"]);
    const host = new URL(server.url).host;
    await using _ = await openExchange(`nats://me:secret@${host}`);
    const wrong = `nats://me:wrong-secret@${host}`;
    const error = await assertRejects(
      () => connectToQueue({ url: wrong }, "test"),
      Error,
      `Cannot connect to the queue at ${host}`,
    );
    assertEquals(error.message.includes("wrong-secret"), false);
    await server.kill();
    await assertRejects(() => connectToQueue({ url: server.url }, "test"), Error, "Cannot connect");
    await server.restart();
  },
});
