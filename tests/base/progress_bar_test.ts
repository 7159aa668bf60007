import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { ProgressBar } from "../../src/base/progress_bar.ts";

/** An output that keeps what is written. */
function record(isTerminal: boolean) {
  const written: string[] = [];
  return { written, isTerminal, write: (text: string) => void written.push(text) };
}

Deno.test("ProgressBar writes a plain line every tenth of the way where there is no terminal", () => {
  const output = record(false);
  const bar = new ProgressBar("Denoising", { output });
  for (let done = 0; done <= 40; done++) bar.update(done, 40);
  bar.end();
  assertEquals(output.written.length, 10);
  assertMatch(output.written[0]!, /^Denoising 4\/40, \d+ s left\n$/);
  assertEquals(output.written[9], "Denoising 40/40\n");
});

Deno.test("ProgressBar draws over its line on a terminal, and clears it at the end", () => {
  const output = record(true);
  const bar = new ProgressBar("Denoising", { output });
  for (let done = 0; done <= 4; done++) bar.update(done, 4);
  bar.end();
  assertEquals(output.written.length, 6);
  assert(output.written.every((text) => text.startsWith("\r\x1b[K") && !text.includes("\n")));
  assertStringIncludes(output.written[2]!, "████████████░░░░░░░░░░░░ 2/4, ");
  assertEquals(output.written[5], "\r\x1b[K");
});

Deno.test("ProgressBar tells the amount in the caller's words", () => {
  const output = record(false);
  const format = (done: number, total: number) => `${done} of ${total} MB`;
  new ProgressBar("Downloading", { output, format, done: 5 }).update(5, 10);
  assertEquals(output.written, ["Downloading 5 of 10 MB\n"]);
});
