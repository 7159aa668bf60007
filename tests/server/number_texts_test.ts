import { assertEquals } from "@std/assert";
import { numberIfText } from "../../src/server/number_texts.ts";
import { LIMITS, post, startService } from "./service.ts";

Deno.test("numberIfText() takes numbers as people and programs write them, and nothing else", () => {
  const numbers = ["7", "-7", "+.5", "0.5", "5.", "1e3", "1.5E-3", "0".repeat(99) + "7"];
  assertEquals(numbers.map(numberIfText), [7, -7, 0.5, 0.5, 5, 1000, 0.0015, 7]);
  const others = ["", ".", "-", "1e", "0x7", "1 ", "1.2.3", "Infinity", "7".repeat(101), 7, null];
  assertEquals(others.map(numberIfText), others);
});

Deno.test("Service refuses a number of a million digits that is none, at once", async () => {
  await using server = await startService({
    limits: { ...LIMITS, maxUploadBytes: 2e6 },
  });
  // Where the time grows with the square of the digits, this takes minutes.
  const text = "7".repeat(1e6) + "x";
  const error = `steps is "${"7".repeat(49)}, expected a whole number `;
  const form = new FormData();
  form.append("prompt", "a cat");
  form.append("steps", text);
  const answers = [
    await server.ask(`/generate?prompt=a+cat&steps=${text}`),
    await server.ask("/generate", { method: "POST", body: form }),
    await server.ask("/sdapi/v1/txt2img", post({ prompt: "a cat", steps: text })),
  ];
  for (const answer of answers) {
    assertEquals(answer.status, 400);
    const { error: given, detail = given } = await answer.json();
    assertEquals(detail.slice(0, error.length), error);
  }
});
