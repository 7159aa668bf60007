import { assertEquals, assertInstanceOf, assertThrows } from "@std/assert";
import { atOnce } from "../../../src/base/pauses.ts";
import { PickleEndError } from "../../../src/checkpoints/torch/pickle_reader.ts";
import {
  PickleFunction,
  type PickleNames,
  Tuple,
  unpickle,
} from "../../../src/checkpoints/torch/unpickler.ts";

const NAMES: PickleNames = {
  find: (module, name) =>
    module === "m" && name === "f" ? new PickleFunction("m.f", (args) => args.length) : undefined,
  persistent: (id) => `<${id}>`,
};

/** Value of a pickle, whose opcodes are given as Latin-1 text. */
function load(text: string): unknown {
  const bytes = Uint8Array.from(text, (c) => c.charCodeAt(0));
  const { value, end } = atOnce(unpickle(bytes, 0, "test.pkl", NAMES));
  assertEquals(end, bytes.length);
  return value;
}

Deno.test("unpickle() reads numbers of all protocols", () => {
  const cases: [string, unknown][] = [
    ["N.", null],
    ["\x80\x02\x88.", true],
    ["\x89.", false],
    ["I-12\n.", -12],
    ["L123456789012345678901L\n.", 123456789012345678901n],
    ["K\xff.", 255],
    ["M\xff\xff.", 65535],
    ["J\xff\xff\xff\xff.", -1],
    ["\x8a\x01\xff.", -1],
    ["\x8a\x00.", 0],
    ["\x8b\x02\x00\x00\x00\x00\x01.", 256],
    ["\x8a\x09\x00\x00\x00\x00\x00\x00\x00\x00\x01.", 2n ** 64n],
    ["G\x3f\xf8\x00\x00\x00\x00\x00\x00.", 1.5],
    ["F-2.5\n.", -2.5],
  ];
  for (const [text, value] of cases) assertEquals(load(text), value);
});

Deno.test("unpickle() reads texts, bytes and containers", () => {
  assertEquals(load("X\x02\x00\x00\x00\xc3\xbc."), "ü");
  assertEquals(load("\x8c\x01a."), "a");
  assertEquals(load("\x8d\x01\x00\x00\x00\x00\x00\x00\x00a."), "a");
  assertEquals(load("Va\n."), "a");
  assertEquals(load("U\x01a."), "a");
  assertEquals(load("C\x02\x00\xff."), new Uint8Array([0, 255]));
  assertEquals(load("]K\x01a(K\x02K\x03e."), [1, 2, 3]);
  assertEquals(load("(K\x01K\x02l."), [1, 2]);
  assertEquals(load("K\x01K\x02K\x03\x87."), new Tuple([1, 2, 3]));
  assertEquals(load("(K\x01t."), new Tuple([1]));
  assertEquals(load("}K\x01K\x02s(K\x03K\x04u."), new Map([[1, 2], [3, 4]]));
  assertEquals(load("(K\x03K\x04d."), new Map([[3, 4]]));
  assertEquals(load("\x8f(K\x01K\x02\x90."), new Set([1, 2]));
  assertEquals(load("(K\x01\x91."), new Set([1]));
  assertEquals(load("K\x01K\x020."), 1);
  assertEquals(load("K\x01(K\x02K\x031."), 1);
});

Deno.test("unpickle() remembers values, also in cycles", () => {
  assertEquals(load("]q\x05h\x05\x86."), new Tuple([[], []]));
  assertEquals(load("K\x07\x94h\x00\x86."), new Tuple([7, 7]));
  assertEquals(load("K\x07p300\ng300\n\x86."), new Tuple([7, 7]));
  const cycle = load("]r\x01\x00\x00\x00j\x01\x00\x00\x00a.");
  assertInstanceOf(cycle, Array);
  assertEquals(cycle[0] === cycle, true);
});

Deno.test("unpickle() calls only what is allowed", () => {
  assertEquals(load("cm\nf\n(K\x01K\x02tR."), 2);
  assertEquals(load("\x8c\x01m\x8c\x01f\x93)\x81."), 0);
  assertEquals(load("X\x01\x00\x00\x00aQ."), "<a>");
  assertEquals(load("]}b."), []);
  const message = 'test.pkl: it uses "os.system", which is not allowed';
  assertThrows(() => load("cos\nsystem\n."), TypeError, message);
  assertThrows(() => load("\x8c\x02os\x8c\x06system\x93."), TypeError, message);
});

Deno.test("unpickle() refuses malformed pickles with the reason", () => {
  const cases: [string, string][] = [
    [".", "a value is missing at byte 1"],
    ["0.", "a value is missing"],
    ["K\x01(0.", "a value is missing"],
    ["t.", "a mark is missing"],
    ["h\x01.", "an unknown value is recalled"],
    ["K\x01K\x02a.", "a list is missing"],
    ["]K\x01K\x02s.", "a dict is missing"],
    ["}(K\x01u.", "a value is missing"],
    ["](K\x01\x90.", "a set is missing"],
    ["K\x01)R.", "something is called that cannot be"],
    ["cm\nf\nK\x01R.", "something is called that cannot be"],
    ["K\x01K\x02\x93.", "a global name is not a text"],
    ["Ix\n.", "an integer is malformed"],
    ["\x8b\xff\xff\xff\xff.", "an integer is too long"],
    ["X\x01\x00\x00\x00\xff.", "a text is not UTF-8"],
    ["\x82\x01.", "the pickle operation 0x82 is not supported"],
    ["(im\nf\n.", "the pickle operation 0x69 is not supported"],
  ];
  for (const [text, message] of cases) assertThrows(() => load(text), SyntaxError, message);
  for (
    const text of [
      "",
      "K",
      "]",
      "X\xff\xff\xff\xff.",
      "Ix",
      "\x8e\xff\xff\xff\xff\xff\xff\xff\xff.",
    ]
  ) {
    assertThrows(() => load(text), PickleEndError, "its pickle is cut off");
  }
  assertThrows(() => load("N0".repeat(1_000_001)), SyntaxError, "more than 2000000 operations");
});
