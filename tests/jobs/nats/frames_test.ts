import { assertEquals, assertThrows } from "@std/assert";
import { decodeFrames, encodeFrames } from "../../../src/jobs/nats/frames.ts";

const FRAMES = {
  header: { name: "ä", list: [1, 2] },
  files: [new Uint8Array([1, 2, 3]), new Uint8Array(0), new Uint8Array([4])],
};

Deno.test("decodeFrames() reads what encodeFrames() has made, also inside of a buffer", () => {
  const bytes = encodeFrames(FRAMES);
  assertEquals(decodeFrames(bytes), FRAMES);
  const around = new Uint8Array(bytes.length + 7);
  around.set(bytes, 5);
  assertEquals(decodeFrames(around.subarray(5, 5 + bytes.length)), FRAMES);
});

Deno.test("decodeFrames() refuses each message that is cut, longer, or has another header", () => {
  const bytes = encodeFrames(FRAMES);
  for (let length = 0; length < bytes.length; length++) {
    assertThrows(
      () => decodeFrames(bytes.subarray(0, length)),
      SyntaxError,
      "Cannot read a message",
    );
  }
  assertThrows(() => decodeFrames(new Uint8Array([...bytes, 0])), SyntaxError, "bytes long");
  const withHeader = (text: string) => {
    const header = new TextEncoder().encode(text);
    const message = new Uint8Array(4 + header.length);
    new DataView(message.buffer).setUint32(0, header.length, true);
    message.set(header, 4);
    return message;
  };
  for (
    const text of ["[]", "null", "1", "{", '{"lengths":1}', '{"lengths":[-1]}', '{"lengths":[0.5]}']
  ) {
    assertThrows(() => decodeFrames(withHeader(text)), SyntaxError, "Cannot read a message");
  }
});

Deno.test("encodeFrames() refuses a header that is too long", () => {
  const header = { text: "x".repeat(65536) };
  assertThrows(() => encodeFrames({ header, files: [] }), RangeError, "header is 6");
});
