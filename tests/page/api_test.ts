// What the page asks of its server.

import { assertEquals } from "@std/assert";
import { draw, type DrawEvent } from "../../page/api.ts";

Deno.test("draw() hears of events with any characters", async () => {
  // JSON has these as they are, and they end lines for regular expressions.
  const notes = ["\u2028", "a\u2029b", "\u0085"];
  const text = `event: notes\ndata: ${JSON.stringify({ notes })}\n\n: a comment\n\n`;
  const { fetch } = globalThis;
  globalThis.fetch = () => Promise.resolve(new Response(text));
  const events: DrawEvent[] = [];
  try {
    const settings = { prompt: "a cat", seed: undefined, values: {} };
    const options = { token: "", previews: 0, signal: new AbortController().signal };
    for await (const event of draw(settings, options)) events.push(event);
  } finally {
    globalThis.fetch = fetch;
  }
  assertEquals(events, [{ name: "notes", data: { notes } }]);
});
