import { assertEquals, assertRejects } from "@std/assert";
import { eventText, textStream } from "../../src/server/text_stream.ts";

const PATIENT = { maxIdleSeconds: 1000, keepAliveSeconds: 1000 };

Deno.test("textStream() asks for no more texts than are read", async () => {
  let asked = 0;
  async function* texts() {
    for (;;) {
      asked++;
      yield await Promise.resolve(`${asked}`);
    }
  }
  const gone = Promise.withResolvers<void>();
  const stream = textStream(texts(), { ...PATIENT, onGone: gone.resolve });
  await new Promise((resolve) => setTimeout(resolve));
  assertEquals(asked, 0);
  const reader = stream.getReader();
  for (const text of ["1", "2", "3"]) {
    assertEquals(new TextDecoder().decode((await reader.read()).value), text);
  }
  assertEquals(asked, 3);
  await reader.cancel();
  await gone.promise;
});

Deno.test("textStream() ends with the texts", async () => {
  async function* texts() {
    yield await Promise.resolve(eventText("a", { b: "c\nd" }));
  }
  const stream = textStream(texts(), { ...PATIENT, onGone() {} });
  assertEquals(await new Response(stream).text(), 'event: a\ndata: {"b":"c\\nd"}\n\n');
});

Deno.test("textStream() sends comments as long as nothing comes", async () => {
  const come = Promise.withResolvers<string>();
  async function* texts() {
    yield await come.promise;
  }
  const options = { maxIdleSeconds: 1000, keepAliveSeconds: 0, onGone() {} };
  const reader = textStream(texts(), options).getReader();
  const read = async () => new TextDecoder().decode((await reader.read()).value);
  assertEquals(await read(), ":\n\n");
  assertEquals(await read(), ":\n\n");
  come.resolve("text");
  assertEquals(await read(), "text");
  assertEquals((await reader.read()).done, true);
});

Deno.test("textStream() breaks off if nobody reads on", async () => {
  async function* texts() {
    yield await Promise.resolve("1");
    yield await Promise.resolve("2");
  }
  const gone = Promise.withResolvers<void>();
  const options = { maxIdleSeconds: 0, keepAliveSeconds: 1000, onGone: gone.resolve };
  const reader = textStream(texts(), options).getReader();
  await reader.read();
  await gone.promise;
  await assertRejects(() => reader.read(), DOMException, "not read");
});
